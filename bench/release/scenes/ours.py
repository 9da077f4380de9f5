"""This engine in a scene: each release goes through its steps by the verdicts that a real one gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from plimsoll.core.simulation import PROMOTED, ROLLED_BACK, UNDECIDED, Step
from plimsoll.core.simulation.world import MINUTE, hour
from plimsoll.core.verdict import verdicts
from plimsoll.facts import Verdict, Window

from bench.release.engines import STEPS
from bench.release.scenes.catalogue import Scene
from bench.release.scenes.telemetry import WINDOW, Telemetry

#: Beside promoted, undecided and rolled back: a person is asked to look.
HELD = 2
#: Windows of a step that are drawn before they are judged together: most releases need few.
LOOKS = (8, 24, 60)
Ended = tuple[NDArray[np.int8], NDArray[np.float64]]


def releases(scene: Scene, runs: int) -> Ended:
    """How each ended, and after how many seconds; the same scene and `runs` give the same releases."""
    fixed = hour(scene.traffic, runs, int(np.ceil(scene.horizon / MINUTE)) + 1, scene.seed)
    found = [
        _Release(scene, Telemetry(scene, fixed.of(np.array([run])), (scene.seed, run))).end() for run in range(runs)
    ]
    outcome, seconds = zip(*found, strict=True)
    return np.array(outcome, dtype=np.int8), np.array(seconds, dtype=np.float64)


class _Release:
    def __init__(self, scene: Scene, telemetry: Telemetry) -> None:
        self.scene, self.telemetry = scene, telemetry
        self.most = int(scene.horizon // WINDOW)
        self.windows: list[Window] = []

    def end(self) -> tuple[int, float]:
        """Through all steps, or until something ends it."""
        steps = [replace(STEPS[0], min_seconds=max(STEPS[0].min_seconds, self.scene.first_step)), *STEPS[1:]]
        for number, step in enumerate(steps):
            outcome, windows = self._step(number, step)
            if outcome != PROMOTED:
                return outcome, windows * WINDOW
            self.windows = self.windows[:windows]
        return PROMOTED, len(self.windows) * WINDOW

    def _step(self, number: int, step: Step) -> tuple[int, int]:
        """How the step ended (PROMOTED: it passed), after how many windows of the release."""
        first, policy = len(self.windows), replace(self.scene.policy, min_requests=step.min_requests)
        self.telemetry.rewind(first)
        for look in (*LOOKS, self.most):
            rows = min(look, self.most - first) - (len(self.windows) - first)
            self.windows += self.telemetry.windows(number + 1, step.weight, max(0, rows))
            found = _first(verdicts(self.windows, policy), first, step)
            if found is not None:
                return found
        return UNDECIDED, self.most


def _first(said: Sequence[Verdict], first: int, step: Step) -> tuple[int, int] | None:
    """What ends a step that began after `first` windows, and after how many; None when nothing has yet."""
    for end, verdict in enumerate(said[first:], first + 1):
        if verdict.outcome == "Fail":
            return ROLLED_BACK, end
        if verdict.hold:
            return HELD, end
        if verdict.outcome == "Pass" and (end - first) * WINDOW >= step.min_seconds:
            return PROMOTED, end
    return None
