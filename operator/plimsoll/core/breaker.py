"""The breaker: a candidate that plainly fails is taken back at once, unless the stable version fails like it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from plimsoll.core.statistics.policy import Policy
from plimsoll.core.statistics.wealth import Array
from plimsoll.facts import Window

#: So many windows back the arms are compared: of 5 requests a second a holdback of 5 % gets some 30 in them.
_LOOK_BACK = 12
#: How often, at each look, a stable version that fails as often as the candidate may be taken for a better one.
_LEVEL = 0.001
#: Probabilities are compared to so many decimals, so that a replay on another processor decides alike.
_DECIMALS = 9


def looks_back(policy: Policy) -> int:
    """How many windows `tripped` can use."""
    return max(_LOOK_BACK, policy.breaker_windows)


def counts(window: Window) -> tuple[float, ...]:
    """What `tripped` takes of a window."""
    arm, stable = window.candidate, window.stable
    return arm.requests, arm.failures, stable.requests, stable.failures, window.weight / 100


def tripped(recent: Array, policy: Policy) -> NDArray[np.bool_]:
    """Whether the candidate's failures in its last 1, 2, … `policy.breaker_windows` windows take it back, (lengths, …).

    `recent` (windows, 5, …) are the last windows, in order of time: requests and failures of the candidate and of the
    stable version, and the candidate's share. Where there is a stable version it must be shown to be better, in these
    windows or in some more: in an outage of both, few requests or none of a thin arm are no sign of its health.
    """
    n, k = recent[::-1][: policy.breaker_windows, :2].cumsum(axis=0).swapaxes(0, 1)
    broken: NDArray[np.bool_] = (n >= policy.breaker_requests) & (k >= policy.breaker_share * n)
    if not broken.any():
        return broken
    in_more = np.logical_or.accumulate(_fails_alone(recent)[::-1])[::-1]
    return broken & (in_more | _is_alone(recent))[: len(broken)]


def _fails_alone(recent: Array) -> NDArray[np.bool_]:
    """Whether the stable version fails less than half as often in the last 1, 2, … windows, and chance does not explain
    it, (windows, …).

    Windows are strata, for the rates of an outage and the split may change with each: the ratio of the rates is that of
    Mantel & Haenszel (Greenland & Robins, Biometrics 1985). Were the rates the same, an arm's failures would be
    hypergeometric in each window, given those of both arms, which is a sum of independent events (Harkness, Ann. Math.
    Statist. 1965): it strays from its expectation, by 1 or more, no more often than a binomial count of as many trials
    (Hoeffding, Ann. Math. Statist. 1956). Both arms' counts bound the same chance; the smaller bound counts.
    """
    n, k, n_stable, k_stable, _ = np.moveaxis(recent[::-1], 1, 0)
    both, whole = (n > 0) & (n_stable > 0), np.maximum(n + n_stable, 1.0)
    strata = [k * n_stable / whole, k_stable * n / whole, *(arm * both for arm in (n, k, n_stable, k_stable))]
    own, other, n, k, n_stable, k_stable = np.cumsum(strata, axis=1)
    excess = own - other  # of the candidate's failures over what was to be expected
    so_many = _at_least(k, n, k - excess)
    so_few = _at_least(n_stable - k_stable, n_stable, n_stable - k_stable - excess)
    return np.asarray((own > 2 * other) & _rare(np.minimum(so_many, so_few)))


def _at_least(k: Array, n: Array, expected: Array) -> Array:
    """The chance that a binomial count of n trials with this expectation is k or more; of k = 0 it says that of 1."""
    return np.asarray(betainc(np.maximum(k, 1.0), n - k + 1.0, np.clip(expected / np.maximum(n, 1.0), 0.0, 1.0)))


def _is_alone(recent: Array) -> NDArray[np.bool_]:
    """Whether there was nobody beside the candidate in the last 1, 2, … windows, (windows, …): the stable version had
    no share, or no request although its share would have brought it some."""
    n, _, n_stable, _, share = np.moveaxis(recent[::-1], 1, 0)
    silence = (share**n).cumprod(axis=0)
    return np.asarray((n_stable.cumsum(axis=0) == 0) & (_rare(silence) | (silence == 1)))


def _rare(chance: Array) -> NDArray[np.bool_]:
    return np.asarray(np.round(chance, _DECIMALS) <= _LEVEL)
