"""The page's section on the scenes."""

from __future__ import annotations

from typing import Any

from bench.markdown import paragraph, table

Row = dict[str, Any]
HEADINGS = {"scores": "Scores", "labels": "Labels that come late", "latency": "Slower answers"}
SAID = {
    "scores": """Beside errors this engine compares predictions by their bins. A shift may be meant, so that it holds
        and asks a person (population stability index above 0.25). The peers have nothing to look at: a score is neither
        right nor wrong.""",
    "labels": """Of the requests 12 % get a label within a minute, 12 % within ten and 6 % within an hour. Late ones are
        of the harder cases: 5, 10 and 20 % of the stable version's answers to them are wrong. This engine compares
        labels of equal age and accepts 5 points less. The peers as documented look at errors; tuned, they are given the
        share of wrong ones among the labels that came in the last minute, and accept 5 points more than usual.
        The last two candidates are worse by 50 points in the labels that come after ten minutes and in no others, which
        is 10 points of all: a release that is over by then cannot see it, one with a first step long enough does.""",
    "latency": """Answers take 60 ms in the median and 190 ms at p99, and the pace of each pod wanders. This engine
        compares the shares above every bucket edge and accepts twice the stable one and 5 points. Flagger's tutorials
        ask for a p99 of at most 500 ms, which Kayenta is given too; tuned, the limit is 1.5 times the service's
        p99. Argo Rollouts as documented looks at errors.""",
}


def section(document: Row) -> str:
    """Nothing where no scenes were simulated."""
    rows = document.get("scenes", [])
    if not rows:
        return ""
    least, most = (end(row["runs"] for row in rows) for end in (min, max))
    runs = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    parts = [
        "## What errors do not show",
        paragraph(
            f"""Errors are alike in both arms (0.5 %, cv 0.2). {runs} releases of each, so that one share is uncertain
            by up to {196 * (0.25 / least) ** 0.5:.0f} points. Shown are the share that ended as it should, and the
            median time until then, a dash where that is not half of them."""
        ),
    ]
    for kind in dict.fromkeys(row["scene"] for row in rows):
        parts += [f"### {HEADINGS[kind]}", paragraph(SAID[kind]), _table([row for row in rows if row["scene"] == kind])]
    return "\n\n".join(parts)


def _table(rows: list[Row]) -> str:
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    found: dict[tuple[str, float], dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row["candidate"], row["requests_per_second"]), {})[row["engine"]] = row
    lines = []
    for (candidate, rate), by_engine in found.items():
        expected = next(iter(by_engine.values()))["expected"]
        lines.append([f"{candidate}, {rate:g}/s", expected, *(_ended(by_engine[engine]) for engine in engines)])
    return table(["candidate", "should be", *(f"`{engine}`" for engine in engines)], lines)


def _ended(row: Row) -> str:
    seconds = row["median_seconds"]
    return f"{row['right']:.0%}, {'–' if seconds is None else f'{seconds:,.0f} s'}"
