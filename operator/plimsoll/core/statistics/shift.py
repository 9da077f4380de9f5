"""Whether the two versions predict alike: a test for each bin of each output, and how large the difference is.

A difference may be what the new version is for: alone it says "look", not "bad". Both versions get the same traffic, so
that a shift of the inputs moves both alike and is no evidence here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.bins import enough, log_shifted, population_stability_index
from plimsoll.core.statistics.criteria import against, number, reaches, share
from plimsoll.core.statistics.tables import Noise, spells_of, starts_of, step_start
from plimsoll.core.statistics.wealth import Array, average, increments, restarted_evenly, within
from plimsoll.facts import ArmCounts, Window


@dataclass(frozen=True, slots=True)
class _Output:
    """Rows by bin of one output, (windows, bins), as counted, and `thinned` to at most one for each request."""

    name: str
    bins: tuple[str, ...]
    candidate: Array
    stable: Array
    thinned: tuple[Array, Array]

    @property
    def told_apart(self) -> bool:
        """Whether any two values are in different bins: not where profiles have no edge in common."""
        return sum(label.startswith(("le:", "value:")) for label in self.bins) > 1


@dataclass(frozen=True, slots=True)
class PredictionShift:
    """Predictions of both versions; a row is a window that counts.

    `log_e` (rows, outputs): their average over the outputs is held against 1/`alpha`. That is evidence of *some*
    difference; only one with an index of at least `max_psi` matters. `fails` is whether it takes the candidate back.
    """

    outputs: tuple[_Output, ...]
    log_e: Array
    starts: NDArray[np.int64]
    alpha: float
    max_psi: float
    fails: bool

    name = "prediction shift"

    def failed_at(self) -> int | None:
        """The first row with evidence of a difference that matters, or None; None, too, when it only holds."""
        if not self.fails:
            return None
        rows = np.flatnonzero(self._shown())
        return next((int(row) for row in rows if self.found(int(row))), None)

    def found(self, row: int) -> bool:
        """Whether there was evidence of a difference by this row, and it matters still."""
        return bool(self._shown()[: row + 1].any()) and self._worst(row)[1] >= self.max_psi

    def _shown(self) -> NDArray[np.bool_]:
        return reaches(average(self.log_e), self.alpha) if self.outputs else np.zeros(len(self.log_e), dtype=np.bool_)

    def passes(self, _: int) -> bool:
        """It never keeps from passing what has not shifted."""
        return True

    def describe_failure(self, row: int) -> str:
        """Which output, how far, and in which bin most."""
        at, index = self._worst(row)
        output, first = self.outputs[at], self._first(at, row)
        rows = slice(first, row + 1)
        counts = [arm[rows].sum(axis=0) for arm in (output.candidate, output.stable)]
        shares = [arm / max(arm.sum(), 1) for arm in counts]
        most = int(np.argmax(abs(shares[0] - shares[1])))
        told = [share(int(arm[most]), int(arm.sum()), "") for arm in counts]
        return (
            f"{self.name} of {output.name}: PSI {number(index)} > {self.max_psi:g}; most in {output.bins[most]}:"
            f" candidate {told[0]} vs stable {told[1]}; {against(average(self.log_e[: row + 1]).max(), self.alpha)}"
        )

    def describe_pass(self, row: int) -> str:
        """The largest index, or how much is missing for one."""
        unlike = [one.name for one in self.outputs if not one.told_apart]
        if len(unlike) == len(self.outputs):
            names = ", ".join(unlike)
            return f"{self.name}: of {names} only missing and infinite values, for the profiles have no bins in common"
        at, index = self._worst(row)
        if at < 0 or isnan(index):
            seen = min((int(min(x[: row + 1].sum() for x in one.thinned)) for one in self.outputs), default=0)
            return f"{self.name}: too few predictions ({seen:,}) to tell"
        return f"{self.name} of {self.outputs[at].name}: PSI {number(max(index, 0.0))}, accepted below {self.max_psi:g}"

    def describe_doubt(self, row: int) -> str:
        """As for a pass: there is no doubt in between."""
        return self.describe_pass(row)

    def _worst(self, row: int) -> tuple[int, float]:
        """The output with the largest index and that index; NaN when no output has enough rows for one."""
        indices = [max(self._index(i, 0, row), self._index(i, self._step(row), row)) for i in range(len(self.outputs))]
        known = [(index, i) for i, index in enumerate(indices) if not isnan(index)]
        if not known:
            return (0 if self.outputs else -1), float("nan")
        index, at = max(known)
        return at, index

    def _index(self, output: int, first: int, row: int) -> float:
        sums = [arm[first : row + 1].sum(axis=0) for arm in self.outputs[output].thinned]
        return population_stability_index(*sums) if enough(*sums) else float("nan")

    def _step(self, row: int) -> int:
        return step_start(self.starts, row)

    def _first(self, output: int, row: int) -> int:
        """From where on the index is the larger: all windows, or those of the step."""
        whole, step = self._index(output, 0, row), self._index(output, self._step(row), row)
        return self._step(row) if isnan(whole) or step > whole else 0


def prediction_shift(
    windows: Sequence[Window], limit: float, alpha: float, noise: Noise, *, fails: bool
) -> PredictionShift:
    """The criterion of at least one window; `limit` is the index that is accepted."""
    names = sorted({output.name for window in windows for output in window.outputs})
    outputs = tuple(_output(windows, name) for name in names)
    begins, starts = spells_of(windows, noise.seconds)[0], starts_of(windows)
    found = [_wealth(one, begins, starts, noise.cv_floor) for one in outputs]
    log_e = np.stack(found, axis=1) if found else np.zeros((len(windows), 0))
    return PredictionShift(outputs, log_e, starts, alpha, limit, fails)


def _wealth(output: _Output, begins: NDArray[np.bool_], starts: NDArray[np.int64], cv: float) -> Array:
    """Running log e-values (rows,): as in `measures.worse`, one draw of noise lasts a whole spell."""
    candidate, stable = (within(arm, begins) for arm in output.thinned)
    factors = increments(log_shifted(candidate, stable, cv), begins)
    return restarted_evenly(factors, starts)


def _output(windows: Sequence[Window], name: str) -> _Output:
    found = [next((one for one in window.outputs if one.name == name), None) for window in windows]
    bins = tuple(dict.fromkeys(label for one in found if one is not None for label in one.bins))
    column = {label: i for i, label in enumerate(bins)}
    counts = np.zeros((2, len(windows), len(bins)))
    for row, one in enumerate(found):
        for arm in (0, 1) if one is not None else ():
            assert one is not None
            counts[arm, row, [column[label] for label in one.bins]] = (one.candidate, one.stable)[arm]
    thinned = (
        _thinned(counts[0], [window.candidate for window in windows]),
        _thinned(counts[1], [window.stable for window in windows]),
    )
    return _Output(name, bins, counts[0], counts[1], thinned)


def _thinned(rows: Array, arms: Sequence[ArmCounts]) -> Array:
    """Rows of one request may be all alike: together they count as one. Copies of requests are not timed as such."""
    requests = np.array([arm.timed or arm.requests for arm in arms], dtype=np.float64)
    per_request = np.where(requests > 0, rows.sum(axis=1) / np.maximum(requests, 1.0), 1.0)
    return rows / np.maximum(per_request, 1.0)[:, None]
