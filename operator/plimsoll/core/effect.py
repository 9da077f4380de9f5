"""How large the difference between two versions is: the ratio of their failure rates, with an interval.

The interval holds those ratios that no e-process has rejected so far (a confidence sequence: Howard et al., Annals of
Statistics 2021; Lindon & Malek, NeurIPS 2022), so it covers the true one with its level whenever one looks and stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plimsoll.core.statistics.comparison import WORSE_WEIGHTS, Arms, log_worse
from plimsoll.core.statistics.tables import Noise, table
from plimsoll.core.statistics.wealth import Array, mixture
from plimsoll.facts import ArmCounts, Window

#: Ratios that are tried, a hundredth to a hundredfold; each is a tenth of a decade from the next by half.
_RATIOS = np.logspace(-2, 2, 81)


@dataclass(frozen=True, slots=True)
class Effect:
    """`ratio` of the candidate's failure rate to the stable one's, `low` and `high` its interval; None: not known.

    `level` is the chance that the interval covers the true ratio, at every moment of the test.
    """

    ratio: float | None
    low: float | None
    high: float | None
    level: float
    reason: str


def ratio_of_failures(windows: Sequence[Window], alpha: float, noise: Noise) -> Effect | None:
    """The effect on failures over these windows, in order of time; None when there is no request to compare.

    The ends are rounded away from the ratio, to the next of 81 from a hundredth to a hundredfold.
    """
    counted = [one for one in windows if one.gap is None and one.candidate.requests and one.stable.requests]
    if not counted:
        return None
    data = table(counted, lambda arm: ((arm.failures,), (arm.requests,)), 1, noise)
    arms = data.arms
    swapped = Arms(arms.k_stable, arms.n_stable, arms.k_candidate, arms.n_candidate)
    low, below = (_least(one, data.cv, alpha / 2) for one in (arms, swapped))
    high = None if below is None else 1 / below
    ours, theirs = (_total(counted, side) for side in ("candidate", "stable"))
    ratio = None if not theirs[0] else (ours[0] / ours[1]) / (theirs[0] / theirs[1])
    return Effect(ratio, low, high, 1 - alpha, _told(ours, theirs, ratio, (low, high), alpha))


def _least(arms: Arms, cv: Array, alpha: float) -> float | None:
    """The smallest ratio that was not rejected; None when not even the smallest that is tried was."""
    for at, ratio in enumerate(_RATIOS):
        wealth = mixture(np.cumsum(log_worse(arms, cv, float(ratio)), axis=0), WORSE_WEIGHTS)
        if wealth.max() < np.log(1 / alpha):
            return float(_RATIOS[at - 1]) if at else None
    return float(_RATIOS[-1])


def _total(windows: Sequence[Window], side: str) -> tuple[int, int]:
    arms: list[ArmCounts] = [getattr(window, side) for window in windows]
    return sum(arm.failures for arm in arms), sum(arm.requests for arm in arms)


def _told(
    ours: tuple[int, int],
    theirs: tuple[int, int],
    ratio: float | None,
    ends: tuple[float | None, float | None],
    alpha: float,
) -> str:
    rates = [f"{name} {k:,}/{n:,} ({k / n:.2%})" for name, (k, n) in (("candidate", ours), ("stable", theirs))]
    low, high = (f"{end:.2g}" if end is not None else word for end, word in zip(ends, ("0", "any"), strict=True))
    known = "unknown" if ratio is None else f"{ratio:.2g}"
    return f"failures {rates[0]} vs {rates[1]}; ratio {known}, {1 - alpha:.0%} interval {low} to {high}"
