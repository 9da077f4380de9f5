"""`docs/benchmarks-release.md` from the JSON file. Whoever edits the page edits this module."""

from __future__ import annotations

from bench.markdown import paragraph, table
from bench.release import goals, report, trade
from bench.release.report import FRESH, NONE, OURS, Row
from bench.release.scenes import page as scenes

PLOT = "../bench/results/release.svg"
ENOUGH = 10_000


def page(document: Row) -> str:
    """The whole page."""
    parts = [
        "# Benchmarks: releases",
        _opening(document),
        _warning(document),
        "## The goals",
        goals.section(document),
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
        "## Where a peer is quicker",
        trade.peers(document),
        "## Conditions",
        paragraph(
            "50 requests/s or as it says, 0.5 % errors. Healthy releases rolled back / fourfold regressions promoted:"
        ),
        _conditions(document),
        scenes.section(document),
        "## What the defaults buy",
        trade.curves(document),
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
        {document["alpha"]:g}, of which the first attempt of a revision, as each of these is, has nine tenths."""
    )


def _warning(document: Row) -> str:
    healthy, worse = (_plain(document, effect)["runs"] for effect in (1.0, 2.0))
    said = f"""**One run**, `{document["run"]["command"]}`: {healthy:,} healthy releases a cell and {worse:,} of each
        regression, a fifth of them for Kayenta as documented. Of {healthy:,} releases without a false rollback the
        exact interval (95 %) ends at {report.interval(0, healthy)[1]:.2%}; a share of 1 % is uncertain by
        {1.96 * (0.01 * 0.99 / healthy) ** 0.5:.2%}."""
    if healthy < ENOUGH:
        said += f" `make bench-release` runs {ENOUGH:,} of those that decide a claim."
    if "seconds" in document:
        spent, processes = sum(document["cpu_seconds"].values()), document["processes"]
        said += f""" It took {document["seconds"]:,} s with {processes} processes, and {spent:,.0f} s of processor time
            in all, which is {spent / processes / document["seconds"]:.0%} of {processes} cores: the rest was idle, or
            other work's, which makes a processor's second worth less, too."""
    if "again" in document["run"]:
        again = ", ".join(f"{name} ({when})" for name, when in document["run"]["again"].items())
        said += f""" Simulated again since then, for this engine had changed: {again}. The peers had not, and see the
            same hours; all else is of that run."""
    return paragraph(said)


def _plain(document: Row, effect: float) -> Row:
    return next(row for row in report.of(document, OURS, effect) if row["incident"] == NONE)


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
    return table(head, rows) + "\n\n" + paragraph("Without the cell that has no telemetry.")


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
    return table(["regression", *(f"`{engine}`" for engine in engines)], rows)


def _taken_back(row: Row) -> str:
    seconds = row["median_seconds"]
    return f"{'–' if seconds is None else f'{seconds:,.0f} s'} ({row['missed']:.0%})"


def _conditions(document: Row) -> str:
    names = list(dict.fromkeys(row["incident"] for row in document["cells"] if row["incident"] != NONE))
    engines, rows = report.engines(document), []
    for name in names:
        rows.append([name, *(_healthy_and_bad(document, engine, name) for engine in engines)])
        if any(row["incident"] == name for row in report.of(document, FRESH, 1.0)):
            other = ["–"] * (len(engines) - 1)
            rows.append([f"{name}, `baseline: Fresh`", _healthy_and_bad(document, FRESH, name), *other])
    return table(["condition", *(f"`{engine}`" for engine in engines)], rows)


def _healthy_and_bad(document: Row, engine: str, name: str) -> str:
    healthy, bad = (_only(document, engine, effect, name) for effect in (1.0, 4.0))
    return f"{healthy['false_rollback']:.1%} / {bad['missed']:.0%}"


def _only(document: Row, engine: str, effect: float, incident: str) -> Row:
    return next(row for row in report.of(document, engine, effect) if row["incident"] == incident)


def _cost(document: Row) -> str:
    costs, alone = document["verdict"]["judge"], "alone" in document["verdict"]
    rows = [[f"{one['windows']}", f"{one['milliseconds']:.1f}", f"{one['anew']:.1f}"] for one in costs]
    said = paragraph(
        """CPU time of `plimsoll.core.verdict.judge` when a release has so many windows: the last one more than was
        judged before, as while a release goes on, and all of them anew, as once after an operator's restart. Errors,
        client errors and nine latency edges are compared, with three stable pods."""
        + (f" Measured apart from that run (`--cost`), on {document['verdict']['alone']}." if alone else "")
    )
    return f"{said}\n\n{table(['windows', 'one more, ms', 'anew, ms'], rows)}"


def _method(document: Row) -> str:
    lines = [
        """**Traffic**: Poisson requests, binomial failures, at 0.5, 5, 50 and 500 requests/s; 0, 0.1, 0.5 and 2 % of
        them fail; a candidate fails 1, 1.25, 2 or 4 times as often (of a service that never fails: 0.5 % times that).
        The verdict accepts up to 1.5 times by default, so 1.25x promoted is no error of it.""",
        """**Noise**: each pod's rate is gamma distributed and drawn anew each minute (cv 0, 0.2, 0.5), for each pod
        unless the condition says “per arm”. Three stable pods; as many of the candidate's as its share needs.""",
        """**Conditions**: shared incidents of a minute, tenfold, four an hour; a candidate that fails three times as
        often for two minutes (cold start: so do pods of the stable version that are started for the comparison, which
        are Kayenta's baseline and this engine's with `baseline: Fresh`); ten minutes an hour without telemetry (gaps),
        or that one pod's counts lose (resets); load that swings by 80 %. In these cells requests are fast: latency
        never fails and its part of alpha is unused.""",
        """**This engine**: windows of 10 s, steps 10 and 50 %, then 95 % with a minute of probation; undecided after 30
        minutes counts as inconclusive. **Argo Rollouts**: the background analysis of its documentation (20 to 80 % in
        steps of ten minutes; from 40 % on, `irate` every 5 minutes, at least 95 %, failureLimit 3). **Flagger**: the
        tutorials' (success rate at least 99 %, 1 m, threshold 5, steps of 10 up to 50). **Kayenta**: 10 % against a
        baseline of the same size, three hours, a judgment each hour, thresholds 95 and 75. *Tuned*: whoever set the
        limit knew the service, 1.5 × its rate and 0.1 %; measured each minute; Kayenta judges every ten minutes
        for half an hour, an increase below one half allowed.""",
        """**The peers' rules** follow the documentation of Argo Rollouts v1.10.2, Flagger v1.36.1 and Spinnaker. Where
        it is silent the programs were asked: tests hold the rules against 40 recorded runs of Argo Rollouts' real
        analysis controller, 16 of Flagger's, and what Kayenta's real classifier said of 19 pairs of series
        (`bench/release/recorded`, with the recorders).""",
        """**Bad requests** in the JSON file: failed requests of the candidate, until the decision and, once promoted,
        until the horizon (30 minutes; Argo Rollouts as documented 40, Kayenta as documented 180).
        Delays of scrapes and the extrapolation of `rate` are not simulated.""",
    ]
    facts = f"* command: `{document['run']['command']}`\n* date: {document['run']['date']}"
    if spent := document.get("cpu_seconds"):
        facts += "\n* CPU seconds: " + ", ".join(f"{name} {seconds:,.0f}" for name, seconds in spent.items())
    return "\n\n".join([*map(paragraph, lines), facts])
