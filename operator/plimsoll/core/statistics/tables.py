"""What windows counted, as arrays: rows are windows, and edges are the things that are counted side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.comparison import Arms
from plimsoll.core.statistics.dispersion import Dispersion, Pods
from plimsoll.core.statistics.wealth import Array, begins_in, within
from plimsoll.facts import ArmCounts, Window


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of an arm's rate: its least coefficient of variation, and how many seconds one draw of it may last."""

    cv_floor: float
    seconds: float


#: Events and trials of an arm in a window, one of each for each edge.
Count = Callable[[ArmCounts], tuple[Sequence[float], Sequence[float]]]


class Rows(NamedTuple):
    """What windows counted.

    `counts` (windows, 4, edges): events and trials of the candidate and of the stable arm; `pods` (windows, 2, pods,
    edges) those of the stable pods. `steps` names the step of each row, `begins` says whether a spell begins there
    (windows that may share their noise).
    """

    counts: Array
    pods: Array
    steps: NDArray[np.int64]
    begins: NDArray[np.bool_]

    @property
    def arms(self) -> Arms:
        """The two arms."""
        return Arms.stacked(self.counts)


@dataclass(frozen=True, slots=True)
class Table:
    """The counts of one measure, (windows, 4, edges) as in `Rows`, the cv (windows, edges), and the rows where a step
    begins."""

    counts: Array
    cv: Array
    starts: NDArray[np.int64]

    @property
    def arms(self) -> Arms:
        """The two arms."""
        return Arms.stacked(self.counts)

    @property
    def totals(self) -> Array:
        """Sums of the rows up to each, of all and of those of its step: (windows, 2, 4, edges)."""
        total = self.counts.cumsum(axis=0)
        begun = self.starts[np.searchsorted(self.starts, np.arange(len(total)), side="right") - 1]
        return np.stack([total, total - (total - self.counts)[begun]], axis=1)


def tabulated(windows: Sequence[Window], count: Count, edges: int, begins: NDArray[np.bool_]) -> Rows:
    """`count` of both arms of at least one window, and of the stable pods. Raises ValueError where there are more
    events than trials."""
    pods = max(len(window.stable_pods) for window in windows)
    counts: list[float] = []
    for window in windows:
        missing = (_NOBODY,) * (pods - len(window.stable_pods))
        for arm in (window.candidate, window.stable, *window.stable_pods, *missing):
            events, trials = count(arm)
            counts += events
            counts += trials
    found = np.fromiter(counts, np.float64, len(counts)).reshape(len(windows), pods + 2, 2, edges)
    steps = np.array([window.step for window in windows])
    arms = found[:, :2].reshape(len(windows), 4, edges)
    if np.count_nonzero(found[:, :2, 0] > found[:, :2, 1]):
        Arms.stacked(arms).checked()
    return Rows(arms, found[:, 2:].swapaxes(1, 2), steps, begins)


_NOBODY = ArmCounts()


def starts_of(windows: Sequence[Window]) -> NDArray[np.int64]:
    """The rows where a step begins."""
    return starts_in(np.array([window.step for window in windows]))


def starts_in(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows where a step begins, of the steps of all rows."""
    return np.flatnonzero(begins_in(steps))


def step_start(starts: NDArray[np.int64], row: int) -> int:
    """The row where the step of `row` begins."""
    return int(starts[starts <= row][-1])


def spells_of(
    windows: Sequence[Window], seconds: float, first: Window | None = None
) -> tuple[NDArray[np.bool_], Window | None]:
    """Whether a spell begins with each window: it is at most `seconds` long, of one step, one weight and the same
    number of pods. `first` is the one that the spell before them began with, and the second result that of the last."""
    begins = []
    for window in windows:
        anew = first is None or window.end - first.start > seconds or _kind(window) != _kind(first)
        first = window if anew else first
        begins.append(anew)
    return np.array(begins, dtype=np.bool_), first


def _kind(window: Window) -> tuple[int, int, int]:
    return window.step, window.weight, len(window.stable_pods)


def table(windows: Sequence[Window], count: Count, edges: int, noise: Noise) -> Table:
    """Tabulate `count` of both arms of at least one window, with the noise of the stable pods; every row counts."""
    rows = tabulated(windows, count, edges, spells_of(windows, noise.seconds)[0])
    pods = Pods.of(rows.pods, within(rows.pods, rows.begins))
    cv = Dispersion().after(pods, rows.begins, noise.cv_floor)[1]
    return Table(rows.counts, cv, starts_in(rows.steps))
