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


def log_likelihood_ratio(k: Array, n: Array, null: Array, alternative: Array, s: Array) -> Array:
    """Log e-value of k successes in n against "the share is at most `null`"; `alternative` > `null`, all of one shape.

    The null is BetaBinomial(n, s·null, s·(1−null)); the alternative has a = max(s·alternative, s·null + 1) and
    b = s·(1−alternative), after Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022).
    Up to a factor free of k the ratio is Γ(k+a₁)/Γ(k+a₀) · Γ(n−k+b₁)/Γ(n−k+b₀). With a₁−a₀ ≥ 1 the first factor is
    increasing and convex in k, with b₁ ≤ b₀ the second one as well, so their product is. Hence the expectation is at
    most 1 not only under that null but under every law that it dominates in the increasing convex order: a smaller
    share, less overdispersion (the binomial too), sampling without replacement. The composite null needs no search
    for a supremum.
    """
    a0, b0 = s * null, s * (1 - null)
    upper = np.minimum(alternative, _NEVER_ONE)
    a1, b1 = np.maximum(s * upper, a0 + 1), s * (1 - upper)
    others = n - k
    return _log_beta(k + a1, others + b1) - _log_beta(a1, b1) - _log_beta(k + a0, others + b0) + _log_beta(a0, b0)


def _log_beta(a: Array, b: Array) -> Array:
    logs: Array = gammaln(a) + gammaln(b) - gammaln(a + b)
    return logs
