"""The likelihood ratio that every test here is made of."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from plimsoll.core.statistics.wealth import Array

#: Below this the beta distribution would be U-shaped: a share that says nothing.
MIN_CONCENTRATION = 1.0
_NEVER_ONE = 1 - 1e-6


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
    # The other way round, so that what is done at once is long: (3, 1 + alternatives, …).
    laws = shares.T
    counts, shapes = np.empty((3, 1, *laws.shape[1:])), np.empty((3, *laws.shape))
    counts[0], counts[1], counts[2] = k.T, (n - k).T, n.T
    a, b, total = shapes
    a[:] = laws
    np.minimum(a[1:], _NEVER_ONE, out=a[1:])
    np.subtract(1, a, out=b)
    shapes[:2] *= s.T
    np.maximum(a[1:], a[:1] + 1, out=a[1:])
    np.add(a, b, out=total)
    # Of each law the log probability of the counts, less the binomial coefficient that all have in common.
    rises = gammaln(shapes + counts)
    rises -= gammaln(shapes)
    logs = rises[0] + rises[1] - rises[2]
    ratios: Array = (logs[1:] - logs[0]).T
    return ratios
