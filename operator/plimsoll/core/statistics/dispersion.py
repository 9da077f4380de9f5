"""How much the rates of like pods differ beyond chance: the noise that a comparison of two arms must allow for.

By moments, from Pearson's X² of pods of unequal size (Kleinman, JASA 1973; Williams, Applied Statistics 1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.wealth import NONE, ONE, Array, increments, running

#: How much evidence (C below) it takes to outweigh the floor.
PRIOR_WEIGHT = 50.0
#: One-sided 90 %.
STANDARD_ERRORS = 1.28
MAX_CV = 1.5


def coefficient_of_variation(k: Array, n: Array, begins: NDArray[np.bool_], floor: float) -> Array:
    """Upper bound of the coefficient of variation between stable pods, from the windows up to each: (windows, edges).

    `k` events of `n` trials, (windows, pods, edges), are sums since the first window of the spell; `begins` says where
    one begins, (windows,); pods that were not there have n = 0. Pearson's X² of m pods has
    expectation (m−1) + cv²·C with C = K(1−Σnᵢ²/N²)/(1−p): a moment estimate, pooled over spells, shrunk to `floor` with
    weight PRIOR_WEIGHT, plus STANDARD_ERRORS standard errors; between floor and MAX_CV. Where fewer than two pods,
    nothing or everything failed, nothing is learned; to begin with it is the floor. The split of the stable events
    between stable pods is independent of the candidate's share given the total, so that the current window may be used
    without spoiling the e-process.
    """
    return _bound(running(increments(moments(Pods.of(np.stack([k, n], axis=1))), begins)), floor)


@dataclass(frozen=True, slots=True)
class Pods:
    """What like pods counted: `columns` (5, 1 + pods, windows, edges), of all together and then of each, are events,
    trials, how many were there, Σk²/n and Σn²."""

    columns: Array

    @classmethod
    def of(cls, *counts: Array) -> Pods:
        """From both, (windows, 2, pods, edges), of windows and of those that follow."""
        pods, edges = counts[0].shape[2:]
        columns = np.empty((5, 1 + pods, sum(map(len, counts)), edges))
        each = columns[:, 1:]
        np.concatenate([some.transpose(1, 2, 0, 3) for some in counts], axis=2, out=each[:2])
        n, chi = each[1], each[3]
        np.sign(n, out=each[2])
        np.square(each[0], out=chi)
        chi /= np.maximum(n, ONE)
        np.square(n, out=each[4])
        np.add.reduce(each, axis=1, out=columns[:, 0])
        return cls(columns)

    @property
    def there(self) -> Array:
        """How many there were, (windows, edges)."""
        there: Array = self.columns[2, 0]
        return there


_PRIOR, _ERRORS = np.array(PRIOR_WEIGHT), np.array(STANDARD_ERRORS * 2**0.5)


def _bound(total: Array, floor: float) -> Array:
    """Of the moments summed up to each window, (windows, 3, edges)."""
    freedom, excess, weight = total[:, 0], total[:, 1], total[:, 2]
    scale = np.maximum(excess / np.maximum(freedom, ONE), NONE) + ONE
    above = scale * np.sqrt(freedom) * _ERRORS + excess + PRIOR_WEIGHT * floor**2
    bounded: Array = np.minimum(np.sqrt(np.maximum(above / (weight + _PRIOR), floor**2)), max(MAX_CV, floor))
    return bounded


@dataclass(frozen=True, slots=True)
class Dispersion:
    """What is known of the noise after some windows. It may change with each window or last a whole spell: `total` are
    the moments summed either way, (3, 2·edges), `so_far` those of the spell under way, (3, edges)."""

    total: Array | float = 0.0
    so_far: Array | float = 0.0

    def after(self, pods: Pods, begins: NDArray[np.bool_], floor: float) -> tuple[Dispersion, Array]:
        """What is known after these windows as well, and the larger of both bounds in each of them, (windows, edges);
        `pods` are those of each window, followed by their sums in the spell up to each."""
        found, rows, edges = moments(pods), len(begins), pods.there.shape[-1]
        added = np.concatenate([found[:rows], increments(found[rows:], begins, self.so_far)], axis=-1)
        total = running(added, self.total)
        cv = _bound(total, floor)
        return Dispersion(total[-1], found[-1]), np.maximum(cv[:, :edges], cv[:, edges:])


def moments(pods: Pods) -> Array:
    """Degrees of freedom, X² less its expectation by chance, and C: (windows, 3, edges)."""
    events, trials, there, chi, squares = (pods.columns[kind, 0] for kind in range(5))
    rest, freedom, whole = trials - events, there - ONE, trials * trials
    scale = events * rest  # N²·p·(1 − p)
    usable = np.sign(np.maximum(freedom, NONE) * scale)  # 1 or 0: where not, X² would divide by 0
    found = np.empty((3, *events.shape))
    found[0] = freedom
    np.divide(trials * (trials * chi - events * events), np.maximum(scale, ONE), out=found[1])
    found[1] -= freedom
    np.divide(events * (whole - squares), np.maximum(trials * rest, ONE), out=found[2])
    found *= usable
    return found.swapaxes(0, 1)
