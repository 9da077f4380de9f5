"""From windows to running log e-values, one measure for each thing that is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.bounded_rate import ABOVE_WEIGHTS, BELOW_WEIGHTS, log_rate_above, log_rate_below
from plimsoll.core.statistics.comparison import EQUAL_WEIGHTS, Arms, log_not_worse
from plimsoll.core.statistics.dispersion import coefficient_of_variation
from plimsoll.core.statistics.learned_noise import Evidence, log_worse_in_noise, within
from plimsoll.core.statistics.wealth import Array, capped, mixture, restarted
from plimsoll.facts import ArmCounts, Window

#: How the capital of Pass is split: the candidate's own rate, the comparison, the stable arm's own rate.
PASS_WEIGHTS = np.array([0.7, 0.2, 0.1])
#: Wealth of Pass beyond 10⁴ is thrown away, so that it falls soon after the candidate turns bad.
PASS_CAP = float(np.log(1e4))


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of an arm's rate: its least coefficient of variation, and how many seconds one draw of it may last."""

    cv_floor: float
    seconds: float


#: Events (one for each edge) and trials of an arm in a window.
Count = Callable[[ArmCounts], tuple[Sequence[int], int]]


@dataclass(frozen=True, slots=True)
class Table:
    """The counts of one measure: arms and cv of shape (windows, edges), the rows where a step begins, for each row the
    first row of its spell (windows that may share their noise), and events and trials of the stable pods (windows,
    pods, edges), as far as they are known."""

    arms: Arms
    cv: Array
    starts: NDArray[np.int64]
    spells: NDArray[np.int64]
    pods: tuple[Array, Array] | None = None

    def both(self) -> NDArray[np.bool_]:
        """The rows (windows,) in which both arms had trials: only those compare, and only they may fail."""
        return np.asarray(((self.arms.n_candidate > 0) & (self.arms.n_stable > 0)).any(axis=1))

    def rise(self) -> Array:
        """Candidate's rate less the stable one's (windows, edges) where both had trials, over all windows or over those
        of the step: the larger."""
        arms, both = self.arms, self.both()[:, None]
        columns = [x * both for x in (arms.k_candidate, arms.n_candidate, arms.k_stable, arms.n_stable)]
        total = [np.cumsum(column, axis=0) for column in columns]
        last = self.starts[np.searchsorted(self.starts, np.arange(len(total[0])), side="right") - 1]
        step = [sums - (sums - column)[last] for sums, column in zip(total, columns, strict=True)]
        rises = [k_c / np.maximum(n_c, 1) - k_s / np.maximum(n_s, 1) for k_c, n_c, k_s, n_s in (total, step)]
        return np.maximum(*rises)


def table(windows: Sequence[Window], count: Count, edges: int, noise: Noise) -> Table:
    """Tabulate `count` of both arms of at least one window, and of the stable pods for the dispersion.

    Noise may change with each window or last a whole spell: the larger estimate is taken.
    """
    arms = [
        _columns([count(arm) for arm in side], edges)
        for side in ([w.candidate for w in windows], [w.stable for w in windows])
    ]
    spells = spells_of(windows, noise.seconds)
    pods = max(len(window.stable_pods) for window in windows)
    filled = [
        count(pod)
        for window in windows
        for pod in (*window.stable_pods, *(ArmCounts(),) * (pods - len(window.stable_pods)))
    ]
    k, n = (x.reshape(len(windows), pods, edges) for x in _columns(filled, edges))
    each = np.arange(len(windows))
    cvs = [
        coefficient_of_variation(within(k, firsts), within(n, firsts), firsts, noise.cv_floor)
        for firsts in (each, spells)
    ]
    return Table(Arms(*arms[0], *arms[1]), np.maximum(*cvs), starts_of(windows), spells, (k, n))


def starts_of(windows: Sequence[Window]) -> NDArray[np.int64]:
    """The rows where a step begins."""
    steps = np.array([window.step for window in windows])
    return np.flatnonzero(np.concatenate([[True], steps[1:] != steps[:-1]]))


def step_start(starts: NDArray[np.int64], row: int) -> int:
    """The row where the step of `row` begins."""
    return int(starts[starts <= row][-1])


def spells_of(windows: Sequence[Window], seconds: float) -> NDArray[np.int64]:
    """The first row of each row's spell: at most `seconds` long, of one step, one weight and the same number of
    pods."""
    first = 0
    rows = []
    for row, window in enumerate(windows):
        start = windows[first]
        alike = (window.step, window.weight, len(window.stable_pods)) == (
            start.step,
            start.weight,
            len(start.stable_pods),
        )
        if not alike or window.end - start.start > seconds:
            first = row
        rows.append(first)
    return np.array(rows, dtype=np.int64)


def _columns(counts: list[tuple[Sequence[int], int]], edges: int) -> tuple[Array, Array]:
    events = np.array([k if n else (0,) * edges for k, n in counts], dtype=np.float64).reshape(len(counts), edges)
    trials = np.array([n for _, n in counts], dtype=np.float64)[:, None]
    return events, np.broadcast_to(trials, events.shape)


def worse(data: Table, margin: float, tolerance: float) -> Array:
    """Running log e-values (windows, edges) against p_c ≤ margin·p_s + tolerance, restarted at each step.

    Windows without one of the arms are no comparison: what the other arm did meanwhile is left out, so that such a
    window changes nothing but what is known of the noise. A step begins with its first window that compares.
    """
    arms, both = data.arms, data.both()
    columns = (arms.k_candidate, arms.n_candidate, arms.k_stable, arms.n_stable)
    told = (arms.n_candidate > 0) & (arms.n_stable > 0)
    unknown = np.zeros((len(both), 0, told.shape[1]))
    evidence = Evidence(Arms(*(np.where(told, x, 0.0) for x in columns)), *(data.pods or (unknown, unknown)))
    steps = np.split(np.arange(len(both)), data.starts[1:])
    starts = np.array([rows[both[rows]][0] for rows in steps if both[rows].any()], dtype=np.int64)
    return log_worse_in_noise(evidence, data.spells, starts, margin, tolerance)


def not_worse(data: Table, margin: float, tolerance: float) -> Array:
    """Running log e-values (windows, edges) against H: p_c ≥ margin·p_s + tolerance.

    H implies three things, and an e-process against any of them is one against H; their average is used:
    p_c ≥ tolerance (speaks when events are rare or none), the comparison itself (in the middle), and
    p_s ≤ (1 − tolerance)/margin (speaks when nearly everything is an event in both arms).
    """
    arms = data.arms
    common = 1 - (1 - tolerance) / margin
    parts = [
        mixture(
            capped(log_rate_below(arms.k_candidate, arms.n_candidate, tolerance, data.cv), PASS_CAP), BELOW_WEIGHTS
        ),
        mixture(capped(log_not_worse(arms, data.cv, margin, tolerance), PASS_CAP), EQUAL_WEIGHTS),
        mixture(
            capped(log_rate_below(arms.n_stable - arms.k_stable, arms.n_stable, common, data.cv), PASS_CAP),
            BELOW_WEIGHTS,
        ),
    ]
    return mixture(np.stack(parts, axis=-1), PASS_WEIGHTS)


def above(data: Table, limit: float) -> Array:
    """Running log e-values (windows, edges) against "the candidate's rate is at most `limit`", restarted at each
    step."""
    return restarted(
        log_rate_above(data.arms.k_candidate, data.arms.n_candidate, limit, data.cv), ABOVE_WEIGHTS, data.starts
    )
