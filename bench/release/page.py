"""`docs/benchmarks-release.md` from the JSON file. Whoever edits the page edits this module."""

from __future__ import annotations

from bench.markdown import paragraph
from bench.release import report
from bench.release.report import NONE, OURS, Row

PLOT = "../bench/results/release.svg"
ENOUGH = 10_000


def page(document: Row) -> str:
    """The whole page."""
    parts = [
        "# Benchmarks: releases",
        _opening(document),
        _warning(document),
        "## The goals",
        _goals(document),
        "## Healthy releases rolled back",
        "Share of releases of a candidate as good as the stable version, the largest of all cells and the mean:",
        _healthy(document),
        "## Regressions taken back",
        paragraph(
            """A candidate that fails 2 or 4 times as often, no condition, noise of cv 0.2. Median time until it is
            taken back, a dash where that is not so in half of the releases; in parentheses the share that was promoted
            instead."""
        ),
        *[_regressions(document, effect) for effect in (2.0, 4.0)],
        f"![Time to take back and false rollbacks]({PLOT})",
        "## Conditions",
        paragraph("50 requests/s, 0.5 % errors. Healthy releases rolled back / fourfold regressions promoted:"),
        _conditions(document),
        "## What the defaults buy",
        _curves(document),
        "## What a verdict costs",
        _cost(document),
        "## How it was simulated",
        _method(document),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(document: Row) -> str:
    return paragraph(
        f"""Written by `make bench-release` from `bench/results/release.json`. Nothing is deployed: simulated hours of
        traffic and telemetry, the same for every engine. This engine is judged by the functions that judge real
        releases; the peers' rules are re-stated from their documentation (`bench/release/peers`). alpha is
        {document["alpha"]:g}."""
    )


def _warning(document: Row) -> str:
    runs = document["run"]["runs"]
    if runs >= ENOUGH:
        return ""
    return paragraph(
        f"""**These figures are of {runs:,} healthy releases a cell** and half as many of each regression (a fifth of
        them for Kayenta), made on a busy machine: a share of 1 % is uncertain by about
        {100 * 1.96 * (0.01 * 0.99 / runs) ** 0.5:.1f} %. `make bench-release` runs 1,000 in some
        ten minutes on two quiet cores, with `BENCH_ARGS="--runs 10000"` ten times as many."""
    )


# --- the goals ------------------------------------------------------------------------------------------------------


def _goals(document: Row) -> str:
    rows = [
        _goal_alpha(document),
        *[_goal_race(document, effect) for effect in (2.0, 4.0)],
        _goal_first_window(document),
        _goal_promoted(document),
        ("“no data” never decides", "in no run", _yes(report.undecided_without_data(document))),
        _goal_cost(document),
    ]
    return _table(["goal", "found", "met"], [list(row) for row in rows])


def _goal_alpha(document: Row) -> tuple[str, str, str]:
    above = report.above_alpha(document, OURS)
    cells = len(report.of(document, OURS, 1.0))
    said = f"largest {report.worst(document, OURS):.2%}; above alpha in {len(above)} of {cells} cells"
    if above:
        said += ": " + "; ".join(_place(row) for row in above[:4])
    return "false rollback at most alpha in every cell", said, _yes(not above)


def _goal_race(document: Row, effect: float) -> tuple[str, str, str]:
    races = report.races(document, effect)
    slower = [race for race in races if race["slower"]]
    said = f"slower in {len(slower)} of {len(races)} cells"
    goal = f"at equal false rollback slower than the best peer to take back {effect:g}x in at most 10 % of cells"
    return goal, said, _yes(len(slower) <= 0.1 * len(races))


def _goal_first_window(document: Row) -> tuple[str, str, str]:
    rows = [
        row
        for row in report.of(document, OURS, 4.0)
        if row["requests_per_second"] == 500 and row["incident"] == NONE and row["noise_cv"] == 0.2
    ]
    said = "; ".join(f"{row['first_window']:.0%} at {row['base_rate']:.1%} errors" for row in rows)
    met = all(row["first_window"] >= 0.95 for row in rows)
    return "4x at 500 requests/s taken back in the first window", said, _yes(met and bool(rows))


def _goal_promoted(document: Row) -> tuple[str, str, str]:
    rows = [
        row for row in report.of(document, OURS, 1.0) if row["requests_per_second"] == 50 and row["incident"] == NONE
    ]
    least = min(rows, key=report.promoted, default=None)
    if least is None:
        return "healthy at 50 requests/s promoted in 30 min in 95 %", "not simulated", "–"
    quiet = [row for row in rows if row["noise_cv"] <= 0.2]
    said = f"at least {min(map(report.promoted, quiet)):.1%} up to cv 0.2; least {report.promoted(least):.1%}, at "
    return (
        "healthy at 50 requests/s promoted in 30 min in at least 95 %",
        said + _place(least, value=False),
        _yes(report.promoted(least) >= 0.95),
    )


def _goal_cost(document: Row) -> tuple[str, str, str]:
    costs = document["verdict"]["judge"]
    said = ", ".join(f"{one['milliseconds']:.1f} ms for window {one['windows']}" for one in costs)
    metrics = document["verdict"]["metrics"]
    met = max(one["milliseconds"] for one in costs) < 1
    return f"a verdict under 1 ms for 10 metrics ({metrics} here)", said, _yes(met)


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"


def _place(row: Row, *, value: bool = True) -> str:
    said = f"{row['requests_per_second']:g}/s, {row['base_rate']:.1%} errors, cv {row['noise_cv']:g}"
    if row["incident"] != NONE:
        said += f", {row['incident']}"
    return f"{said}: {row['false_rollback']:.2%}" if value else said


# --- tables ---------------------------------------------------------------------------------------------------------


def _healthy(document: Row) -> str:
    rows = []
    for engine in report.engines(document):
        cells = [row for row in report.of(document, engine, 1.0) if row["incident"] != "no telemetry"]
        mean = sum(row["false_rollback"] for row in cells) / max(1, len(cells))
        above = sum(row["false_rollback"] > document["alpha"] for row in cells)
        undecided = sum(row["inconclusive"] for row in cells) / max(1, len(cells))
        most = max((row["false_rollback"] for row in cells), default=0.0)
        rows.append([f"`{engine}`", f"{most:.1%}", f"{mean:.1%}", f"{above} of {len(cells)}", f"{undecided:.0%}"])
    head = ["engine", "largest", "mean", "cells above alpha", "undecided"]
    return _table(head, rows) + "\n\n" + paragraph("Without the cell that has no telemetry.")


def _regressions(document: Row, effect: float) -> str:
    engines = report.engines(document)
    rows = []
    for mine in report.of(document, OURS, effect):
        if mine["incident"] != NONE or mine["noise_cv"] != 0.2 or mine["base_rate"] not in (0.0, 0.005, 0.02):
            continue
        same = {row["engine"]: row for row in document["cells"]
                if row["effect"] == effect and report.world(row) == report.world(mine)}  # fmt: skip
        place = f"{effect:g}x, {mine['requests_per_second']:g}/s, {mine['base_rate']:.1%}"
        rows.append([place, *(_taken_back(same[engine]) for engine in engines)])
    return _table(["regression", *(f"`{engine}`" for engine in engines)], rows)


def _taken_back(row: Row) -> str:
    seconds = row["median_seconds"]
    return f"{'–' if seconds is None else f'{seconds:,.0f} s'} ({row['missed']:.0%})"


def _conditions(document: Row) -> str:
    engines = report.engines(document)
    names = list(dict.fromkeys(row["incident"] for row in document["cells"] if row["incident"] != NONE))
    rows = []
    for name in names:
        cells = [name]
        for engine in engines:
            healthy, bad = (_only(document, engine, effect, name) for effect in (1.0, 4.0))
            cells.append(f"{healthy['false_rollback']:.1%} / {bad['missed']:.0%}")
        rows.append(cells)
    return _table(["condition", *(f"`{engine}`" for engine in engines)], rows)


def _only(document: Row, engine: str, effect: float, incident: str) -> Row:
    return next(row for row in report.of(document, engine, effect) if row["incident"] == incident)


def _curves(document: Row) -> str:
    rows = []
    for one in document["curves"]:
        seconds = [one["median_seconds_500"], one["median_seconds_50"]]
        rows.append([
            f"`{one['setting']}` {one['value']:g}", *(f"{share:.1%}" for share in one["false_rollback"].values()),
            f"{one['first_window_500']:.0%}", *("–" if s is None else f"{s:,.0f} s" for s in seconds),
        ])  # fmt: skip
    head = ["", "cv 0.2 per pod", "cv 0.2 per arm", "cv 0.5 per arm", "first window", "500/s", "50/s"]
    said = paragraph(
        """Each row changes one default: the least noise that is allowed for (`cv_floor`, 0.2) or `alpha` (0.01). First
        the healthy releases rolled back at 500 requests/s under three noises, then how much of a fourfold regression
        (0.5 % to 2 % errors) is taken back in the first window of 500 requests/s, and the medians until it is.
The floor counts for passing alone: what fails a candidate learns its noise. A larger alpha is quicker; what is
        left of it unused is what the noise that the test must allow for costs."""
    )
    return f"{said}\n\n{_table(head, rows)}"


def _cost(document: Row) -> str:
    costs = document["verdict"]["judge"]
    rows = [[f"{one['windows']}", f"{one['milliseconds']:.1f}", f"{one['anew']:.1f}"] for one in costs]
    said = paragraph(
        """CPU time of `plimsoll.core.verdict.judge` when a release has so many windows: the last one more than was
        judged before, as while a release goes on, and all of them anew, as once after an operator's restart. Errors,
        client errors and nine latency edges are compared, with three stable pods."""
    )
    return f"{said}\n\n{_table(['windows', 'one more, ms', 'anew, ms'], rows)}"


def _method(document: Row) -> str:
    lines = [
        """**Traffic**: Poisson requests, binomial failures, at 0.5, 5, 50 and 500 requests/s; 0, 0.1, 0.5 and 2 % of
        them fail; a candidate fails 1, 1.25, 2 or 4 times as often (of a service that never fails: 0.5 % times that).
        The verdict accepts up to 1.5 times by default, so 1.25x promoted is no error of it.""",
        """**Noise**: each pod's rate is gamma distributed and drawn anew each minute (cv 0, 0.2, 0.5), for each pod
        unless the condition says “per arm”. Three stable pods; as many of the candidate's as its share needs.""",
        """**Conditions**: shared incidents of a minute, tenfold, four an hour; a candidate that fails three times as
        often for two minutes (cold start); ten minutes an hour without telemetry (gaps), or that one pod's counts lose
        (resets); load that swings by 80 %. Requests are fast: latency never fails and its part of alpha is unused.""",
        """**This engine**: windows of 10 s, steps 10 and 50 %, then 95 % with a minute of probation; undecided after 30
        minutes counts as inconclusive. **Argo Rollouts**: the background analysis of its documentation (20 to 80 % in
        steps of ten minutes, `irate`, at least 95 % every 5 minutes, failureLimit 3). **Flagger**: the tutorials'
        (success rate at least 99 %, 1 m, threshold 5, steps of 10 up to 50). **Kayenta**: 10 % against a baseline of
        the same size, three hours, a judgment each hour, thresholds 95 and 75. *Tuned*: whoever set the limit knew the
        service, 1.5 × its rate and 0.1 %; measured each minute; Kayenta judges every ten minutes for half an hour, an
        increase below one half allowed.""",
        """**The peers' rules** follow the documentation of Argo Rollouts v1.10.2, Flagger v1.36.1 and Spinnaker, and
        the programs' sources where it is silent. Flagger's is tested against 16 recorded runs of its real controller,
        Kayenta's against what its real classifier said of 19 pairs of series; that of Argo Rollouts is not tested
        against recordings yet.""",
        """**Bad requests** in the JSON file: failed requests of the candidate, until the decision and, once promoted,
        until the horizon (30 minutes; Argo Rollouts as documented 40, Kayenta as documented 180).
        Delays of scrapes and the extrapolation of `rate` are not simulated yet; nor are latency, shifts of scores and
        late labels.""",
    ]
    facts = f"* command: `{document['run']['command']}`\n* date: {document['run']['date']}"
    return "\n\n".join([*map(paragraph, lines), facts])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
