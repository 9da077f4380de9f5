"""One arm against a fixed rate: what the comparison of two arms cannot say when nothing ever fails."""

from __future__ import annotations

import numpy as np

from plimsoll.core.statistics.beta_binomial import concentration, log_likelihood_ratio
from plimsoll.core.statistics.wealth import Array

#: Alternatives as parts of the limit, and what is bet on each: most on "practically never".
BELOW = np.array([0.05, 0.2, 0.4, 0.65])
BELOW_WEIGHTS = np.array([0.5, 0.25, 0.15, 0.1])
#: Alternatives as multiples of the odds of the limit.
ABOVE = np.array([1.5, 3.0, 10.0, 100.0])
ABOVE_WEIGHTS = np.array([0.25, 0.25, 0.25, 0.25])


def log_rate_below(k: Array, n: Array, limit: float, cv: Array) -> Array:
    """Log e-values against "the rate of each window is at least `limit`", for k events in n trials; shape k.shape +
    (4,).

    A beta-binomial mixture (Robbins 1970; the sequential counterpart of Clopper–Pearson): the rate of a window may vary
    with coefficient of variation `cv`. Large means: the rate is below. n = 0 or a limit outside (0, 1) is no
    information.
    With no event it is 20 after 378 trials at a limit of 1 % and cv 0.2 (300 without mixture and noise).
    """
    return _against(n - k, n, 1 - limit, 1 - limit * BELOW, cv**2 * limit**2)


def log_rate_above(k: Array, n: Array, limit: float, cv: Array) -> Array:
    """Log e-values against "the rate of each window is at most `limit`"; shapes and the rest as in `log_rate_below`."""
    odds = limit / (1 - limit) * ABOVE if 0 < limit < 1 else ABOVE
    return _against(k, n, limit, odds / (1 + odds), cv**2 * limit**2)


def _against(k: Array, n: Array, null: float, alternatives: Array, variance: Array) -> Array:
    logs = np.zeros((*np.shape(k), len(alternatives)))
    told = n > 0
    if not 0 < null < 1 or not told.any():
        return logs
    share = np.full(int(told.sum()), null)
    s = concentration(variance[told], share)
    logs[told] = log_likelihood_ratio(
        k[told][:, None], n[told][:, None], share[:, None], alternatives[None, :], s[:, None]
    )
    return logs
