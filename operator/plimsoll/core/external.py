"""From the readings of custom metrics to what a window says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

from plimsoll.facts import Demand, External, Reading

#: The queries of each kind, by what they give.
PARTS: Mapping[str, tuple[str, ...]] = {
    "Ratio": ("events", "total"), "Mean": ("total", "sum", "squares"), "Counter": ("events",),
}  # fmt: skip
#: Of one query, those that are away counted: a record that holds them stays small.
_MOST_SERIES = 200


def remembered(previous: Reading | None, current: Reading) -> Reading:
    """`current` with the last values of the series that it lacks: one failed scrape takes a pod's series away, and
    what they had counted before is not new when they come back."""
    known = previous.values if previous else {}
    values = {}
    for key in {**known, **current.values}:
        then, both = known.get(key, {}), {**known.get(key, {}), **current.values.get(key, {})}
        values[key] = both if len(both) <= _MOST_SERIES else then
    return replace(current, values=values)


def arms(margin: float | None) -> tuple[str, ...]:
    """Whose series a metric with this margin needs: a bound without one is on the candidate alone."""
    return ("candidate",) if margin is None else ("candidate", "stable")


def between(demand: Demand, previous: Reading | None, current: Reading | None) -> External:
    """What was counted between two readings of one metric, series by series.

    A series that is new counts from zero: its process began, or it had nothing to count. One that vanished adds
    nothing, and goes on where it was if `previous` is `remembered`. `gap` says why there is nothing to say: the
    reading's own reason; `missing: …` there was no reading before, or no series; `reset: …` a series fell;
    `invalid: …` the numbers contradict each other, or there are too many series.
    """
    if current is None or current.gap is not None:
        return External(gap=current.gap if current else "missing: it was not asked")
    if previous is None or previous.gap is not None:
        return External(gap="missing: there is no earlier reading")
    counts: dict[str, tuple[float, ...]] = {}
    for arm in arms(demand.margin):
        found = []
        for part in PARTS[demand.kind]:
            then, now = (one.values.get(f"{arm}/{part}", {}) for one in (previous, current))
            rise = _rise(f"{part} of the {arm}", then, now)
            if isinstance(rise, str):
                return External(gap=rise)
            found.append(rise)
        counts[arm] = tuple(found)
    for arm in counts:
        if not any(current.values.get(f"{arm}/{part}") for part in PARTS[demand.kind]):
            return External(gap=f"missing: the query has no series of the {arm}")
    return _checked(demand, counts)


def _rise(what: str, then: Mapping[str, float], now: Mapping[str, float]) -> float | str:
    """Of all series together, or why it is not known."""
    if len({**then, **now}) > _MOST_SERIES:
        return f"invalid: {what} gave more than {_MOST_SERIES} series in this release: leave labels out that change"
    rises = [value - then.get(series, 0.0) for series, value in now.items()]
    if not all(isfinite(one) for one in rises):
        return f"invalid: {what} gives no number"
    return f"reset: {what} fell" if min(rises, default=0.0) < 0 else sum(rises)


def _checked(demand: Demand, counts: Mapping[str, tuple[float, ...]]) -> External:
    if demand.kind == "Counter":
        return External(tuple(round(one) for one in counts["candidate"]))
    said = {}
    for arm, counted in counts.items():
        read = _ratio(counted) if demand.kind == "Ratio" else _mean(demand, counted)
        if isinstance(read, str):
            return External(gap=f"invalid: {arm}: {read}")
        said[arm] = read
    return External(said["candidate"], said.get("stable", ()))


def _ratio(counts: tuple[float, ...]) -> tuple[float, ...] | str:
    events, trials = (round(one) for one in counts)
    return f"{events} events of {trials} trials: query must count some of what total counts" if events > trials else (
        events, trials,
    )  # fmt: skip


def _mean(demand: Demand, counts: tuple[float, ...]) -> tuple[float, ...] | str:
    """Without a query of squares the most that they can be: that costs evidence and is never wrong."""
    n, total, squares = counts
    most = (demand.low + demand.high) * total - demand.low * demand.high * n
    slack = 1e-6 * max(1.0, abs(n * demand.low), abs(n * demand.high))
    if not n * demand.low - slack <= total <= n * demand.high + slack:
        return f"{n:g} values sum up to {total:g}, beyond what range allows"
    squares = squares or max(most, 0.0)
    if n and squares * n < total**2 * (1 - 1e-9):
        squares = total**2 / n
    return (n, total, squares)
