"""The page on the trade-off: where a peer is quicker, what other defaults would buy, and why they are as they are."""

from __future__ import annotations

from collections import Counter

from bench.markdown import paragraph, table
from bench.release import report
from bench.release.engines import HORIZON_MINUTES
from bench.release.report import NONE, Row

NOISES = {"none": "cv 0.2 per pod", "noise per arm": "cv 0.2 per arm", "noise per arm, cv 0.5": "cv 0.5 per arm"}
FOURFOLD, TWOFOLD, FOURFOLD_50, PROMOTED = (
    "median_seconds_500", "twofold_seconds_500", "median_seconds_50", "promoted_seconds_50",
)  # fmt: skip
#: The default that each setting has today; the page says why.
DEFAULTS = {"alpha": 0.01, "error_margin": 1.5, "cv_floor": 0.2, "prePeriod": 0.0}


def peers(document: Row) -> str:
    """Who is the quickest at equal false rollback, and in which worlds."""
    rows = []
    for effect in (2.0, 4.0):
        lost = [race for race in report.races(document, effect) if race["slower"]]
        for engine, cells in Counter(race["best"]["engine"] for race in lost).most_common():
            mine = [race["row"] for race in lost if race["best"]["engine"] == engine]
            why = _why([race for race in lost if race["best"]["engine"] == engine])
            rows.append([f"{effect:g}x", f"`{engine}`", str(cells), *_worlds(mine), why])
    said = paragraph(
        """At equal false rollback: a peer counts, as documented or tuned, where it is not shown to roll back more of
        the same hours' healthy releases than this engine (the exact 95 % intervals of the two shares meet). Of those
        that count the quickest by the median is the best; where it never takes back half of them, and ours neither,
        nobody is quicker."""
    )
    why = paragraph(
        """The tuned peers are told the service's rate of errors and hold the candidate to a fixed limit above it: they
        need no stable version to compare with, and no evidence to learn how noisy pods are. What that costs is in the
        table of conditions: the same limit takes healthy releases back in an incident, in a cold start, in a gap. This
        engine is told nothing. It must see in the release itself that a rise is neither chance nor the noise of pods,
        to a noise of cv 0.5 that it does not know, and twice the errors are close to what such noise does."""
    )
    how = paragraph(
        f"""Why it is not ours: *promoted* where this engine passes more than half, for the rise is of less than 1 % of
        all requests, which may pass, and too small to arouse suspicion; *after its time* where the peer takes more than
        {HORIZON_MINUTES} minutes, and this engine has held the release for a person since then; *more evidence* where
        it waits until chance and noise are excluded."""
    )
    head = ["regression", "quickest", "cells", "requests/s", "errors", "cv", "why it is not ours"]
    return f"{said}\n\n{table(head, rows)}\n\n{how}\n\n{why}"


def _why(races: list[Row]) -> str:
    """How often each reason."""

    def reason(race: Row) -> str:
        if race["row"]["missed"] > 0.5:
            return "promoted"
        return "after its time" if race["best"]["median_seconds"] > 60 * HORIZON_MINUTES else "more evidence"

    return ", ".join(f"{why} ({count})" for why, count in sorted(Counter(map(reason, races)).items()))


def _worlds(rows: list[Row]) -> list[str]:
    """Where these are: requests per second, errors, noise, each with its number of cells."""
    plain = [row for row in rows if row["incident"] == NONE]
    others = len(rows) - len(plain)

    def spread(name: str, form: str) -> str:
        return ", ".join(
            f"{value:{form}} ({count})" for value, count in sorted(Counter(r[name] for r in plain).items())
        )

    rates, conditions = spread("requests_per_second", "g"), f"conditions ({others})" if others else ""
    return ["; ".join(filter(None, (rates, conditions))), spread("base_rate", ".1%"), spread("noise_cv", "g")]


def curves(document: Row) -> str:
    """One default changed at a time."""
    rows, runs = [_row(one) for one in document["curves"]], document["curves"][0]["runs"]
    head = ["", *NOISES.values(), "4x in the first window", "4x, 500/s", "2x, 500/s", "4x, 50/s", "promoted, 50/s"]
    said = paragraph(
        f"""Each row changes one default, of which the one in force is bold; {runs:,} releases a figure, so that a share
        of 2 % is uncertain by {196 * (0.02 * 0.98 / runs) ** 0.5:.1f} points;
        0.5 % errors; a dash is “not in half of them”, or not simulated. First the healthy releases rolled
        back at 500 requests/s under three noises; then how much of a fourfold regression is taken back in the first
        window of 500 requests/s, the medians until a regression is, and until a healthy release at 50 requests/s is
        promoted. `cv_floor` counts for passing alone: what fails a candidate learns its noise. Seconds are counted from
        the first share; `prePeriod`, in seconds, comes before it."""
    )
    return f"{said}\n\n{table(head, rows)}\n\n{_reasons(document)}"


def _row(one: Row) -> list[str]:
    name = f"`{one['setting']}` {one['value']:g}"
    return [
        f"**{name}**" if one["value"] == DEFAULTS[one["setting"]] else name,
        *(f"{one['false_rollback'][noise]:.2%}" for noise in NOISES),
        f"{one['first_window_500']:.0%}",
        *(_seconds(one, figure) for figure in (FOURFOLD, TWOFOLD, FOURFOLD_50, PROMOTED)),
    ]


def _reasons(document: Row) -> str:
    """Why each default is what it is, as far as its curve was simulated."""
    points = {(one["setting"], one["value"]): one for one in document["curves"]}
    said = []
    others = (
        ("alpha", 0.05, _alpha), ("error_margin", 1.1, _margin), ("cv_floor", 0.4, _floor),
        ("prePeriod", 120.0, _pre_period),
    )  # fmt: skip
    for setting, other, reason in others:
        usual, changed = points.get((setting, DEFAULTS[setting])), points.get((setting, other))
        if usual is not None and changed is not None:
            said.append(paragraph(f"**Why `{setting}` is {DEFAULTS[setting]:g}.** {reason(usual, changed)}"))
    return "\n\n".join(said)


def _alpha(usual: Row, changed: Row) -> str:
    return f"""Five times as much brings a fourfold regression back after {_instead(changed, usual, FOURFOLD)} at 500
        requests/s, and of these {_first(changed, usual)} are found in the first ten seconds. In the worst of the three
        noises it rolls back {_worst(changed):.2%} of the healthy releases instead of {_worst(usual):.2%}. Evidence
        grows by a factor with each window, so that alpha buys seconds, and the first window at no alpha; but each false
        rollback costs a person an investigation. So the smaller one is the default."""


def _margin(usual: Row, changed: Row) -> str:
    said = f"""At {changed["value"]:g} a fourfold regression is taken back after
        {_instead(changed, usual, FOURFOLD)}, a twofold one after {_instead(changed, usual, TWOFOLD)}; but then a
        candidate that fails a quarter more often is taken back as well, which few would wish"""
    if _worst(changed) > _worst(usual):
        said += f""", and {_worst(changed):.2%} of the healthy ones in the worst of the three noises instead of
            {_worst(usual):.2%}"""
    return said + "."


def _floor(usual: Row, changed: Row) -> str:
    return f"""It is what a pass allows for before the pods have shown their noise. At {changed["value"]:g} a healthy
        release at 50 requests/s takes {_instead(changed, usual, PROMOTED)}."""


def _pre_period(usual: Row, changed: Row) -> str:
    return f"""Two minutes in which the stable version alone is watched (`prePeriod: 2m`) change little where
        pods differ by more than chance: of fourfold regressions {_first(changed, usual)} are found in the first window,
        the medians are {_instead(changed, usual, FOURFOLD)} and, of twofold ones, {_instead(changed, usual, TWOFOLD)},
        all from the first share on. Every release takes two minutes longer for it. And what pods show beforehand is
        believed of the whole version: where an arm shares its noise they look quiet, and
        {_worst(changed):.2%} of the healthy releases are rolled back instead of {_worst(usual):.2%} in the worst of the
        three noises (decision 0014). So it is asked for, and not the default."""


def _instead(changed: Row, usual: Row, figure: str) -> str:
    return report.instead(_seconds(changed, figure), _seconds(usual, figure))


def _first(changed: Row, usual: Row) -> str:
    return report.instead(f"{changed['first_window_500']:.0%}", f"{usual['first_window_500']:.0%}")


def _worst(one: Row) -> float:
    return max(one["false_rollback"].values())


def _seconds(one: Row, figure: str) -> str:
    """A dash where it is not so in half of the releases, or was not simulated."""
    seconds = one.get(figure)
    return "–" if seconds is None else f"{seconds:,.0f} s"
