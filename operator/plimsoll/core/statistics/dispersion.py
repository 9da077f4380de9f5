"""How much the rates of like pods differ beyond chance: the noise that a comparison of two arms must allow for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.wealth import Array, increments, running

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
    """`counts` (2, windows, pods, edges), events and trials of like pods, and what they add up to, `sums` (5, windows,
    edges): events, trials, how many pods were there, Σk²/n and Σn²."""

    counts: Array
    sums: Array

    @classmethod
    def of(cls, counts: Array) -> Pods:
        """From both, (windows, 2, pods, edges)."""
        columns = np.empty((5, len(counts), *counts.shape[2:]))
        columns[:2] = counts.swapaxes(0, 1)
        k, n, there, chi, squares = columns
        np.sign(n, out=there)
        np.multiply(k, k, out=chi)
        chi /= np.maximum(n, 1.0)
        np.multiply(n, n, out=squares)
        return cls(columns[:2], np.add.reduce(columns, axis=2))

    @property
    def there(self) -> Array:
        """How many there were, (windows, edges)."""
        there: Array = self.sums[2]
        return there


def _bound(total: Array, floor: float) -> Array:
    """Of the moments summed up to each window, (windows, 3, edges)."""
    freedom, excess, weight = total[:, 0], total[:, 1], total[:, 2]
    scale = np.maximum(1.0, 1.0 + excess / np.maximum(freedom, 1.0))
    above = PRIOR_WEIGHT * floor**2 + excess + STANDARD_ERRORS * scale * np.sqrt(2 * freedom)
    bounded = np.sqrt(np.maximum(above / (PRIOR_WEIGHT + weight), 0.0))
    return np.minimum(np.maximum(bounded, floor), max(MAX_CV, floor))


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
    events, trials, there, chi, squares = pods.sums
    rest = trials - events
    usable = np.sign(np.maximum(there - 1, 0.0) * events * rest)  # 1 or 0: where not, X² would divide by 0
    scale = np.maximum(events * rest, 1.0)  # N²·p·(1 − p)
    found = np.empty((len(events), 3, *events.shape[1:]))
    freedom, excess, weight = found[:, 0], found[:, 1], found[:, 2]
    np.multiply(there - 1, usable, out=freedom)
    np.multiply(trials * (trials * chi - events * events) / scale, usable, out=excess)
    excess -= freedom
    np.multiply(
        events * (1 - squares / np.maximum(trials * trials, 1.0)) * trials / np.maximum(rest, 1.0), usable, out=weight
    )
    return found
