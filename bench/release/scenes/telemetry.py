"""What the operator sees of one release, window by window: errors, answer times, scores and labels of both arms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from plimsoll.core.simulation.world import MINUTE, Hour, draw
from plimsoll.facts import ArmCounts, Cohort, Labels, OutputBins, Window
from plimsoll.names import LATENCY_EDGES

from bench.release.scenes.arrivals import Arrivals
from bench.release.scenes.catalogue import AGES, BINS, INPUTS_SHIFT_AFTER, WRONG, Scene, slower_than, tilted

Array = NDArray[np.float64]
WINDOW = 10.0
#: How much the mix of scores wanders from minute to minute in both arms, and beyond that in each (logarithms).
MIX, MIX_OF_ARM = 0.2, 0.05
LABELS = tuple(f"le:{edge:g}" for edge in np.arange(1, BINS + 1) / BINS)


class Telemetry:
    """The windows of one run, drawn as it goes; `fixed` is its hour alone."""

    def __init__(self, scene: Scene, fixed: Hour, seed: tuple[int, ...]) -> None:
        self.scene, self.fixed, self.rng = scene, fixed, np.random.default_rng([*seed, 2])
        self.index = 0
        minutes = fixed.shared.shape[1]
        mix = np.random.default_rng([*seed, 3]).normal(size=(3, minutes, BINS))
        self.mixes = [np.exp(MIX * mix[0] + MIX_OF_ARM * mix[1 + arm]) for arm in (0, 1)]
        before = scene.requests_per_second * WINDOW
        self.arrivals = [Arrivals(1, WINDOW, before), Arrivals(1, WINDOW)]

    def windows(self, step: int, weight: int, count: int) -> list[Window]:
        """The next `count` windows, of one step at `weight` percent."""
        begins = (self.index + np.arange(count, dtype=np.float64))[:, None] * WINDOW
        share = np.full(begins.shape, weight / 100)
        counts = draw(self.scene.traffic, self.fixed, 1.0, WINDOW, begins, (share, 1 - share), self.rng)
        found = []
        for row in range(count):
            minute = min(int(begins[row, 0] // MINUTE), self.fixed.shared.shape[1] - 1)
            pods = tuple(
                self._arm(n, k, self.fixed.stable[0, minute, pod] ** 0.5, 0.0)
                for pod, (n, k) in enumerate(zip(counts.n_pods[row, :, 0], counts.k_pods[row, :, 0], strict=True))
            )
            pace = self.scene.slower * self.fixed.candidate[0, minute, 0] ** 0.5
            arm = self._arm(counts.n_candidate[row, 0], counts.k_candidate[row, 0], pace, self.scene.tail)
            found.append(self._window(step, weight, pods, arm))
        return found

    def rewind(self, windows: int) -> None:
        """Back to after so many windows: what was drawn beyond them did not come to pass."""
        for one in self.arrivals:
            one.forget(self.index - windows)
        self.index = windows

    def _window(self, step: int, weight: int, pods: tuple[ArmCounts, ...], candidate: ArmCounts) -> Window:
        start, self.index = WINDOW * self.index, self.index + 1
        stable = total(pods)
        return Window(
            self.index, start, start + WINDOW, step, weight, stable, candidate, pods,
            outputs=(self._scores(start, stable.requests, candidate.requests),),
            cohorts=self._labels(stable.requests, candidate.requests) if self.scene.kind == "labels" else (),
        )  # fmt: skip

    def _arm(self, n: float, k: float, pace: float, tail: float) -> ArmCounts:
        shares = slower_than(np.array(LATENCY_EDGES), pace, tail)
        left, slower = int(n), []
        for share, earlier in zip(shares, (1.0, *shares[:-1]), strict=True):
            left = int(self.rng.binomial(left, min(1.0, share / earlier))) if earlier > 0 else 0
            slower.append(left)
        return ArmCounts(int(n), int(k), 0, int(n), tuple(slower))

    def _scores(self, start: float, stable: int, candidate: int) -> OutputBins:
        minute = min(int(start // MINUTE), len(self.mixes[0]) - 1)
        moved = tilted(self.scene.inputs_shift if start >= INPUTS_SHIFT_AFTER else 0.0)
        arms = []
        for mix, rows, own in zip(self.mixes, (stable, candidate), (0.0, self.scene.shift), strict=True):
            weights = mix[minute] * moved * tilted(own)
            arms.append(tuple(map(int, self.rng.multinomial(rows, weights / weights.sum()))))
        return OutputBins("score", LABELS, arms[0], arms[1])

    def _labels(self, stable: int, candidate: int) -> tuple[Cohort, ...]:
        come = [one.turn(np.array([float(n)]))[:, 0] for one, n in zip(self.arrivals, (stable, candidate), strict=True)]
        found = []
        for at, age in enumerate(AGES):
            arms = []
            for expected, wrong in ((come[0][at], WRONG[at]), (come[1][at], self.scene.wrong[at])):
                labels = int(self.rng.poisson(expected))
                bad = int(self.rng.binomial(labels, wrong))
                arms.append(Labels(correct=labels - bad, incorrect=bad))
            found.append(Cohort(age, arms[0], arms[1]))
        return tuple(found)


def total(pods: tuple[ArmCounts, ...]) -> ArmCounts:
    """An arm of these pods."""
    return ArmCounts(
        sum(pod.requests for pod in pods),
        sum(pod.failures for pod in pods),
        0,
        sum(pod.timed for pod in pods),
        tuple(sum(column) for column in zip(*(pod.slower for pod in pods), strict=True)),
    )
