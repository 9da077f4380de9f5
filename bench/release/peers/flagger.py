"""Flagger: two built-in checks at an interval, a weight that grows with each check that holds, a limit of failed ones.

Source: docs/gitbook/usage/how-it-works.md, deployment-strategies.md and metrics.md of v1.36.1
(https://docs.flagger.app/usage/how-it-works, https://docs.flagger.app/usage/deployment-strategies); the numbers are
those of the tutorials (https://docs.flagger.app/tutorials/istio-progressive-delivery). Where the pages are silent
(no requests, order of tick and rollback) pkg/controller/scheduler.go of that version was read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.release.minutes import Ended, World

Array = NDArray[np.float64]
PROGRESSING, PROMOTING, FAILED = "Progressing", "Promoting", "Failed"


@dataclass(frozen=True, slots=True)
class Analysis:
    """`spec.analysis` of a Canary: percent and milliseconds; `interval: 1m`."""

    threshold: int = 5
    step_weight: int = 10
    max_weight: int = 50
    success_rate_min: float = 99.0
    duration_max: float = 500.0


class Canary:
    """Canaries of one analysis side by side, from the tick that gave them the first weight."""

    def __init__(self, analysis: Analysis, runs: int) -> None:
        self.analysis = analysis
        self.phase = np.full(runs, PROGRESSING, dtype="U12")
        self.weight = np.full(runs, min(analysis.step_weight, 100))
        self.failed_checks = np.zeros(runs, dtype=np.int64)

    def tick(self, success_rate: Array, duration: Array) -> None:
        """One interval: percent and milliseconds, NaN where there is no value. The limit is looked at before the
        checks, so a rollback comes one tick after the last failed check; a failed check halts the weight."""
        going = self.phase == PROGRESSING
        over = going & (self.failed_checks >= max(1, self.analysis.threshold))
        self.phase[over] = FAILED
        self.weight[over] = 0
        self.failed_checks[over] = 0
        checked = going & ~over
        # Whole milliseconds are compared, and NaN is below and above nothing: no value never holds.
        whole = np.trunc(np.nan_to_num(duration, nan=np.inf))
        holds = (success_rate >= self.analysis.success_rate_min) & (whole <= self.analysis.duration_max)
        self.failed_checks[checked & ~holds] += 1
        advances = checked & holds
        full = advances & (self.weight >= self.analysis.max_weight)
        self.phase[full] = PROMOTING
        self.weight[advances & ~full] = np.minimum(self.weight[advances & ~full] + self.analysis.step_weight, 100)


DOCUMENTED = Analysis()


def tuned(success_rate_min: float) -> Analysis:
    """The same, with a limit that fits the service's rate of errors."""
    return Analysis(success_rate_min=success_rate_min)


def release(analysis: Analysis, world: World) -> Ended:
    """A tick each minute on the rate of the last minute; requests are fast. Undecided at the horizon: still halted."""
    canary, ended, bad = Canary(analysis, world.runs), np.full(world.runs, float(world.minutes)), np.zeros(world.runs)
    for number in range(world.minutes):
        going = canary.phase == PROGRESSING
        if not going.any():
            break
        minute = world.minute(number, np.where(going, canary.weight, 0) / 100)
        bad += minute.failures
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = np.where(minute.seen, 100 * (1 - minute.failures / minute.requests), np.nan)
        canary.tick(rate, np.where(np.isnan(rate), np.nan, 10.0))
        ended = np.where(going & (canary.phase != PROGRESSING), number + 1.0, ended)
    promoted = canary.phase == PROMOTING
    outcome = np.where(promoted, 1, np.where(canary.phase == FAILED, -1, 0)).astype(np.int8)
    return Ended(outcome, ended, bad + np.where(promoted, world.after(ended), 0))
