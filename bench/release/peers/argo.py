"""Argo Rollouts: a background AnalysisRun, one metric, measured while the rollout goes through its steps.

Source: docs/features/analysis.md of v1.10.2 (https://argo-rollouts.readthedocs.io/en/stable/features/analysis/):
"Background Analysis", "Failure Conditions and Failure Limit", "ConsecutiveSuccessLimit and FailureLimit", "Handling
Metric Results". Where the page is silent (order of the limits, no series, when the first measurement is made) the real
controller was asked: `recorded/argo`, `recorded/argo.json`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.release.minutes import MINUTE, Ended, Minute, World

Array = NDArray[np.float64]
RUNNING, SUCCESSFUL, FAILED, ERROR, INCONCLUSIVE = "Running", "Successful", "Failed", "Error", "Inconclusive"
#: A measurement in error is repeated after so many seconds, whatever the interval.
RETRY_SECONDS = 10.0
RETRIES_A_MINUTE = int(MINUTE / RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of an AnalysisTemplate on a success rate; the defaults are the controller's.

    `success_at_least` is `successCondition: result[0] >= …`, with `nan_succeeds` preceded by `isNaN(result[0]) ||`;
    `failure_below` is `failureCondition: result[0] < …`; one of them at least. Without `count` it goes on until the
    rollout ends, and without `interval` the count is 1. A negative `failure_limit` tolerates any number of failures.
    """

    success_at_least: float | None = None
    failure_below: float | None = None
    nan_succeeds: bool = False
    count: int | None = None
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    consecutive_success_limit: int = 0


class AnalysisRun:
    """Runs of one metric side by side; `phase` holds the phase of each."""

    def __init__(self, metric: Metric, runs: int) -> None:
        self.metric = metric
        self.phase = np.full(runs, RUNNING, dtype="U12")
        counters = (np.zeros(runs, dtype=np.int64) for _ in range(5))
        self.counted, self.failed, self.inconclusive, self.errors, self.successes = counters

    def measure(self, value: Array, error: NDArray[np.bool_], made: NDArray[np.bool_] | None = None) -> None:
        """One measurement of each run that goes on (and of `made`, where it is given): its value (NaN where nothing
        was divided by nothing), or an error where Prometheus gave no series or no answer."""
        going = (self.phase == RUNNING) if made is None else (self.phase == RUNNING) & made
        success, failure = self._conditions(value)
        told, unsaid = going & ~error, going & error
        self.counted += told
        self.failed += told & failure
        self.inconclusive += told & ~failure & ~success
        self.errors = np.where(told, 0, self.errors + unsaid)
        self.successes = np.where(going, (self.successes + 1) * (told & success & ~failure), self.successes)
        self._assess(going)

    def _conditions(self, value: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether the success and the failure condition hold; one that is not given is the other's opposite."""
        metric, nan = self.metric, np.isnan(value)
        failure = None if metric.failure_below is None else ~nan & (value < metric.failure_below)
        if metric.success_at_least is None:
            assert failure is not None, "a metric needs a condition"
            return ~failure, failure
        success = np.where(nan, metric.nan_succeeds, value >= metric.success_at_least)
        return success, ~success if failure is None else failure

    def terminate(self) -> None:
        """The rollout is through its steps: what still runs has succeeded."""
        self.phase[self.phase == RUNNING] = SUCCESSFUL

    def _assess(self, going: NDArray[np.bool_]) -> None:
        """The later of these wins, as in the controller."""
        metric, in_a_row = self.metric, self.metric.consecutive_success_limit
        if metric.count is not None:
            lacking = INCONCLUSIVE if metric.failure_limit >= 0 else FAILED
            self.phase[going & (self.counted >= metric.count)] = lacking if in_a_row else SUCCESSFUL
        if in_a_row:
            self.phase[going & (self.successes >= in_a_row)] = SUCCESSFUL
        if metric.failure_limit >= 0:
            self.phase[going & (self.failed > metric.failure_limit)] = FAILED
        self.phase[going & (self.inconclusive > metric.inconclusive_limit)] = INCONCLUSIVE
        self.phase[going & (self.errors > metric.consecutive_error_limit)] = ERROR


@dataclass(frozen=True, slots=True)
class Rollout:
    """Steps of `setWeight` and `pause: {duration}`, and the analysis beside them, which measures at once when the step
    `starting` begins (counted in weights), or after `initial_delay` minutes, and then at its interval.

    The query looks back over `range_minutes`; `recent` is the part of a minute whose requests it counts: `irate` sees
    the last two scrapes, 15 s apart.
    """

    metric: Metric
    weights: tuple[int, ...]
    pause_minutes: int
    interval_minutes: int
    starting: int = 0
    initial_delay: int = 0
    range_minutes: int = 1
    recent: float = 1.0

    @property
    def first_minute(self) -> int:
        """When the first measurement is due."""
        return self.starting * self.pause_minutes + self.initial_delay


#: The documented example "Background Analysis": 20 % more every 10 minutes, from 40 % on a measurement every 5 minutes,
#: at least 95 %, limit 3, `irate(…[5m])`.
DOCUMENTED = Rollout(Metric(0.95, failure_limit=3), (20, 40, 60, 80), 10, 5, starting=1, range_minutes=5, recent=0.25)


def tuned(success_at_least: float) -> Rollout:
    """10 and 50 %, 10 minutes each, measured each minute by `rate(…[1m])` after a first minute, no requests are no
    failure, limit 3; whoever sets it knows the service's rate of errors."""
    return Rollout(Metric(success_at_least, nan_succeeds=True, failure_limit=3), (10, 50), 10, 1, initial_delay=1)


def release(rollout: Rollout, world: World) -> Ended:
    """Abort on Failed and Error, pause for good on Inconclusive, full weight after the last pause."""
    runs, length = world.runs, len(rollout.weights) * rollout.pause_minutes
    background = Background(rollout, world)
    ended, bad = np.full(runs, float(length)), np.zeros(runs)
    for number in range(length):
        going = background.run.phase == RUNNING
        minute = world.minute(number, np.full(runs, rollout.weights[number // rollout.pause_minutes] / 100))
        bad += np.where(going, minute.failures, 0)
        background.minute(number + 1, minute)
        ended = np.where(going & (background.run.phase != RUNNING), number + 1.0, ended)
    held = background.run.phase == INCONCLUSIVE
    background.run.terminate()
    promoted = background.run.phase == SUCCESSFUL
    outcome = np.where(promoted, 1, np.where(held, 0, -1)).astype(np.int8)
    return Ended(outcome, ended, bad + np.where(promoted, world.after(ended), 0))


class Background:
    """The AnalysisRuns of some rollouts, minute by minute: what is due is measured at the end of one."""

    def __init__(self, rollout: Rollout, world: World) -> None:
        runs = world.runs
        self.rollout, self.world, self.run = rollout, world, AnalysisRun(rollout.metric, runs)
        self.due = np.full(runs, rollout.first_minute)
        self.requests, self.failures, self.blind = np.zeros(runs), np.zeros(runs), np.zeros(runs, dtype=np.int64)

    def minute(self, now: int, minute: Minute) -> None:
        """`now` minutes have gone by, of which this was the last."""
        self.requests = np.where(minute.seen, minute.requests, self.requests)
        self.failures = np.where(minute.seen, minute.failures, self.failures)
        self.blind = np.where(minute.seen, 0, self.blind + 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = 1 - np.divide(*reversed(self._counted()))
        error, again = self.blind >= self.rollout.range_minutes, self.run.errors > 0
        made = self.due <= now
        for _ in range(RETRIES_A_MINUTE - 1):
            self.run.measure(rate, error, made & again & error)
        self.run.measure(rate, error, made)
        self.due = np.where(made, np.where(error, now + 1, now + self.rollout.interval_minutes), self.due)

    def _counted(self) -> tuple[Array, Array]:
        """Requests and failures that the query counts."""
        if self.rollout.recent == 1:
            return self.requests, self.failures
        rng, failures = self.world.rng, self.failures.astype(np.int64)
        failed = rng.binomial(failures, self.rollout.recent)
        others = rng.binomial(self.requests.astype(np.int64) - failures, self.rollout.recent)
        return (failed + others).astype(np.float64), failed.astype(np.float64)
