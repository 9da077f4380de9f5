"""Sample ratio mismatch: the split that happened is not the split that was asked for, so nothing may be compared.

Why it comes first: Fabijan et al., KDD 2019. The tests are mixtures after Lindon & Malek, "Anytime-Valid Inference for
Multinomial Count Data" (NeurIPS 2022), against the end of a band of chances that are accepted: all others in the band
are further away (monotone likelihood ratio).
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from plimsoll.core.statistics.beta_binomial import concentration, log_likelihood_ratio
from plimsoll.core.statistics.wealth import Array

#: Alternatives: multiples of the odds at the margin, either way.
OFF = np.array([1.1, 1.5, 4.0])
#: Alternatives: multiples of the odds at either end of the band.
UNEVEN = np.array([1.1, 1.5, 3.0, 20.0])
#: Requests are drawn one by one: a share has no noise of its own.
_CONCENTRATION = 1e6
#: Least noise: with less, the likelihoods could not be told from the binomial ones in floating point.
MIN_CV = 1e-3


def log_mismatch(candidate: Array, total: Array, share: Array, cv: float = 0.0, margin: float = 1.1) -> Array:
    """Log e-values against "the odds of going to the candidate differ from those asked for by at most `margin`".

    `candidate` of `total` requests and the `share` asked for, all (windows,), so that the share may change from window
    to window; the result is (windows, 2·len(OFF)), each an e-value: average their running sums. `cv` allows for
    requests that come in groups, as those of one sticky key do. Windows without requests or with a share of 0 or 1 are
    0: there is no split to check. A beta-binomial mixture after Lindon & Malek, "Anytime-Valid Inference for
    Multinomial Count Data" (NeurIPS 2022). Raises ValueError for a margin below 1 or shares outside [0, 1].
    """
    if margin < 1:
        raise ValueError(f"margin is {margin}: it must be at least 1, the odds ratio that is accepted either way")
    if np.any((share < 0) | (share > 1)):
        raise ValueError("share must lie between 0 and 1: pass fractions, not percents")
    told = (total > 0) & (share > 0) & (share < 1)
    logs = np.zeros((len(total), 2, len(OFF)))
    for way, (k, part) in enumerate(((candidate, share), (total - candidate, 1 - share))):
        base = part[told] / (1 - part[told])
        null = _share(margin * base)
        s = concentration((max(cv, MIN_CV) * null * (1 - null)) ** 2, null)
        logs[told, way] = _log_beyond((k[told], total[told]), null, OFF, s)
    return logs.reshape(len(total), -1)


def log_uneven(k: Array, n: Array, low: Array, high: Array) -> Array:
    """Log e-values against "each of n requests was given to the candidate with a chance from `low` to `high`", for k
    that were; all (windows,), the result (windows, 2·len(UNEVEN)). n = 0 or a band outside (0, 1) is no information."""
    logs = np.zeros((len(k), 2, len(UNEVEN)))
    told = (n > 0) & (low > 0) & (high < 1)
    for way, (events, bound) in enumerate(((k, high), (n - k, 1 - low))):
        limit = bound[told]
        logs[told, way] = _log_beyond((events[told], n[told]), limit, UNEVEN, np.full_like(limit, _CONCENTRATION))
    return logs.reshape(len(k), -1)


def _log_beyond(counts: tuple[Array, Array], bound: Array, multiples: Array, s: Array) -> Array:
    """Of `counts` (k of n) against a share of at most `bound`; the alternatives are `multiples` of its odds."""
    odds = (bound / (1 - bound))[:, None] * multiples
    return log_likelihood_ratio(*counts, np.concatenate([bound[:, None], _share(odds)], axis=1), s)


def _share(odds: Array) -> Array:
    return odds / (1 + odds)


def log_dirichlet_multinomial(counts: Array, shares: Array, concentration: float = 100.0) -> Array:
    """*Running* log e-values (windows,) against "each request goes to arm i with probability sharesᵢ", exactly.

    `counts` (windows, arms) and one `shares` (arms,) for all windows: the Dirichlet(concentration·shares) mixture of
    Lindon & Malek 2022, a martingale under the null. For a split that never changes, any number of arms, and no
    tolerance at all.
    """
    k = np.cumsum(counts, axis=0)
    prior = concentration * shares
    each = (gammaln(prior + k) - gammaln(prior) - k * np.log(shares)).sum(axis=1)
    logs: Array = each + gammaln(concentration) - gammaln(concentration + k.sum(axis=1))
    return logs
