"""How large the effect is: intervals that hold at every look, for A/B tests that end with a number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plimsoll.core.statistics.means import BET_WEIGHTS, Moments, log_worse
from plimsoll.core.statistics.wealth import Array, mixture

#: Halvings of a bound's search.
_HALVINGS = 40


def difference_interval(
    candidate: Moments, stable: Moments, alpha: float, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[Array, Array]:
    """Lower and upper bounds (windows,) of mean(candidate) − mean(stable), valid at all windows at once.

    For proportions pass count, events, events. The bounds are those differences that the two one-sided tests of
    `means.log_worse` do not refute at alpha/2 (Howard, Ramdas, McAuliffe & Sekhon, Ann. Statist. 2021): with
    probability 1 − alpha the difference, averaged over the windows so far by n_c·n_s/(n_c + n_s), lies within them
    after *every* window. Do not intersect them over time unless the difference is constant.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: it must be between 0 and 1")
    width = bounds[1] - bounds[0]

    def against(sign: int) -> Callable[[Array], Array]:
        start = np.cumsum(log_worse(candidate, stable, 0.0, bounds, sign), axis=0)
        slope = start - np.cumsum(log_worse(candidate, stable, 1.0, bounds, sign), axis=0)
        return lambda margin: mixture(start - slope * margin[:, None], BET_WEIGHTS)

    span = np.full(len(candidate.count), width)
    return _edge(against(1), -span, span, alpha / 2), _edge(against(-1), span, -span, alpha / 2)


def _edge(log_e: Callable[[Array], Array], refuted: Array, kept: Array, level: float) -> Array:
    """Where a log e-value that falls from `refuted` to `kept` goes below 1/level; `refuted` where it never is."""
    target = -np.log(level)
    nothing, outer = log_e(refuted) < target, refuted
    for _ in range(_HALVINGS):
        middle = (refuted + kept) / 2
        out = log_e(middle) >= target
        refuted, kept = np.where(out, middle, refuted), np.where(out, kept, middle)
    return np.where(nothing, outer, refuted)
