"""Kayenta's default judge (NetflixACAJudge): a Mann–Whitney test of the canary's series against a baseline's, each
metric `Pass` or `High`, a score of 0 to 100, and thresholds for it.

Sources: https://spinnaker.io/docs/guides/user/canary/judge/ (the test, its 98 % interval, the tolerance of 25 % of the
estimate), https://spinnaker.io/docs/guides/user/canary/best-practices/ (a lifetime of three hours, an interval of one,
a baseline of the same size), https://spinnaker.io/docs/guides/user/canary/config/canary-config/, docs/canary-config.md
(defaults of `nanStrategy` and `effectSize`), thresholds 95 and 75 as in Spinnaker's own examples. Checked against what
its real classifier said: `recorded/kayenta.json`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from bench.release.minutes import Ended, World

Array = NDArray[np.float64]
PASS, HIGH, NODATA = "Pass", "High", "Nodata"
#: Of the normal distribution, for an interval of 98 %.
QUANTILE = -float(ndtri(0.01))
TOLERANCE = 0.25
#: Halvings of the bracket: far below any difference of rates.
_HALVINGS = 45
#: For a quarter of the estimate.
_ENOUGH = 16
SCORE_PASS = 95
SCORE_MARGINAL = 75


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary stage on one metric, the rate of errors, `direction: increase`; minutes. Each judgment sees the series
    since the start ("growing"); one below 75 ends the canary, the last one needs 95."""

    lifetime: int = 180
    interval: int = 60
    weight: int = 10
    allowed_increase: float = 1.0


DOCUMENTED = Canary()
#: A judgment every ten minutes for half an hour; an increase below one half is no failure.
TUNED = Canary(lifetime=30, interval=10, allowed_increase=1.5)


def shift(experiment: Array, control: Array) -> tuple[float, float, float]:
    """The estimated shift of `experiment` against `control` and its 98 % interval: (low, estimate, high).

    Where the rank sum of the shifted sample, in standard errors and corrected for continuity and ties, crosses the
    quantile: as R's wilcox.test (exact = FALSE), which the judge's own is checked against.
    """
    least, most = _bracket(experiment, control)
    low, high = (_crossing(experiment, control, z, _HALVINGS) for z in (QUANTILE, -QUANTILE))
    low = least if _standardised(experiment - least, control) <= QUANTILE else low
    high = most if _standardised(experiment - most, control) >= -QUANTILE else high
    return low, _crossing(experiment, control, 0.0, _HALVINGS), high


def _bracket(experiment: Array, control: Array) -> tuple[float, float]:
    return float(experiment.min() - control.max()), float(experiment.max() - control.min())


def _crossing(experiment: Array, control: Array, quantile: float, halvings: int) -> float:
    low, high = _bracket(experiment, control)
    for _ in range(halvings):
        middle = (low + high) / 2
        if _standardised(experiment - middle, control) > quantile:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _standardised(x: Array, y: Array) -> float:
    n, m = len(x), len(y)
    ranks = rankdata(np.concatenate([x, y]))
    excess = ranks[:n].sum() - n * (n + 1) / 2 - n * m / 2
    _, ties = np.unique(ranks, return_counts=True)
    spread = n * m / 12 * (n + m + 1 - (ties.astype(float) ** 3 - ties).sum() / ((n + m) * (n + m - 1)))
    return float((excess - 0.5 * np.sign(excess)) / np.sqrt(spread)) if spread > 0 else 0.0


def classify(experiment: Array, control: Array, allowed_increase: float = 1.0, nan: str = "remove") -> str:
    """`High` when the canary's series is above the baseline's beyond the tolerance and the ratio of means is at least
    `allowed_increase`; `Nodata` where one is empty."""
    if nan == "remove":
        experiment, control = (x[~np.isnan(x)] for x in (experiment, control))
    else:
        experiment, control = (np.nan_to_num(x, nan=0.0) for x in (experiment, control))
    if not len(experiment) or not len(control):
        return NODATA if nan == "remove" else PASS
    if np.array_equal(np.sort(experiment), np.sort(control)) or len(np.unique([*experiment, *control])) == 1:
        return PASS
    means = experiment.mean(), control.mean()
    if all(means) and means[0] / means[1] < allowed_increase:
        return PASS
    return HIGH if _is_above(experiment, control) else PASS


def _is_above(experiment: Array, control: Array) -> bool:
    """Whether the low end of the interval is above the tolerance: whether the test still rejects a shift of that size.
    What does not reject no shift at all need not be estimated."""
    least, _ = _bracket(experiment, control)
    ends = _standardised(experiment - least, control) <= QUANTILE
    if not ends and _standardised(experiment, control) <= QUANTILE:
        return False
    tolerance = TOLERANCE * abs(_crossing(experiment, control, 0.0, _ENOUGH))
    # Too few points for an interval: it then ends at the least difference of any two, as in the program.
    return least > tolerance if ends else _standardised(experiment - tolerance, control) > QUANTILE


def score(classification: str) -> float:
    """Of one metric: all or nothing, and no data fails the canary."""
    return 100.0 if classification == PASS else 0.0


def release(canary: Canary, world: World) -> Ended:
    """The canary at its weight until the last judgment, then all requests."""
    runs, weight = world.runs, np.full(world.runs, canary.weight / 100)
    series = np.full((2, canary.lifetime, runs), np.nan)
    outcome, ended, bad = np.zeros(runs, dtype=np.int8), np.full(runs, float(canary.lifetime)), np.zeros(runs)
    for number in range(canary.lifetime):
        minute = world.minute(number, weight)
        bad += np.where(outcome == 0, minute.failures, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = minute.failures / minute.requests, minute.baseline_failures / minute.baseline_requests
        series[:, number] = np.where(minute.seen, rates, np.nan)
        if (number + 1) % canary.interval:
            continue
        last = number + 1 == canary.lifetime
        for run in np.flatnonzero(outcome == 0):
            found = score(classify(series[0, : number + 1, run], series[1, : number + 1, run], canary.allowed_increase))
            if found < (SCORE_PASS if last else SCORE_MARGINAL):
                outcome[run], ended[run] = -1, number + 1
            elif last:
                outcome[run] = 1
    return Ended(outcome, ended, bad + np.where(outcome == 1, world.after(ended), 0))
