"""Two arms of one window, compared given the window's total: the core test.

The hypotheses meet at  p_c = margin·p_s + tolerance  (rates of candidate and stable; tolerance 0 is the pure rate
ratio). Given the total K, the share of the candidate under rate ratio r is θ(r) = rθ₀/(rθ₀+1−θ₀) with θ₀ =
n_c/(n_c+n_s) (Lindon & Malek, NeurIPS 2022), whatever the common level: an incident that hits both arms, or another
weight in the next window, moves K or θ₀ and not the hypothesis. θ₀ outside (0, 1) and K = 0 say nothing.

With a tolerance the ratio at the boundary depends on the level. The pooled rate P = θ₀p_c + (1−θ₀)p_s pins it: on the
boundary p_s = (P − θ₀·tolerance)/(θ₀·margin + 1 − θ₀). P is taken at the end of its Wilson interval (6 standard errors)
that makes the ratio harder to refute. Where more than half of all are events, the ones that are none are counted
instead: a ratio of rates near 1 cannot show anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.bounded_rate import Trials, log_ratios
from plimsoll.core.statistics.wealth import Array, Level

#: Alternatives to "not worse": multiples of the ratio at the boundary. At a margin of 1.5 they are 2, 4, 12 and 300
#: times the stable rate; whichever they are, and whatever is bet on each, alpha holds.
WORSE = np.array([4 / 3, 8 / 3, 8.0, 200.0])
WORSE_WEIGHTS = np.array([0.2, 0.4, 0.15, 0.25])
#: Alternatives to "worse": how far from the boundary (0) to equality (1) and beyond.
EQUAL = np.array([0.6, 1.0, 1.6])
EQUAL_WEIGHTS = np.array([0.25, 0.5, 0.25])
#: The boundary, and these alternatives: multiples and powers of the ratio there.
TO_WORSE, TO_EQUAL = np.array([1.0, *WORSE]), 1 - np.array([0.0, *EQUAL])
#: No ratio at the boundary is taken for larger: also where the boundary cannot be reached.
MAX_RATIO = 50.0
STANDARD_ERRORS = 6.0


@dataclass(frozen=True, slots=True)
class Arms:
    """Events k of n trials of both arms, all of shape (windows, edges); 0 ≤ k ≤ n."""

    k_candidate: Array
    n_candidate: Array
    k_stable: Array
    n_stable: Array

    @classmethod
    def stacked(cls, columns: Array) -> Arms:
        """From the four, (windows, 4, edges)."""
        return cls(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3])

    def checked(self) -> Arms:
        """These. Raises ValueError where there are more events than trials."""
        for arm, k, n in (
            ("candidate", self.k_candidate, self.n_candidate),
            ("stable", self.k_stable, self.n_stable),
        ):
            if ((k < 0) | (k > n)).any():
                raise ValueError(f"k_{arm} must lie between 0 and n_{arm}: count the events among the trials")
        return self

    def then(self, more: Arms) -> Arms:
        """Both, one after the other."""
        return Arms(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in self.__slots__))


def wilson(k: Array, n: Array, z: float = STANDARD_ERRORS) -> tuple[Array, Array]:
    """Wilson's score interval of k of n at z standard errors (JASA 1927); n > 0."""
    middle, half = _score_interval(k, n, z)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def _score_interval(k: Array, n: Array, z: float) -> tuple[Array, Array]:
    """Its middle and half of its width."""
    whole = n + z * z
    return (k + z * z / 2) / whole, z / whole * np.sqrt(k * (n - k) / n + z * z / 4)


def log_worse(arms: Arms, cv: Array, margin: Level, tolerance: Level = 0.0) -> Array:
    """Log e-values against "p_c ≤ margin·p_s + tolerance" per window, edge and alternative: (windows, edges, 4).

    `cv` (windows, edges) is the coefficient of variation of one arm's rate between windows. Exact for rare events
    (Poisson arms with beta-distributed share); for frequent ones conservative. With a tolerance the expectation at
    the worst point of the null (nothing slow in the stable arm), found by enumeration, is 1.0003 (tolerance 1 %) and
    1.00001 (5 %).
    """
    found = shares(arms.checked(), margin, tolerance, worse=True)
    return log_ratios(compared(found, cv, found.ratio[..., None] * TO_WORSE))


def log_not_worse(arms: Arms, cv: Array, margin: Level, tolerance: Level = 0.0) -> Array:
    """Log e-values against "p_c ≥ margin·p_s + tolerance": the reverse of `log_worse`; (windows, edges, 3)."""
    found = shares(arms.checked(), margin, tolerance, worse=False)
    return log_ratios(compared(found, cv, found.ratio[..., None] ** TO_EQUAL))


@dataclass(frozen=True, slots=True)
class Shares:
    """What a comparison comes down to: `k` of `total` events are those of the arm that has more when the null is wrong;
    `base` is its share of requests, `ratio` the odds that the boundary adds: the `columns` (4, windows, edges). Where
    `useful` (windows, edges) is false nothing is told."""

    columns: Array
    useful: NDArray[np.bool_]

    @property
    def ratio(self) -> Array:
        """What the boundary adds to the odds, (windows, edges)."""
        ratio: Array = self.columns[3]
        return ratio

    def rows(self, chosen: slice) -> Shares:
        """Those of some windows."""
        return Shares(self.columns[:, chosen], self.useful[chosen])


@np.errstate(divide="ignore", invalid="ignore")
def shares(arms: Arms, margin: Level, tolerance: Level, *, worse: bool | NDArray[np.bool_]) -> Shares:
    """The share that decides whether p_c is above (`worse`) or below margin·p_s + tolerance."""
    n_c, n_s, k_c, k_s = arms.n_candidate, arms.n_stable, arms.k_candidate, arms.k_stable
    told = (n_c > 0) & (n_s > 0)
    if not told.all():
        n_c, n_s, k_c, k_s = np.where(told, n_c, 1.0), np.where(told, n_s, 1.0), k_c * told, k_s * told
    n, events = n_c + n_s, k_c + k_s
    theta, slow = n_c / n, events <= n / 2
    upward = slow == worse  # whose share is large when the null is wrong: the candidate's among events
    middle, half = _score_interval(events, n, STANDARD_ERRORS)
    p_s = middle + half * (1 - 2.0 * upward)
    p_s = np.maximum((p_s - theta * tolerance) / (theta * margin + 1 - theta), 0.0)
    p_c = margin * p_s + tolerance
    most, least = np.where(slow, p_c, 1 - p_c), np.where(slow, p_s, 1 - p_s)
    ratio = np.where(upward, most / least, least / most)
    ratio = np.where(worse, np.where(p_c < 1, ratio, np.inf), np.maximum(ratio, 1 / MAX_RATIO))
    events_c, total = np.where(slow, k_c, n_c - k_c), np.where(slow, events, n - events)
    useful = told & (total > 0) & (ratio > 0) & (ratio < np.inf)
    columns = np.empty((4, *ratio.shape))
    columns[0], columns[1] = np.where(upward, events_c, total - events_c), total
    columns[2], columns[3] = np.where(upward, theta, 1 - theta), np.where(useful, ratio, 1.0)
    return Shares(columns, useful)


def compared(found: Shares, cv: Array, ratios: Array) -> Trials:
    """What is tested of the shares; `ratios` (windows, edges, 1 + alternatives) are what the null and the alternatives
    add to the odds."""
    k, total, base, _ = found.columns
    odds = ratios * base[..., None]
    laws = odds / (odds + 1 - base[..., None])
    null, columns = laws[..., 0], np.empty((3, *base.shape))
    columns[0], columns[1], columns[2] = k, total, 2 * (cv * null * (1 - null)) ** 2
    return Trials(columns, laws, found.useful)
