"""The Mann-Whitney test of many pairs of samples at once: (pairs, points), where a NaN is no point.

As R's wilcox.test (exact = FALSE), which the judge of Kayenta is checked against: the rank sum of the shifted sample in
standard errors, corrected for continuity and ties.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]


def standardised(x: Array, y: Array) -> Array:
    """How far the rank sum of `x` is above what it would be if both were alike, in standard errors: (pairs,); 0 where
    nothing tells them apart."""
    n, m = (_points(sample) for sample in (x, y))
    # What is no point ranks behind all points, and so moves none of their ranks.
    both = np.concatenate([x, y], axis=1)
    there = ~np.isnan(both)
    ranks = rankdata(np.where(there, both, np.inf), axis=1) * there
    excess = ranks[:, : x.shape[1]].sum(axis=1) - n * (n + 1) / 2 - n * m / 2
    total = n + m
    # Σ(t³ − t) over the groups of equal values, by what they take from the squares of the ranks.
    ties = 2 * total * (total + 1) * (2 * total + 1) - 12 * (ranks * ranks).sum(axis=1)
    spread = n * m / 12 * (total + 1 - ties / np.maximum(total * (total - 1), 1.0))
    found: Array = np.where(
        spread > 0, (excess - 0.5 * np.sign(excess)) / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0
    )
    return found


def bracket(x: Array, y: Array) -> tuple[Array, Array]:
    """The least and the largest difference of a point of `x` and one of `y`, (pairs,)."""
    return np.nanmin(x, axis=1) - np.nanmax(y, axis=1), np.nanmax(x, axis=1) - np.nanmin(y, axis=1)


def crossing(x: Array, y: Array, quantile: float, halvings: int) -> Array:
    """The shift at which `standardised` crosses the quantile, by so many halvings of the bracket, (pairs,)."""
    low, high = bracket(x, y)
    for _ in range(halvings):
        middle = (low + high) / 2
        above = standardised(x - middle[:, None], y) > quantile
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found: Array = (low + high) / 2
    return found


def _points(sample: Array) -> Array:
    return np.count_nonzero(~np.isnan(sample), axis=1).astype(np.float64)
