"""The likelihood ratio that every test here is made of.

The beta-binomial law is Skellam's (JRSS B 1948), who has the moments that `concentration` is made of; that its trials
are correlated by 1/(s + 1): Prentice, JASA 1986.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from plimsoll.core.statistics.wealth import ONE, Array

#: Below this the beta distribution would be U-shaped: a share that says nothing.
MIN_CONCENTRATION = 1.0
_NEVER_ONE, _LEAST = np.array(1 - 1e-6), np.array(MIN_CONCENTRATION)


def concentration(variance: Array, share: Array) -> Array:
    """The s of Beta(s·share, s·(1−share)) with the given variance: share·(1−share)/variance − 1, at least
    MIN_CONCENTRATION.

    Same shape as the arguments; 0 < share < 1 and variance > 0.
    """
    return np.maximum(MIN_CONCENTRATION, share * (1 - share) / variance - 1)


def log_likelihood_ratio(k: Array, n: Array, shares: Array, s: Array) -> Array:
    """Log e-values of k successes in n against "the share is at most the null"; k, n and s are (…).

    `shares` (…, 1 + alternatives) are the null and the alternatives, which lie above it; the result (…, alternatives).
    The null is BetaBinomial(n, s·null, s·(1−null)); an alternative has a = max(s·alternative, s·null + 1) and
    b = s·(1−alternative), after Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022).
    Up to a factor free of k the ratio is Γ(k+a₁)/Γ(k+a₀) · Γ(n−k+b₁)/Γ(n−k+b₀). With a₁−a₀ ≥ 1 the first factor is
    increasing and convex in k, with b₁ ≤ b₀ the second one as well, so their product is. Hence the expectation is at
    most 1 not only under that null but under every law that it dominates in the increasing convex order: a smaller
    share, less overdispersion (the binomial too), sampling without replacement. The composite null needs no search
    for a supremum.
    """
    return log_ratios_of(k.T, n.T, shares.T, s.T).T


def log_ratios_of(k: Array, n: Array, laws: Array, s: Array) -> Array:
    """`log_likelihood_ratio` the other way round, so that what is done at once is long: `laws` (1 + alternatives, …),
    the result (alternatives, …)."""
    counts, shapes = np.empty((3, 1, *laws.shape[1:])), np.empty((3, *laws.shape))
    counts[0], counts[1], counts[2] = k, n - k, n
    a, b, total = shapes[0], shapes[1], shapes[2]
    a[0] = laws[0]
    np.minimum(laws[1:], _NEVER_ONE, out=a[1:])
    np.subtract(ONE, a, out=b)
    shapes[:2] *= s
    np.maximum(a[1:], a[0] + ONE, out=a[1:])
    np.add(a, b, out=total)
    # Of each law the log probability of the counts, less the binomial coefficient that all have in common.
    rises = gammaln(shapes + counts)
    rises -= gammaln(shapes)
    logs = rises[0]
    logs += rises[1]
    logs -= rises[2]
    ratios: Array = logs[1:] - logs[0]
    return ratios


def correlated(correlation: Array) -> Array:
    """The s at which like trials are correlated by so much, which is 1/(s + 1): the variance of the share as a part of
    share·(1−share); at least MIN_CONCENTRATION."""
    s: Array = np.maximum(ONE / correlation - ONE, _LEAST)
    return s
