"""How much the rates of like pods differ beyond chance: the noise that a comparison of two arms must allow for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.wealth import Array, increments

#: How much evidence (C below) it takes to outweigh the floor.
PRIOR_WEIGHT = 50.0
#: One-sided 90 %.
STANDARD_ERRORS = 1.28
MAX_CV = 1.5


def coefficient_of_variation(k: Array, n: Array, spells: NDArray[np.int64], floor: float) -> Array:
    """Upper bound of the coefficient of variation between stable pods, from the windows up to each: (windows, edges).

    `k` events of `n` trials, (windows, pods, edges), are sums since the first window of the spell, whose row
    `spells` (windows,) names; pods that were not there have n = 0. Pearson's X² of m pods has expectation (m−1) +
    cv²·C with C = K(1−Σnᵢ²/N²)/(1−p): a moment estimate, pooled over spells, shrunk to `floor` with weight
    PRIOR_WEIGHT, plus STANDARD_ERRORS standard errors; between floor and MAX_CV. Where fewer than two pods, nothing
    or everything failed, nothing is learned; to begin with it is the floor. The split of the stable events between
    stable pods is independent of the candidate's share given the total, so that the current window may be used
    without spoiling the e-process.
    """
    freedom, excess, weight = (np.cumsum(increments(x, spells), axis=0) for x in _moments(k, n))
    total = PRIOR_WEIGHT + weight
    scale = np.maximum(1.0, 1.0 + excess / np.maximum(freedom, 1.0))
    upper = (PRIOR_WEIGHT * floor**2 + excess + STANDARD_ERRORS * scale * np.sqrt(2 * np.maximum(freedom, 0.0))) / total
    bounded: Array = np.clip(np.sqrt(np.maximum(upper, 0.0)), floor, max(MAX_CV, floor))
    return bounded


def _moments(k: Array, n: Array) -> tuple[Array, Array, Array]:
    """Degrees of freedom, X² less its expectation by chance, and C, each (windows, edges)."""
    pods, events, trials = (n > 0).sum(axis=1), k.sum(axis=1), n.sum(axis=1)
    usable = (pods >= 2) & (events > 0) & (events < trials)
    events, trials = np.where(usable, events, 1.0), np.where(usable, trials, 2.0)
    p = events / trials
    chi = ((k**2 / np.maximum(n, 1.0)).sum(axis=1) - events * p) / (p * (1 - p))
    spread = events * (1 - (n**2).sum(axis=1) / trials**2) / (1 - p)
    freedom = np.where(usable, pods - 1.0, 0.0)
    return freedom, np.where(usable, chi - freedom, 0.0), np.where(usable, spread, 0.0)
