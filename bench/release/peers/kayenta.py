"""Kayenta's default judge (NetflixACAJudge): a Mann–Whitney test of the canary's series against a baseline's, each
metric `Pass` or `High`, a score of 0 to 100, and thresholds for it.

Sources: https://spinnaker.io/docs/guides/user/canary/judge/ (the test, its 98 % interval, the tolerance of 25 % of the
estimate), https://spinnaker.io/docs/guides/user/canary/best-practices/ (a lifetime of three hours, an interval of one,
a baseline of the same size), https://spinnaker.io/docs/guides/user/canary/config/canary-config/, docs/canary-config.md
(defaults of `nanStrategy` and `effectSize`), thresholds 95 and 75 as in Spinnaker's own examples. Checked against what
its real classifier said: `recorded/kayenta.json`, recorded by `recorded/kayenta`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bench.release.minutes import Ended, World
from bench.release.peers.mann_whitney import bracket, crossing, standardised

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
    """The estimated shift of `experiment` against `control` and its 98 % interval: (low, estimate, high)."""
    x, y = experiment[None], control[None]
    least, most = bracket(x, y)
    low, estimate, high = (crossing(x, y, z, _HALVINGS) for z in (QUANTILE, 0.0, -QUANTILE))
    low = np.where(standardised(x - least[:, None], y) <= QUANTILE, least, low)
    high = np.where(standardised(x - most[:, None], y) >= -QUANTILE, most, high)
    return float(low[0]), float(estimate[0]), float(high[0])


def classify(experiment: Array, control: Array, allowed_increase: float = 1.0, nan: str = "remove") -> str:
    """`classified` of one pair of series; with `nan` "replace" no value is a value of 0."""
    if nan == "remove":
        return str(classified(experiment[None], control[None], allowed_increase)[0])
    if not len(experiment) or not len(control):
        return PASS
    experiment, control = (np.nan_to_num(x, nan=0.0) for x in (experiment, control))
    return str(classified(experiment[None], control[None], allowed_increase)[0])


def classified(experiment: Array, control: Array, allowed_increase: float = 1.0) -> NDArray[np.str_]:
    """Of each pair of series, (pairs, points): `High` when the canary's is above the baseline's beyond the tolerance
    and the ratio of means is at least `allowed_increase`; `Nodata` where one is empty. NaN is no value."""
    told = ~np.isnan(experiment).all(axis=1) & ~np.isnan(control).all(axis=1)
    found = np.where(told, PASS, NODATA)
    asked = np.flatnonzero(told)
    x, y = experiment[asked], control[asked]
    mine, usual = np.nanmean(x, axis=1), np.nanmean(y, axis=1)
    below = (mine != 0) & (usual != 0) & (mine / np.where(usual == 0, 1.0, usual) < allowed_increase)
    asked = asked[~below & ~_alike(x, y)]
    found[asked[_is_above(experiment[asked], control[asked])]] = HIGH
    return found


def _alike(x: Array, y: Array) -> NDArray[np.bool_]:
    """Where both have the same values, or one value makes up both."""
    same = np.zeros(len(x), dtype=np.bool_)
    if x.shape == y.shape:
        same = (np.nan_to_num(np.sort(x), nan=-1.0) == np.nan_to_num(np.sort(y), nan=-1.0)).all(axis=1)
    both = np.concatenate([x, y], axis=1)
    return same | (np.nanmin(both, axis=1) == np.nanmax(both, axis=1))


def _is_above(x: Array, y: Array) -> NDArray[np.bool_]:
    """Whether the low end of the interval is above the tolerance: whether the test still rejects a shift of that size.
    What does not reject no shift at all need not be estimated."""
    above = np.zeros(len(x), dtype=np.bool_)
    least = bracket(x, y)[0] if len(x) else np.zeros(0)
    # Too few points for an interval: it then ends at the least difference of any two, as in the program.
    ends = standardised(x - least[:, None], y) <= QUANTILE
    left = np.flatnonzero(ends | (standardised(x, y) > QUANTILE))
    if not len(left):
        return above
    x, y, least, ends = x[left], y[left], least[left], ends[left]
    tolerance = TOLERANCE * np.abs(crossing(x, y, 0.0, _ENOUGH))
    above[left] = np.where(ends, least > tolerance, standardised(x - tolerance[:, None], y) > QUANTILE)
    return above


def score(classification: NDArray[np.str_]) -> Array:
    """Of one metric: all or nothing, and no data fails the canary."""
    return np.where(classification == PASS, 100.0, 0.0)


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
        last, left = number + 1 == canary.lifetime, np.flatnonzero(outcome == 0)
        seen = series[:, : number + 1, left].swapaxes(1, 2)
        scores = score(classified(seen[0], seen[1], canary.allowed_increase))
        fails = scores < (SCORE_PASS if last else SCORE_MARGINAL)
        outcome[left[fails]], ended[left[fails]] = -1, number + 1
        if last:
            outcome[left[~fails]] = 1
    return Ended(outcome, ended, bad + np.where(outcome == 1, world.after(ended), 0))
