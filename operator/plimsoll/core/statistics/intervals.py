"""How large the effect is: intervals that hold at every look, for A/B tests that end with a number."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np

from plimsoll.core.statistics.means import BET_WEIGHTS, Moments, log_worse
from plimsoll.core.statistics.wealth import Array, mixture

#: Alternatives of the ratio's interval, and halvings of a bound's search.
FACTORS = np.array([1.05, 1.2, 1.5, 2.0, 5.0])
_HALVINGS = 40
_MAX_LOG_RATIO = 12.0


def difference_interval(
    candidate: Moments, stable: Moments, alpha: float, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[Array, Array]:
    """Lower and upper bounds (windows,) of mean(candidate) − mean(stable), valid at all windows at once.

    For proportions pass count, events, events. The bounds are those differences that the two one-sided tests of
    `means.log_worse` do not refute at alpha/2 (Howard, Ramdas, McAuliffe & Sekhon, Ann. Statist. 2021): with
    probability 1 − alpha the difference, averaged over the windows so far by n_c·n_s/(n_c + n_s), lies within them
    after *every* window. Do not intersect them over time unless the difference is constant.
    """
    _check(alpha)
    width = bounds[1] - bounds[0]

    def against(sign: int) -> Callable[[Array], Array]:
        start = np.cumsum(log_worse(candidate, stable, 0.0, bounds, sign), axis=0)
        slope = start - np.cumsum(log_worse(candidate, stable, 1.0, bounds, sign), axis=0)
        return lambda margin: mixture(start - slope * margin[:, None], BET_WEIGHTS)

    span = np.full(len(candidate.count), width)
    return _edge(against(1), -span, span, alpha / 2), _edge(against(-1), span, -span, alpha / 2)


def ratio_interval(events: tuple[Array, Array], trials: tuple[Array, Array], alpha: float) -> tuple[float, float]:
    """Bounds of the ratio of two event rates, candidate's over stable's, after all windows given, valid at every look.

    `events` and `trials` are (candidate, stable), each (windows,). Given the window's events the candidate's are
    binomial with odds ratio·n_c/n_s for rare events (Przyborowski & Wilenski, Biometrika 1940), and nearer to their
    mean for frequent ones. A ratio is refuted by a mixture over larger (smaller) ones, FACTORS times as large; each
    likelihood ratio falls as the ratio rises (Robbins 1970; Lindon & Malek 2022). The ratio is taken as constant, the
    level may wander; noise beyond chance is not allowed for. 0 and inf where nothing is known.
    """
    _check(alpha)
    (k_c, k_s), (n_c, n_s) = events, trials
    told = (n_c > 0) & (n_s > 0)
    k_c, k_s, n_c, n_s = k_c[told], k_s[told], n_c[told], n_s[told]

    def against(k: Array, odds: Array, sign: int) -> Callable[[Array], Array]:
        def found(log_ratio: Array) -> Array:
            scaled = (odds * np.exp(sign * log_ratio))[:, None]
            gains = np.log(FACTORS) * k[:, None] - (k_c + k_s)[:, None] * np.log1p(
                (FACTORS - 1) * scaled / (1 + scaled)
            )
            return mixture(gains.sum(axis=0)[None], np.full(len(FACTORS), 1 / len(FACTORS)))

        return found

    far = np.full(1, _MAX_LOG_RATIO)
    low = _edge(against(k_c, n_c / n_s, 1), -far, far, alpha / 2)[0]
    high = _edge(against(k_s, n_s / n_c, -1), far, -far, alpha / 2)[0]
    return float(np.exp(low)) if low > -far[0] else 0.0, float(np.exp(high)) if high < far[0] else inf


def _edge(log_e: Callable[[Array], Array], refuted: Array, kept: Array, level: float) -> Array:
    """Where a log e-value that falls from `refuted` to `kept` goes below 1/level; `refuted` where it never is."""
    target = -np.log(level)
    nothing, outer = log_e(refuted) < target, refuted
    for _ in range(_HALVINGS):
        middle = (refuted + kept) / 2
        out = log_e(middle) >= target
        refuted, kept = np.where(out, middle, refuted), np.where(out, kept, middle)
    return np.where(nothing, outer, refuted)


def _check(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: it must be between 0 and 1")
