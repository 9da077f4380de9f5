"""Many releases of one policy through its steps, as the operator takes them: forward on evidence, back on evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.simulation.judged import judged
from plimsoll.core.simulation.world import MINUTE, Counts, Hour, Traffic, draw, hour
from plimsoll.core.statistics.policy import Policy
from plimsoll.core.statistics.wealth import Array

PROMOTED, UNDECIDED, ROLLED_BACK = 1, 0, -1
#: Rows of a step that are looked at first, then next: most releases need few.
_LOOKS = (8, 32, 96)


@dataclass(frozen=True, slots=True)
class Step:
    """So much traffic for the candidate until the evidence passes: at least so long, with so many requests of its own.

    `weight` in percent. The last step stands for the probation, where the old version keeps the holdback.
    """

    weight: int
    min_seconds: float = 30.0
    min_requests: int = 50


@dataclass(frozen=True, slots=True)
class Releases:
    """How each run ended: `outcome` (PROMOTED, UNDECIDED, ROLLED_BACK), after how many `seconds` (the horizon where
    undecided), and the candidate's failed requests within the horizon (`bad`); all (runs,)."""

    outcome: NDArray[np.int8]
    seconds: Array
    bad: Array


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: a policy and its steps on a traffic, with a candidate `effect` times as bad as the stable
    version. `window_seconds` must divide a minute; `horizon` in seconds."""

    policy: Policy
    steps: Sequence[Step]
    traffic: Traffic
    effect: float = 1.0
    window_seconds: float = 10.0
    horizon: float = 1800.0


def run(trial: Trial, runs: int, seed: int) -> Releases:
    """Simulate `runs` releases; the same seed gives the same releases."""
    fixed = hour(trial.traffic, runs, int(np.ceil(trial.horizon / MINUTE)) + 1, seed)
    return _Walk(trial, fixed, runs, np.random.default_rng([seed, 1])).result()


@dataclass(frozen=True, slots=True)
class _Group:
    """Runs that take the same step together: which, at which window each entered it, and the rows they had before."""

    runs: NDArray[np.int64]
    began: NDArray[np.int64]
    before: _Rows | None

    def of(self, mask: NDArray[np.bool_]) -> _Group:
        return _Group(self.runs[mask], self.began[mask], self.before.of(mask) if self.before is not None else None)


class _Walk:
    """Depth first: those that passed a step after about as many windows go on together, so that few rows are empty."""

    def __init__(self, trial: Trial, fixed: Hour, runs: int, rng: np.random.Generator) -> None:
        self.trial, self.fixed, self.rng = trial, fixed, rng
        self.windows = int(trial.horizon // trial.window_seconds)
        self.outcome = np.full(runs, UNDECIDED, dtype=np.int8)
        self.ended = np.full(runs, self.windows)
        self.bad = np.zeros(runs)
        self._step(0, _Group(np.arange(runs), np.zeros(runs, dtype=np.int64), None))

    def result(self) -> Releases:
        return Releases(self.outcome, self.ended * self.trial.window_seconds, self.bad)

    def _step(self, number: int, group: _Group) -> None:
        """Take a group through step `number` and all that follow."""
        if number == len(self.trial.steps):
            return self._promote(group)
        group = group.of(group.began < self.windows)
        counts: Counts | None = None
        for look in (*_LOOKS, self.windows):
            if not len(group.runs):
                return None
            most = self.windows - group.began
            rows = min(look, int(most.max()))
            counts = self._more(number, group, counts, rows)
            alone = _Rows(counts, np.full(rows, number))
            whole = alone if group.before is None else group.before.then(counts, number)
            ends, fails, passes = self._ends(number, whole, rows, most)
            done = fails | passes | (most <= rows)
            self._settle(group, counts, ends, (fails, done))
            if passes.any():
                kept = whole.of(passes).until(number, ends[passes])
                self._step(number + 1, _Group(group.runs[passes], (group.began + ends)[passes], kept))
            group, counts = group.of(~done), counts.of(~done)
        return None

    def _promote(self, group: _Group) -> None:
        """All requests go to the candidate from now on."""
        trial = self.trial
        self.outcome[group.runs], self.ended[group.runs] = PROMOTED, group.began
        left = (self.windows - group.began) * trial.window_seconds
        self.bad[group.runs] += left * trial.traffic.requests_per_second * trial.traffic.candidate_rate(trial.effect)

    def _settle(
        self,
        group: _Group,
        counts: Counts,
        ends: NDArray[np.int64],
        found: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    ) -> None:
        fails, done = found
        self.bad[group.runs[done]] += counts.until(ends).bad.sum(axis=0)[done]
        self.outcome[group.runs[fails]] = ROLLED_BACK
        self.ended[group.runs[fails]] = (group.began + ends)[fails]

    def _ends(
        self, number: int, whole: _Rows, rows: int, most: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """How many windows of this step each run had until it was decided, or has; whether it failed, or passed."""
        first_fail, first_pass = (np.where(x < most, x, rows) for x in self._first(number, whole, rows))
        fails = (first_fail < rows) & (first_fail <= first_pass)
        passes = first_pass < first_fail
        return np.minimum(np.minimum(first_fail, first_pass) + 1, most), fails, passes

    def _more(self, number: int, group: _Group, counts: Counts | None, rows: int) -> Counts:
        """The counts of the first `rows` windows of a step, drawn as far as they are not there yet."""
        had = 0 if counts is None else len(counts.seen)
        begins = np.asarray((group.began + np.arange(had, rows)[:, None]) * self.trial.window_seconds, dtype=np.float64)
        weight = np.full(begins.shape, self.trial.steps[number].weight / 100, dtype=np.float64)
        trial, mine = self.trial, self.fixed.of(group.runs)
        found = draw(trial.traffic, mine, trial.effect, trial.window_seconds, begins, weight, self.rng)
        if number == len(trial.steps) - 1 and number:
            found = found.in_one_pod()
        return found if counts is None else counts.joined(found)

    def _first(self, number: int, whole: _Rows, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first of the last `rows` in which each run fails, and passes the step; `rows` where none does."""
        step = self.trial.steps[number]
        found = judged(whole.counts, whole.steps, self.trial.window_seconds, self.trial.policy)
        mine = whole.counts.n_candidate[-rows:] * whole.counts.seen[-rows:]
        long_enough = (np.arange(1, rows + 1) * self.trial.window_seconds >= step.min_seconds)[:, None]
        enough = np.cumsum(mine, axis=0) >= step.min_requests
        return _first(found.failed[-rows:]), _first(found.passes[-rows:] & enough & long_enough)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Counts with the step of each row."""

    counts: Counts
    steps: NDArray[np.int64]

    def then(self, counts: Counts, number: int) -> _Rows:
        steps = np.concatenate([self.steps, np.full(len(counts.seen), number)])
        return _Rows(self.counts.joined(counts), steps)

    def of(self, runs: NDArray[np.bool_]) -> _Rows:
        return _Rows(self.counts.of(runs), self.steps)

    def until(self, number: int, rows: NDArray[np.int64]) -> _Rows:
        """In step `number` only the first rows of each run, and none beyond the longest."""
        earlier = int((self.steps < number).sum())
        length = earlier + int(rows.max())
        return _Rows(self.counts.head(length).until(earlier + rows), self.steps[:length])


def _first(found: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.where(found.any(axis=0), found.argmax(axis=0), len(found)).astype(np.int64)
