"""Many releases of one policy through its steps, as the operator takes them: forward on evidence, back on evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.breaker import looks_back
from plimsoll.core.simulation.baseline import draw_beside, pods_of
from plimsoll.core.simulation.judged import Judged, Rules, judged
from plimsoll.core.simulation.standing import Standing, joined, put, taken
from plimsoll.core.simulation.world import MINUTE, Counts, Hour, Traffic, draw, hour
from plimsoll.core.statistics.policy import Policy
from plimsoll.core.statistics.wealth import Array

PROMOTED, UNDECIDED, ROLLED_BACK = 1, 0, -1
#: The part of the runs of a group that may be decided already.
_IDLE = 0.1
#: The step of windows before the candidate's first share.
_BEFORE = -1


@dataclass(frozen=True, slots=True)
class Step:
    """So much traffic for the candidate until the evidence passes: at least so long, with so many requests of its own.

    `weight` in percent. In a `probation` the candidate is the first to get requests and the old version keeps the
    holdback, not known pod by pod. `copies` are of so many percent of the requests, which the old version answers all;
    no user sees what the candidate makes of them.
    """

    weight: int
    min_seconds: float = 30.0
    min_requests: int = 50
    probation: bool = False
    copies: bool = False


@dataclass(frozen=True, slots=True)
class Releases:
    """How each run ended: `outcome` (PROMOTED, UNDECIDED, ROLLED_BACK), after how many `seconds` (the horizon where
    undecided), and the candidate's failed requests (`bad`) within the horizon, or until the outcome where the trial has
    a `deadline`; all (runs,)."""

    outcome: NDArray[np.int8]
    seconds: Array
    bad: Array


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: a policy and its steps on a traffic, with a candidate `effect` times as bad as the stable
    version. `window_seconds` must divide a minute; `horizon` in seconds from the candidate's first share, before which
    the stable version alone is watched for `pre_seconds`. With `fresh` the candidate is compared with a baseline of its
    own age. With a `deadline` who has not passed a step so many seconds after its least time stays undecided."""

    policy: Policy
    steps: Sequence[Step]
    traffic: Traffic
    effect: float = 1.0
    window_seconds: float = 10.0
    horizon: float = 1800.0
    pre_seconds: float = 0.0
    fresh: bool = False
    deadline: float | None = None

    @property
    def minutes(self) -> int:
        """Of an hour that this takes."""
        return int(np.ceil(self.horizon / MINUTE)) + 1 + int(np.ceil(self.pre_seconds / MINUTE))


def run(trial: Trial, runs: int, seed: int) -> Releases:
    """Simulate `runs` releases; the same seed gives the same releases."""
    fixed = hour(trial.traffic, runs, trial.minutes, seed, fresh=trial.fresh)
    return Walk(trial, fixed, runs, np.random.default_rng([seed, 1])).result()


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that take a step together: which, their hours, where the verdicts on them stand, and which are under way:
    the others are decided, and are drawn and judged for nothing until they are put out."""

    runs: NDArray[np.int64]
    hours: Hour
    standing: Standing
    going: NDArray[np.bool_]

    def then(self, standing: Standing, going: NDArray[np.bool_]) -> Group:
        """After a window; without the decided ones as soon as these are many, for to put them out is dear."""
        if going.sum() > (1 - _IDLE) * len(going):
            return Group(self.runs, self.hours, standing, going)
        return Group(self.runs[going], self.hours.of(going), taken(standing, going), going[going])


class Walk:
    """All runs through one step, window by window, then those that passed through the next one; who is decided leaves.

    Windows are counted from where each run entered the step, so that steps and spells begin for all of them at once.
    """

    def __init__(self, trial: Trial, fixed: Hour, runs: int, rng: np.random.Generator) -> None:
        self.trial, self.fixed, self.rng = trial, fixed, rng
        self.rules = Rules.of(trial.policy, trial.window_seconds)
        self.windows = int(trial.horizon // trial.window_seconds)
        self.outcome = np.full(runs, UNDECIDED, dtype=np.int8)
        self.ended = np.full(runs, self.windows)
        self.bad = np.zeros(runs)
        pods = pods_of(trial.traffic) if trial.fresh else trial.traffic.stable_pods
        self.standing = Standing.new(runs, pods, looks_back(trial.policy))

    def result(self) -> Releases:
        """Take all runs to their ends."""
        self._watch()
        began = np.zeros(len(self.outcome), dtype=np.int64)
        running = np.arange(len(self.outcome))
        for number in range(len(self.trial.steps)):
            running, began = self._step(number, running, began)
        self._promote(running, began)
        return Releases(self.outcome, self.ended * self.trial.window_seconds, self.bad)

    def _watch(self) -> None:
        """The stable version alone, before the first share: its pods tell how noisy they are."""
        runs, seconds = np.arange(len(self.outcome)), self.trial.window_seconds
        for row in range(int(self.trial.pre_seconds // seconds), 0, -1):
            group = Group(runs, self.fixed, self.standing, np.ones(len(runs), dtype=np.bool_))
            begins = np.full(len(runs), -row * seconds)
            self.standing, _ = self.judged(_BEFORE, group, self.window(_BEFORE, group, begins), begins)

    def _step(
        self, number: int, runs: NDArray[np.int64], began: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take runs that entered step `number` after `began` windows through it: which passed, after how many."""
        step, seconds = self.trial.steps[number], self.trial.window_seconds
        entered = np.zeros(len(self.outcome), dtype=np.int64)
        entered[runs] = began
        passed, after, states = [runs[:0]], [began[:0]], []
        group = Group(runs, self.fixed.of(runs), taken(self.standing, runs), began < self.windows)
        for row in range(self._most(step)):
            if not group.going.any():
                break
            at: Array = (entered[group.runs] + row) * np.float64(seconds)
            counts = self.window(number, group, at)
            standing, said = self.judged(number, group, counts, at)
            self.bad[group.runs] += np.where(group.going & ~np.bool_(step.copies), counts.bad[0], 0.0)
            fails = said.failed & group.going
            passes = said.passes & ~said.failed & group.going & (standing.in_step >= step.min_requests)
            passes &= (row + 1) * seconds >= step.min_seconds
            self._roll_back(group.runs[fails], entered, row)
            if passes.any():
                passed.append(group.runs[passes])
                after.append(entered[passed[-1]] + row + 1)
                states.append(taken(standing, passes))
            time_left = entered[group.runs] + row + 1 < self.windows
            group = group.then(standing, group.going & ~fails & ~passes & time_left)
        through = np.concatenate(passed)
        if states and number + 1 < len(self.trial.steps):
            self.standing = put(self.standing, through, joined(states))
        return through, np.concatenate(after)

    def _most(self, step: Step) -> int:
        """Windows that a step may take."""
        if self.trial.deadline is None:
            return self.windows
        return max(1, int((step.min_seconds + self.trial.deadline) // self.trial.window_seconds))

    def window(self, number: int, group: Group, begins: Array) -> Counts:
        """What the runs of a group count in a window of step `number` that begins at `begins`, in seconds: one row."""
        trial, step = self.trial, self._at(number)
        weight = np.full((1, len(begins)), step.weight / 100)
        # What is before the first share are the last minutes of the hour, so that nothing else is moved by it.
        drawn = begins[None] % (trial.minutes * MINUTE)
        traffic, seconds = trial.traffic, trial.window_seconds
        if trial.fresh:
            return draw_beside(traffic, group.hours, trial.effect, seconds, drawn, weight, self.rng)
        others = np.ones_like(weight) if step.copies else 1 - weight
        found = draw(traffic, group.hours, trial.effect, seconds, drawn, (weight, others), self.rng)
        return found.in_one_pod() if step.probation else found

    def judged(self, number: int, group: Group, counts: Counts, begins: Array) -> tuple[Standing, Judged]:
        """Where the runs of a group stand after this window as well, and what is said of it."""
        return judged(group.standing, counts, begins, number, self.rules, share=self._at(number).weight / 100)

    def _at(self, number: int) -> Step:
        return Step(0) if number == _BEFORE else self.trial.steps[number]

    def _roll_back(self, runs: NDArray[np.int64], entered: NDArray[np.int64], row: int) -> None:
        self.outcome[runs] = ROLLED_BACK
        self.ended[runs] = entered[runs] + row + 1

    def _promote(self, runs: NDArray[np.int64], began: NDArray[np.int64]) -> None:
        """All requests go to the candidate from now on."""
        trial = self.trial
        self.outcome[runs], self.ended[runs] = PROMOTED, began
        left = (self.windows - began) * trial.window_seconds * (trial.deadline is None)
        self.bad[runs] += left * trial.traffic.requests_per_second * trial.traffic.candidate_rate(trial.effect)
