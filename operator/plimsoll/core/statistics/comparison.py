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

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.bounded_rate import Trials, log_ratios
from plimsoll.core.statistics.wealth import NONE, ONE, Array, Level

#: Alternatives to "not worse": multiples of the ratio at the boundary. At a margin of 1.5 they are 2, 4, 7.5, 15,
#: 37.5 and 300 times the stable rate; whichever they are, and whatever is bet on each, alpha holds.
WORSE = np.array([4 / 3, 8 / 3, 5.0, 10.0, 25.0, 200.0])
WORSE_WEIGHTS = np.array([0.2, 0.3, 0.2, 0.1, 0.1, 0.1])
#: Alternatives to "worse": how far from the boundary (0) to equality (1) and beyond.
EQUAL = np.array([0.6, 1.0, 1.6])
EQUAL_WEIGHTS = np.array([0.25, 0.5, 0.25])
#: The boundary, and these alternatives: multiples and powers of the ratio there.
TO_WORSE, TO_EQUAL = np.array([1.0, *WORSE]), 1 - np.array([0.0, *EQUAL])
#: No ratio at the boundary is taken for larger: also where the boundary cannot be reached.
MAX_RATIO = 50.0
STANDARD_ERRORS = 6.0
#: What is made of these, as arrays.
_LEAST_RATIO, _NEVER, _ERRORS = np.array(1 / MAX_RATIO), np.array(np.inf), np.array(STANDARD_ERRORS)
_WHOLE, _HALF, _QUARTER = (np.array(STANDARD_ERRORS**2 * part) for part in (1, 0.5, 0.25))


class Arms(NamedTuple):
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
        return Arms(*map(np.concatenate, zip(self, more, strict=True)))


def wilson(k: Array, n: Array, z: float = STANDARD_ERRORS) -> tuple[Array, Array]:
    """Wilson's score interval of k of n at z standard errors (JASA 1927); n > 0."""
    whole = n + z * z
    middle, half = (k + z * z / 2) / whole, z / whole * np.sqrt(k * (n - k) / n + z * z / 4)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def log_worse(arms: Arms, cv: Array, margin: Level, tolerance: Level = 0.0) -> Array:
    """Log e-values against "p_c ≤ margin·p_s + tolerance" per window, edge and alternative: (windows, edges, 4).

    `cv` (windows, edges) is the coefficient of variation of one arm's rate between windows. Exact for rare events
    (Poisson arms with beta-distributed share); for frequent ones conservative. With a tolerance the expectation at
    the worst point of the null (nothing slow in the stable arm), found by enumeration, is 1.0003 (tolerance 1 %) and
    1.00001 (5 %).
    """
    found = shares(arms.checked(), margin, tolerance, worse=True)
    return log_ratios(compared(found, cv, lambda ratio: ratio * TO_WORSE[:, None]))[0]


def log_not_worse(arms: Arms, cv: Array, margin: Level, tolerance: Level = 0.0) -> Array:
    """Log e-values against "p_c ≥ margin·p_s + tolerance": the reverse of `log_worse`; (windows, edges, 3)."""
    found = shares(arms.checked(), margin, tolerance, worse=False)
    return log_ratios(compared(found, cv, lambda ratio: ratio ** TO_EQUAL[:, None]))[0]


class Shares(NamedTuple):
    """What a comparison comes down to: `k` of `total` events are those of the arm that has more when the null is wrong;
    `base` is its share of requests, `ratio` the odds that the boundary adds: the `columns` (4, windows, edges). Where
    `useful` (windows, edges) is false nothing is told."""

    columns: Array
    useful: NDArray[np.bool_]

    def told(self) -> tuple[NDArray[np.int64], Array]:
        """The places of what is useful, in the order of windows and edges, (cells,), and its columns, (4, cells)."""
        cells = self.useful.reshape(-1).nonzero()[0]
        return cells, self.columns.reshape(4, -1).take(cells, axis=1)


@np.errstate(divide="ignore", invalid="ignore")
def shares(arms: Arms, margin: Level, tolerance: Level, *, worse: bool | NDArray[np.bool_]) -> Shares:
    """The share that decides whether p_c is above (`worse`) or below margin·p_s + tolerance."""
    (k_c, n_c), (k_s, n_s) = (arms.k_candidate, arms.n_candidate), (arms.k_stable, arms.n_stable)
    events, n = k_c + k_s, n_c + n_s
    slow = events + events <= n
    upward = slow == worse  # whose share is large when the null is wrong: the candidate's among events
    # The pooled rate at the end of its Wilson interval that is harder to refute, and the boundary's rates there.
    half = np.sqrt(events * (n - events) / n + _QUARTER) * _ERRORS
    np.negative(half, out=half, where=upward)
    pooled = (events + _HALF + half) / (n + _WHOLE) * n
    p_s = np.maximum((pooled - n_c * tolerance) / (n_c * margin + n_s), NONE)
    p_c = p_s * margin + tolerance
    possible = (p_c < ONE) | np.logical_not(worse)  # a rate beyond the boundary
    if np.count_nonzero(slow) < slow.size:
        # From here on of what is counted: events, or what is none.
        fast, all_of = np.logical_not(slow), ((n_c, k_c), (n_s, k_s), (ONE, p_c), (ONE, p_s))
        k_c, k_s, p_c, p_s = (np.subtract(whole, part, out=part.copy(), where=fast) for whole, part in all_of)
    columns = np.empty((4, *upward.shape))
    k, total, base, ratio = columns[0], columns[1], columns[2], columns[3]
    np.add(k_c, k_s, out=total)
    k[:], base[:] = k_s, n_s
    np.copyto(k, k_c, where=upward)
    np.copyto(base, n_c, where=upward)
    base /= n
    useful = np.minimum(n_c, n_s) * total > NONE
    np.divide(p_s, p_c, out=ratio)
    np.divide(p_c, p_s, out=ratio, where=upward)
    np.maximum(ratio, _LEAST_RATIO, out=ratio)
    return Shares(columns, useful & possible & (ratio < _NEVER))


def compared(found: Shares, cv: Array, to: Callable[[Array], Array]) -> Trials:
    """What is tested of shares; `to` gives what the null and the alternatives add to the odds (1 + alternatives,
    cells), from what the boundary does (cells,)."""
    cells, columns = found.told()
    base = columns[2]
    odds = to(columns[3])
    odds *= base
    laws = odds / (odds + (ONE - base))
    noise, null = cv.take(cells), laws[0]
    noise *= noise
    noise *= null * (ONE - null)
    np.add(noise, noise, out=columns[2])
    return Trials(cells, found.useful.shape, columns[:3], laws)
