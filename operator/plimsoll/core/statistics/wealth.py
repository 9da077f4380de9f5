"""Putting e-values together: over time, over alternatives, over metrics.

Mixtures over alternatives: Robbins, Ann. Math. Statist. 1970. Averages under any dependence: Vovk & Wang, "E-values",
Ann. Statist. 2021. Bets that begin at several times, with weights that sum to 1: Shin, Ramdas & Rinaldo, "E-detectors",
NEJSDS 2023. Caps: Skorokhod's reflection (1961); who throws wealth away keeps an e-process.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: One figure for all edges, or one for each.
Level = float | Array


#: numpy takes arrays without axes much quicker than Python's numbers.
NONE, ONE = np.array(0.0), np.array(1.0)
_LOG_2 = log(2)
#: In place of −∞, from which −∞ cannot be taken, and of a 0 that has no logarithm.
_LEAST, _TINY = -np.finfo(np.float64).max, np.array(np.finfo(np.float64).tiny)


def log_sum(logs: Array) -> Array:
    """Log of Σ exp over the last axis, which is dropped; of nothing but −∞ it is the least number that there is."""
    top: Array = np.maximum.reduce(logs, axis=-1, initial=_LEAST)
    parts = logs - top[..., None]
    total = np.add.reduce(np.exp(parts, out=parts), axis=-1)
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
    idle = np.zeros((*log_factors.shape[:2], 1))
    earned = np.concatenate([log_factors.cumsum(axis=0), idle], axis=-1)
    return Restarted().after(earned, anew, (np.log(weights), np.zeros(1)))[1]


@dataclass(frozen=True, slots=True)
class Restarted:
    """Where bets stand that begin anew: the i-th time (from 1) with 2⁻ⁱ of the capital, which until then lies idle. It
    is a mixture of e-processes, so an e-process.

    `stakes` (edges, bets + parts): the log of the sum, over all times, of what each bet began with, as if it had earned
    nothing by then, and the same of each part of the idle capital.
    """

    stakes: Array | None = None

    def after(
        self, earned: Array, anew: Array | NDArray[np.bool_], weights: tuple[Array, Array], before: Array | float = 0.0
    ) -> tuple[Restarted, Array]:
        """Where they stand after these rows as well, and the log wealth (rows, edges) in them.

        `earned` (rows, edges, bets + parts) is running log wealth: of the bets, and of the parts of the idle capital,
        which may earn too; `before` is that before the first row. `anew` (rows, edges) is 1 where the bets begin again.
        `weights` are logs: of what each bet gets of its part, (bets,), of which each part has as many; of the parts.
        """
        stakes = self.stakes
        if stakes is None:
            stakes = np.empty(earned.shape[1:])
            stakes[:, : len(weights[0])], stakes[:, len(weights[0]) :] = -np.inf, weights[1]
        stakes = stakes[None]
        if np.count_nonzero(anew):
            stakes = _begun(stakes, np.concatenate([started(before, earned), earned[:-1]]), anew, weights[0])
        return Restarted(stakes[-1]), log_sum(earned + stakes)


def _begun(stakes: Array, earlier: Array, anew: Array | NDArray[np.bool_], log_weights: Array) -> Array:
    """The stakes of `Restarted` in each row, (rows, edges, bets + parts), of those before the first, (1, …), and what
    was earned before each row."""
    bets = len(log_weights)
    idle = stakes[..., bets:] - anew.cumsum(axis=0)[..., None] * _LOG_2
    parts = (earlier[..., bets:] + idle).repeat(bets // idle.shape[-1], axis=-1)
    begins = parts + log_weights - earlier[..., :bets]
    begins[anew == 0] = -np.inf
    given = np.logaddexp.accumulate(np.concatenate([stakes[..., :bets], begins]), axis=0)[1:]
    return np.concatenate([given, idle], axis=-1)


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
        peak = np.maximum(np.maximum.accumulate(total, axis=0) if len(total) > 1 else total, self.peak)
        return Capped(total[-1], peak[-1]), total - np.maximum(peak - cap, NONE)


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
