"""Argo Rollouts: a background AnalysisRun, one metric, measured while the rollout goes through its steps.

Source: docs/features/analysis.md of v1.10.2 (https://argo-rollouts.readthedocs.io/en/stable/features/analysis/):
"Background Analysis", "Failure Conditions and Failure Limit", "ConsecutiveSuccessLimit and FailureLimit", "Handling
Metric Results". Where the page is silent (order of the limits, what no series is) analysis/analysis.go and
utils/evaluate/evaluate.go of that version were read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.release.minutes import Ended, World

Array = NDArray[np.float64]
RUNNING, SUCCESSFUL, FAILED, ERROR, INCONCLUSIVE = "Running", "Successful", "Failed", "Error", "Inconclusive"
#: Measurements in error are repeated after 10 s: so many of them fall into a minute.
RETRIES = 6


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of an AnalysisTemplate on a success rate; the defaults are the controller's.

    `success_at_least` is `successCondition: result[0] >= …`, with `nan_succeeds` preceded by `isNaN(result[0]) ||`;
    `failure_below` is `failureCondition: result[0] < …`. Without `count` it goes on until the rollout ends.
    """

    success_at_least: float
    failure_below: float | None = None
    nan_succeeds: bool = False
    count: int | None = None
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4


class AnalysisRun:
    """Runs of one metric side by side; `phase` holds the phase of each."""

    def __init__(self, metric: Metric, runs: int) -> None:
        self.metric = metric
        self.phase = np.full(runs, RUNNING, dtype="U12")
        self.counted, self.failed, self.inconclusive, self.errors = (np.zeros(runs, dtype=np.int64) for _ in range(4))

    def measure(self, value: Array, error: NDArray[np.bool_]) -> None:
        """One measurement of each run that goes on: its value (NaN where nothing was divided by nothing), or an error
        where Prometheus gave no series or no answer."""
        metric, going = self.metric, self.phase == RUNNING
        nan = np.isnan(value)
        success = np.where(nan, metric.nan_succeeds, value >= metric.success_at_least)
        failure = ~success if metric.failure_below is None else ~nan & (value < metric.failure_below)
        told = going & ~error
        self.counted += told
        self.failed += told & failure
        self.inconclusive += told & ~failure & ~success
        self.errors = np.where(going & error, self.errors + 1, np.where(told, 0, self.errors))
        self._assess(going)

    def repeat(self, error: NDArray[np.bool_]) -> None:
        """Where the last measurement was an error and the next one is too."""
        going = (self.phase == RUNNING) & error
        self.errors += going
        self._assess(going)

    def terminate(self) -> None:
        """The rollout is through its steps: what still runs has succeeded."""
        self.phase[self.phase == RUNNING] = SUCCESSFUL

    def _assess(self, going: NDArray[np.bool_]) -> None:
        """The later of these wins, as in the controller."""
        metric = self.metric
        if metric.count is not None:
            self.phase[going & (self.counted >= metric.count)] = SUCCESSFUL
        self.phase[going & (self.failed > metric.failure_limit)] = FAILED
        self.phase[going & (self.inconclusive > metric.inconclusive_limit)] = INCONCLUSIVE
        self.phase[going & (self.errors > metric.consecutive_error_limit)] = ERROR


@dataclass(frozen=True, slots=True)
class Rollout:
    """Steps of `setWeight` and `pause: {duration}`, and the analysis beside them. `recent` is the part of a minute that
    the query looks at: `irate` sees the last two scrapes, 15 s apart; None is `rate` over the interval."""

    metric: Metric
    weights: tuple[int, ...]
    pause_minutes: int
    interval_minutes: int
    recent: float | None = None


#: The documented example "Background Analysis": 20 % more every 10 minutes, every 5 minutes at least 95 %, limit 3.
DOCUMENTED = Rollout(Metric(0.95, failure_limit=3), (20, 40, 60, 80), 10, 5, recent=0.25)


def tuned(success_at_least: float) -> Rollout:
    """10 and 50 %, 10 minutes each, measured each minute by `rate`, no requests are no failure, limit 3; whoever sets
    it knows the service's rate of errors."""
    return Rollout(Metric(success_at_least, nan_succeeds=True, failure_limit=3), (10, 50), 10, 1)


def release(rollout: Rollout, world: World) -> Ended:
    """Abort on Failed and Error, pause for good on Inconclusive, full weight after the last pause."""
    runs, length = world.runs, len(rollout.weights) * rollout.pause_minutes
    analysis = AnalysisRun(rollout.metric, runs)
    ended, bad = np.full(runs, float(length)), np.zeros(runs)
    requests, failures, blind = np.zeros(runs), np.zeros(runs), np.zeros(runs, dtype=np.int64)
    for number in range(length):
        going = analysis.phase == RUNNING
        weight = np.full(runs, rollout.weights[number // rollout.pause_minutes] / 100)
        minute = world.minute(number, weight)
        bad += np.where(going, minute.failures, 0)
        requests += np.where(minute.seen, minute.requests, 0)
        failures += np.where(minute.seen, minute.failures, 0)
        blind = np.where(minute.seen, 0, blind + 1)
        if (number + 1) % rollout.interval_minutes:
            continue
        if rollout.recent is not None:
            requests, failures = _recent(world, minute.requests, minute.failures, rollout.recent)
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = 1 - failures / requests
        error = blind >= rollout.interval_minutes
        analysis.measure(rate, error)
        for _ in range(RETRIES - 1):
            analysis.repeat(error & (blind > rollout.interval_minutes))
        ended = np.where(going & (analysis.phase != RUNNING), number + 1.0, ended)
        requests, failures = np.zeros(runs), np.zeros(runs)
    held = analysis.phase == INCONCLUSIVE
    analysis.terminate()
    promoted = analysis.phase == SUCCESSFUL
    outcome = np.where(promoted, 1, np.where(held, 0, -1)).astype(np.int8)
    return Ended(outcome, ended, bad + np.where(promoted, world.after(ended), 0))


def _recent(world: World, requests: Array, failures: Array, part: float) -> tuple[Array, Array]:
    """The counts of a part of the minute."""
    failed = world.rng.binomial(failures.astype(np.int64), part)
    return failed + world.rng.binomial((requests - failures).astype(np.int64), part), failed.astype(np.float64)
