"""Putting e-values together: over time, over alternatives, over metrics."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: One figure for all edges, or one for each.
Level = float | Array


_LOG_2 = log(2)
#: In place of −∞, from which −∞ cannot be taken, and of a 0 that has no logarithm.
_LEAST, _TINY = -np.finfo(np.float64).max, np.finfo(np.float64).tiny


def log_sum(logs: Array) -> Array:
    """Log of Σ exp over the last axis, which is dropped; of nothing but −∞ it is the least number that there is."""
    top: Array = np.maximum.reduce(logs, axis=-1, initial=_LEAST)
    total = np.add.reduce(np.exp(logs - top[..., None]), axis=-1)
    found: Array = np.log(np.maximum(total, _TINY)) + top
    return found


def mixture(log_wealth: Array, weights: Array) -> Array:
    """Log of Σ wⱼ exp(log_wealth[…, j]) with weights that sum to 1: valid under any dependence; drops the last axis."""
    return log_sum(log_wealth + np.log(weights))


def average(log_wealth: Array) -> Array:
    """Log of the arithmetic mean over the last axis: valid under any dependence (Vovk & Wang, "E-values", 2021)."""
    return log_sum(log_wealth) - log(log_wealth.shape[-1])


def restarted(log_factors: Array, weights: Array, starts: NDArray[np.int64]) -> Array:
    """Log wealth (windows, edges) of factors (windows, edges, alternatives), restarted at the windows `starts` (the
    first is 0).

    Without it the losses of a healthy beginning hide what breaks only at a higher weight; it costs a factor of 2 at
    first.
    """
    anew = np.zeros(log_factors.shape[:2])
    anew[starts] = 1.0
    return Restarted().after(log_factors.cumsum(axis=0), np.log(weights), anew)[1]


@dataclass(frozen=True, slots=True)
class Restarted:
    """Where bets stand that begin anew: the i-th time (from 1) with 2⁻ⁱ of the capital, which until then lies idle. It
    is a mixture of e-processes, so an e-process.

    `lost` (edges,) is −log of the part that is still idle. `spare` (edges, bets) is what the idle capital has earned so
    far, less what the bets have, and `given` the log of the sum, over all times, of what each bet began with and had
    spared by then.
    """

    lost: Array | float = 0.0
    given: Array | float = -np.inf
    spare: Array | float = 0.0

    def after(
        self, bets: Array, log_weights: Array, anew: Array, idle: Array | float = 0.0, alike: Array | float = 0.0
    ) -> tuple[Restarted, Array]:
        """Where they stand after these rows as well, and the log wealth (rows, edges) in them.

        `bets` (rows, edges, bets) are running log wealth, `anew` (rows, edges) is 1 where they begin again. Idle
        capital may earn too: `idle` (rows, edges, any) in parts, `alike` (rows, edges, bets) what goes to each bet.
        """
        spare, lost, given = alike - bets, started(self.lost, anew), started(self.given, bets)
        if np.count_nonzero(anew):
            lost = running(anew * _LOG_2, self.lost)
            earlier = np.concatenate([started(self.spare, spare), spare[:-1]])
            begins = earlier + log_weights - lost[..., None]
            begins[anew == 0] = -np.inf
            given = np.logaddexp.accumulate(np.concatenate([given, begins]), axis=0)[1:]
        wealth = np.empty((*bets.shape[:-1], bets.shape[-1] + (idle.shape[-1] if isinstance(idle, np.ndarray) else 1)))
        ways = bets.shape[-1]
        np.add(bets, given, out=wealth[..., :ways])
        np.subtract(idle, lost[..., None], out=wealth[..., ways:])
        return Restarted(lost[-1], given[-1], spare[-1]), log_sum(wealth)


def restarted_evenly(log_factors: Array, starts: NDArray[np.int64]) -> Array:
    """`restarted` of one edge whose alternatives have equal weights: from (windows, alternatives) to (windows,)."""
    ways = log_factors.shape[-1]
    found: Array = restarted(log_factors[:, None, :], np.full(ways, 1 / ways), starts)[:, 0]
    return found


def capped(log_factors: Array, cap: float) -> Array:
    """Running log wealth (axis 0) that throws away what exceeds `cap`, so that it answers quickly when things turn bad.

    wealth ← min(cap, wealth + factor), in closed form by Skorokhod's reflection.
    """
    return Capped().after(log_factors, cap)[1]


@dataclass(frozen=True, slots=True)
class Capped:
    """Where `capped` stands after some rows: the sum of all factors, and the largest that it has been."""

    total: Array | float = 0.0
    peak: Array | float = -np.inf

    def after(self, log_factors: Array, cap: float) -> tuple[Capped, Array]:
        """Where it stands after these rows as well, and the wealth in each of them."""
        total = running(log_factors, self.total)
        peak = np.maximum(np.maximum.accumulate(total, axis=0), self.peak)
        return Capped(total[-1], peak[-1]), total - np.maximum(peak - cap, 0.0)


def running(values: Array, before: Array | float = 0.0) -> Array:
    """Sums over the rows up to each (axis 0), and `before`, which the rows before come to."""
    if len(values) == 1:  # one window more, as nearly always
        return values + before
    total: Array = np.concatenate([started(before, values), values]).cumsum(axis=0)[1:]
    return total


def started(before: Array | float, values: Array) -> Array:
    """`before` as a row before these values, (1, …)."""
    if isinstance(before, float):
        return np.full((1, *values.shape[1:]), before)
    return before[None]


def begins_in(labels: NDArray[np.int64], before: int | None = None) -> NDArray[np.bool_]:
    """Where a label differs from the one before it; `before` is the one before the first, should there be one."""
    first = [before is None or bool(labels[0] != before)]
    return np.array(first) if len(labels) == 1 else np.concatenate([first, labels[1:] != labels[:-1]])


def within(counts: Array, begins: NDArray[np.bool_], before: Array | float = 0.0) -> Array:
    """Sums of whole numbers (axis 0) over the rows since the last that begins a spell, as `begins` (rows,) says;
    `before` is what the spell has come to before the first row, should that not begin one."""
    if len(counts) == 1:
        return counts if begins[0] else counts + before
    total = np.cumsum(counts, axis=0)
    firsts = np.maximum.accumulate(np.where(begins, np.arange(len(counts)), -1))
    goes_on = (firsts < 0).reshape(-1, *(1,) * (counts.ndim - 1))
    return total + np.where(goes_on, before, (counts - total)[np.maximum(firsts, 0)])


def increments(so_far: Array, begins: NDArray[np.bool_], before: Array | float = 0.0) -> Array:
    """What each row adds to figures that begin anew with each spell (axis 0); `begins` says where, (rows,) or of
    another shape that broadcasts; `before` is the figure before the first row."""
    if begins.size == 1:
        return so_far if begins.item() else so_far - before
    earlier = np.concatenate([started(before, so_far), so_far[:-1]])
    begins = begins.reshape(-1, *(1,) * (so_far.ndim - 1)) if begins.ndim == 1 else begins
    return so_far - np.where(begins, 0.0, earlier)
