"""Putting e-values together: over time, over alternatives, over metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_sum(logs: Array, axis: int) -> Array:
    """Log of Σ exp over an axis, which is dropped."""
    top = np.max(logs, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total: Array = np.squeeze(top, axis) + np.log(np.sum(np.exp(logs - top), axis=axis))
    return total


def mixture(log_wealth: Array, weights: Array) -> Array:
    """Log of Σ wⱼ exp(log_wealth[…, j]) with weights that sum to 1: valid under any dependence; drops the last axis."""
    return log_sum(log_wealth + np.log(weights), -1)


def average(log_wealth: Array) -> Array:
    """Log of the arithmetic mean over the last axis: valid under any dependence (Vovk & Wang, "E-values", 2021)."""
    return log_sum(log_wealth, -1) - float(np.log(log_wealth.shape[-1]))


def restarted(log_factors: Array, weights: Array, starts: NDArray[np.int64]) -> Array:
    """Log wealth (windows, edges) of factors (windows, edges, alternatives), restarted at the windows `starts` (the
    first is 0).

    The i-th start (from 1) gets 2⁻ⁱ of the capital, which lies idle until then: a mixture of e-processes, so an
    e-process. Without it the losses of a healthy beginning hide what breaks only at a higher weight; it costs a
    factor of 2 at first.
    """
    total = np.cumsum(log_factors, axis=0)
    before = np.concatenate([np.zeros_like(total[:1]), total])[starts]
    started = np.arange(len(total))[:, None] >= starts[None, :]
    logs = total[:, None] - before[None, :]
    bets = mixture(np.where(started[:, :, None, None], logs, 0.0), weights)
    shares = 0.5 ** np.arange(1, len(starts) + 1)
    idle = np.full((len(total), 1, total.shape[1]), np.log(shares[-1]))
    return log_sum(np.concatenate([bets + np.log(shares)[None, :, None], idle], axis=1), 1)


def restarted_evenly(log_factors: Array, starts: NDArray[np.int64]) -> Array:
    """`restarted` of one edge whose alternatives have equal weights: from (windows, alternatives) to (windows,)."""
    ways = log_factors.shape[-1]
    found: Array = restarted(log_factors[:, None, :], np.full(ways, 1 / ways), starts)[:, 0]
    return found


def capped(log_factors: Array, cap: float) -> Array:
    """Running log wealth (axis 0) that throws away what exceeds `cap`, so that it answers quickly when things turn bad.

    wealth ← min(cap, wealth + factor), in closed form by Skorokhod's reflection.
    """
    total = np.cumsum(log_factors, axis=0)
    excess: Array = np.maximum(np.maximum.accumulate(total, axis=0) - cap, 0.0)
    return total - excess


def increments(so_far: Array, spells: NDArray[np.int64]) -> Array:
    """What each row adds to sums that begin anew with each spell (axis 0); `spells` holds the first row of each
    row's spell."""
    steps = np.diff(so_far, axis=0, prepend=np.zeros_like(so_far[:1]))
    begins = spells == np.arange(len(spells))
    added: Array = np.where(begins.reshape(-1, *(1,) * (so_far.ndim - 1)), so_far, steps)
    return added
