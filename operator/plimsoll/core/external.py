"""From the readings of custom metrics to what a window says of them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from plimsoll.facts import Demand, External, Reading

#: The queries of each kind, by what they give.
PARTS: Mapping[str, tuple[str, ...]] = {
    "Ratio": ("events", "total"), "Mean": ("total", "sum", "squares"), "Counter": ("events",),
}  # fmt: skip


def between(demand: Demand, previous: Reading | None, current: Reading | None) -> External:
    """What was counted between two readings of one metric, series by series.

    A series that is new counts from zero: its process began, or it had nothing to count. One that vanished adds
    nothing. `gap` says why there is nothing to say: the reading's own reason; `missing: …` there was no reading before,
    or no series; `reset: …` a series fell; `invalid: …` the numbers contradict each other.
    """
    if current is None or current.gap is not None:
        return External(gap=current.gap if current else "missing: it was not asked")
    if previous is None or previous.gap is not None:
        return External(gap="missing: there is no earlier reading")
    counts: dict[str, tuple[float, ...]] = {}
    for arm in ("candidate", "stable"):
        found = []
        for part in PARTS[demand.kind]:
            now, then = (one.values.get(f"{arm}/{part}", {}) for one in (current, previous))
            deltas = [value - then.get(series, 0.0) for series, value in now.items()]
            if not all(isfinite(one) for one in deltas):
                return External(gap=f"invalid: {part} of the {arm} gives no number")
            if min(deltas, default=0.0) < 0:
                return External(gap=f"reset: {part} of the {arm} fell")
            found.append(sum(deltas))
        counts[arm] = tuple(found)
    asked = ("candidate",) if demand.kind == "Counter" else ("candidate", "stable")
    for arm in asked:
        if not any(current.values.get(f"{arm}/{part}") for part in PARTS[demand.kind]):
            return External(gap=f"missing: the query has no series of the {arm}")
    return _checked(demand, counts)


def _checked(demand: Demand, counts: Mapping[str, tuple[float, ...]]) -> External:
    if demand.kind == "Counter":
        return External(tuple(round(one) for one in counts["candidate"]))
    arms = []
    for arm in ("candidate", "stable"):
        read = _ratio(counts[arm]) if demand.kind == "Ratio" else _mean(demand, counts[arm])
        if isinstance(read, str):
            return External(gap=f"invalid: {arm}: {read}")
        arms.append(read)
    return External(arms[0], arms[1])


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
