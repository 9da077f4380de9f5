"""Differences of means between two arms, from count, sum and sum of squares of each window: no value is kept.

Means may wander from window to window, as long as they do so in both arms alike: only the difference within a window
counts. Windows without one of the arms say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from plimsoll.core.statistics.wealth import Array

#: Bets on a bounded difference, as parts of the largest that is allowed: a large one for large differences.
BETS = np.array([0.5, 0.25, 0.12, 0.06, 0.03, 0.015])
BET_WEIGHTS = np.full(len(BETS), 1 / len(BETS))
#: The mixture for unbounded values is tightest after so many values of the smaller arm, or so.
EXPECTED_COUNT = 500.0
#: Fewer values of an arm than this are too few for a variance to be taken from them.
MIN_COUNT = 50.0
#: Fewer windows than this say nothing about noise that whole windows share.
MIN_WINDOWS = 8
_TUNED_ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class Moments:
    """What an arm's values were in each window: count, sum and sum of squares, all (windows,)."""

    count: Array
    total: Array
    squares: Array

    def __post_init__(self) -> None:
        if np.any(self.count < 0) or np.any(self.squares * self.count < self.total**2 * (1 - 1e-9) - 1e-9):
            raise ValueError("squares must be at least total²/count: pass sums of values and of their squares")

    def around(self, centre: Array | float) -> Array:
        """Sum of squared distances from `centre` in each window."""
        return np.maximum(self.squares - 2 * centre * self.total + centre**2 * self.count, 0.0)

    def means(self) -> Array:
        """The mean of each window; 0 without values."""
        means: Array = self.total / np.maximum(self.count, 1.0)
        return means


def log_worse(
    candidate: Moments, stable: Moments, margin: float, bounds: tuple[float, float] = (0.0, 1.0), sign: int = 1
) -> Array:
    """Log e-values against "mean of candidate ≤ mean of stable + `margin` in every window", (windows, len(BETS)).

    Larger values are worse (errors: 1 wrong, 0 right); `sign` −1 turns the question round: against "candidate ≥ stable
    + margin". Every value lies within `bounds`, else nothing is promised. No law is assumed: a window's factor is
    exp(λ·h·(x̄_c − x̄_s − margin) − ψ(λ·n_s/n)·V_c − ψ(λ·n_c/n)·V_s) with h = n_c·n_s/n, n = n_c + n_s, ψ(λ) =
    (−ln(1−cλ) − cλ)/c², c the width of the bounds, and V the squared distances from each arm's mean of the *earlier*
    windows: the empirical Bernstein supermartingale of Howard, Ramdas, McAuliffe & Sekhon ("Time-uniform,
    nonparametric, nonasymptotic confidence sequences", Ann. Statist. 2021, theorem 4; Waudby-Smith & Ramdas,
    "Estimating means of bounded random variables by betting", JRSS B 2024), one for each arm, with bets that cancel the
    common mean. Mixed over bets by BET_WEIGHTS. Holds for independent values, whatever their variance and how it
    changes.
    """
    slopes, costs = _parts(candidate, stable, bounds)
    difference = candidate.means() - stable.means() - margin
    logs: Array = sign * slopes * difference[:, None] - costs
    return logs


def _parts(candidate: Moments, stable: Moments, bounds: tuple[float, float]) -> tuple[Array, Array]:
    """λ·h and the cost of variance for each window and bet; 0 where an arm has no values."""
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds are {bounds}: the lower one must come first, and they must differ")
    n = candidate.count + stable.count
    told = (candidate.count > 0) & (stable.count > 0)
    shares = [np.where(told, arm.count / np.maximum(n, 1.0), 0.0) for arm in (stable, candidate)]
    costs = np.zeros((len(n), len(BETS)))
    for arm, share in zip((candidate, stable), shares, strict=True):
        bet = BETS * share[:, None]  # λ·width
        spread = arm.around(_earlier_mean(arm, (low + high) / 2)) / (high - low) ** 2
        costs += (-np.log1p(-bet) - bet) * spread[:, None]
    weight = shares[0] * candidate.count
    return BETS / (high - low) * weight[:, None], costs


def _earlier_mean(arm: Moments, middle: float) -> Array:
    """The mean of all windows before each, with one value at the middle of the bounds."""
    count, total = (np.cumsum(x) - x for x in (arm.count, arm.total))
    means: Array = (total + middle) / (count + 1)
    return means


def log_worse_unbounded(candidate: Moments, stable: Moments, margin: float, sign: int = 1) -> Array:
    """*Running* log e-values (windows,) against "mean of candidate ≤ mean of stable + `margin`", without bounds.

    Asymptotic, not exact: the variance is estimated from the same values, so alpha is approached as counts grow
    (asymptotic confidence sequences: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit
    theory", Ann. Statist. 2024); values with heavy tails need many. The sum S of h·(x̄_c − x̄_s − margin) over windows,
    in units of its standard deviation, is put into the one-sided normal mixture of Howard et al. 2021 (proposition 6).
    The variance is the larger of two estimates, from the values within windows and from the windows among themselves:
    noise that a whole window shares counts once. 0 until both arms have MIN_COUNT values, in MIN_WINDOWS windows. It is
    a whole process: to restart it, pass the windows from there on.
    """
    told = (candidate.count > 0) & (stable.count > 0)
    n = np.maximum(candidate.count + stable.count, 1.0)
    h = np.where(told, candidate.count * stable.count / n, 0.0)
    difference = candidate.means() - stable.means() - margin
    total, weight = sign * np.cumsum(h * difference), np.cumsum(h)
    within = np.zeros(len(n))
    for arm in (candidate, stable):
        within += _variance(arm) * np.cumsum(np.where(told, h**2 / np.maximum(arm.count, 1.0), 0.0))
    variance = np.maximum(within, _between(h, difference))
    enough = np.minimum(np.cumsum(candidate.count), np.cumsum(stable.count)) >= MIN_COUNT
    ready = enough & (np.cumsum(told) >= MIN_WINDOWS) & (variance > 0)
    unit = np.where(ready, np.sqrt(variance / np.maximum(weight, 1e-300)), 1.0)
    return np.where(ready, log_normal_mixture(total / unit, weight, best_rho(EXPECTED_COUNT, _TUNED_ALPHA)), 0.0)


def _variance(arm: Moments) -> Array:
    """The variance of values within their windows, of all windows up to each."""
    freedom = np.cumsum(np.maximum(arm.count - 1, 0.0))
    around: Array = np.cumsum(arm.around(arm.means())) / np.maximum(freedom, 1.0)
    return around


def _between(h: Array, difference: Array) -> Array:
    """The variance of Σ h·difference by how much the windows up to each differ, plus one standard error of itself; 0
    for fewer than two."""
    windows = np.cumsum(h > 0)
    mean = np.cumsum(h * difference) / np.maximum(np.cumsum(h), 1e-300)
    squares = np.cumsum(h**2 * difference**2) - 2 * mean * np.cumsum(h**2 * difference) + mean**2 * np.cumsum(h**2)
    freedom = np.maximum(windows - 1, 1)
    return np.where(windows > 1, np.maximum(squares, 0.0) * windows / freedom * (1 + np.sqrt(2 / freedom)), 0.0)


def log_normal_mixture(s: Array, v: Array, rho: float) -> Array:
    """Log of the one-sided normal mixture supermartingale at sum `s` and variance `v`, all of one shape (Howard et al.
    2021, proposition 6): ½·ln(4ρ/(v+ρ)) + s²/(2(v+ρ)) + ln Φ(s/√(v+ρ))."""
    logs: Array = 0.5 * np.log(4 * rho / (v + rho)) + s**2 / (2 * (v + rho)) + log_ndtr(s / np.sqrt(v + rho))
    return logs


def best_rho(v: float, alpha: float) -> float:
    """The ρ whose one-sided bound is about tightest at variance `v` and level `alpha` (Howard et al. 2021, 3.5)."""
    needed = 2 * np.log(1 / (2 * alpha))
    return float(v / (needed + np.log(1 + needed)))
