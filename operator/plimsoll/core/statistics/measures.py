"""From windows to running log e-values: the comparison of two arms, of several things side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.apart import Apart, Levels
from plimsoll.core.statistics.bounded_rate import (
    ABOVE_WEIGHTS,
    BELOW,
    BELOW_WEIGHTS,
    Trials,
    log_rate_above,
    log_ratios_of,
)
from plimsoll.core.statistics.comparison import EQUAL_WEIGHTS, Arms, Shares, compared, shares
from plimsoll.core.statistics.dispersion import Dispersion, Pods
from plimsoll.core.statistics.learned_noise import Evidence, LearnedNoise
from plimsoll.core.statistics.tables import Count, Noise, Rows, Table, spells_of, starts_in, tabulated
from plimsoll.core.statistics.wealth import Array, Capped, begins_in, log_sum, restarted, running, started, within
from plimsoll.facts import Window

#: How the capital of Pass is split: the candidate's own rate, the comparison, the stable arm's own rate.
PASS_WEIGHTS = np.array([0.7, 0.2, 0.1])
#: Wealth of Pass beyond 10⁴ is thrown away, so that it falls soon after the candidate turns bad.
PASS_CAP = float(np.log(1e4))
#: What is bet on the alternatives of the three parts, (3, 4); the comparison has one less.
_BETS = PASS_WEIGHTS[:, None] * np.stack([BELOW_WEIGHTS, [*EQUAL_WEIGHTS, 0.0], BELOW_WEIGHTS])
_LOG_BETS = np.log(np.maximum(_BETS, 1e-300)).ravel()
_LOG_2 = float(np.log(2))


@dataclass(frozen=True)
class Bounds:
    """What is accepted at each edge, (edges,): above `margin` × stable + `tolerance` is harm, below `margin` × stable +
    `negligible` is health."""

    margin: Array
    tolerance: Array
    negligible: Array

    @cached_property
    def rare(self) -> NDArray[np.int64]:
        """The edges with a tolerance that rare events may hide in."""
        return np.flatnonzero((self.tolerance > 0) & (self.tolerance < 0.5))

    @cached_property
    def apart(self) -> Levels:
        """What tells of these edges."""
        return Levels.of(self.margin[self.rare], self.tolerance[self.rare])

    @cached_property
    def tolerances(self) -> Array:
        """What is tolerated in each of the three that `_shares` compares."""
        return np.where(_HARM, self.tolerance, self.negligible)

    @cached_property
    def rates(self) -> Array:
        """Rates that harm implies, (2, 1, edges): of events of the candidate at least the first, and of the stable
        arm's requests that are none at least the second."""
        return np.stack([self.negligible, 1 - (1 - self.negligible) / self.margin])[:, None]

    @cached_property
    def below(self) -> Array:
        """The alternatives to `rates`, as shares of the others: (2, 1, edges, 4)."""
        others: Array = 1 - self.rates[..., None] * BELOW
        return others

    @cached_property
    def possible(self) -> NDArray[np.bool_]:
        """Which of `rates` can be told of at all."""
        possible: NDArray[np.bool_] = (self.rates > 0) & (self.rates < 1)
        return possible


@dataclass(frozen=True, slots=True)
class Compared:
    """Log e-values (windows, edges) against health and against harm, the `cv` allowed for, and how far the candidate's
    rate was above the stable one's, over all rows or over those of the step: the larger `rise`. `totals` (windows, 4,
    edges) are sums of the counts up to each row. Of rows where both arms had trials."""

    against_health: Array
    against_harm: Array
    cv: Array
    rise: Array
    totals: Array


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where the comparison of two arms stands after some rows, so that the next ones can be added.

    `spell` (4, edges) and `pods` (2, pods, edges) are what the spell under way has come to; `total` and `before`
    (4, edges) what both arms had in all rows and in those before the step, whose name is `step`.
    """

    spell: Array | float = 0.0
    pods: Array | None = None
    dispersion: Dispersion = field(default_factory=Dispersion)
    worse: LearnedNoise = field(default_factory=LearnedNoise)
    apart: Apart = field(default_factory=Apart)
    passing: Capped = field(default_factory=Capped)
    total: Array | float = 0.0
    before: Array | float = 0.0
    step: int | None = None

    def after(self, rows: Rows, bounds: Bounds, floor: float) -> tuple[Comparison, Compared]:
        """Where it stands after these rows as well, and what they show; `floor` is the least cv of Pass.

        Windows without one of the arms are no comparison: what the other arm did meanwhile is left out, so that such a
        window changes nothing but what is known of the noise.
        """
        told = (rows.counts[:, 1] > 0) & (rows.counts[:, 3] > 0)
        both = rows.counts * told[:, None]
        spell = within(both, rows.begins, self.spell)
        pods = self._spell_of_pods(rows)
        like = Pods.of(np.concatenate([rows.pods, pods]))
        dispersion, cv = self.dispersion.after(like, rows.begins, floor)
        against, anew, rare = _shares(both, spell, bounds), begins_in(rows.steps, self.step), bounds.rare
        tests = [_health(rows.counts, cv, bounds, against.rows(slice(2 * len(both), None)))]
        if len(rare):
            tests.append(bounds.apart.tests(spell[..., rare], cv[:, rare]))
        health, *hidden = log_ratios_of(tests)
        evidence = Evidence(against.rows(slice(2 * len(both))), like, told, bounds.margin)
        worse, against_health = self.worse.after(evidence, rows.begins, anew)
        apart = self.apart
        if len(rare):
            # Where a tolerance is one that rare events may hide in, half of what is bet against health goes to these.
            apart, found = apart.after(hidden[0], rows.begins, anew)
            against_health[:, rare] = np.logaddexp(against_health[:, rare], found) - _LOG_2
        passing, wealth = self.passing.after(health.swapaxes(0, 1), PASS_CAP)
        against_harm = log_sum(wealth.swapaxes(1, 2).reshape(*cv.shape, -1) + _LOG_BETS)
        total = running(both, self.total)
        before = _latest(total - both, anew, self.before)
        rise = np.maximum(_rise(total), _rise(total - before))
        now = Comparison(
            spell[-1], pods[-1], dispersion, worse, apart, passing, total[-1], before[-1], int(rows.steps[-1])
        )
        return now, Compared(against_health, against_harm, cv, rise, total)

    def _spell_of_pods(self, rows: Rows) -> Array:
        """Sums within spells. The number of pods is that of the spell: where another begins it may be another."""
        carried = self.pods
        if carried is None or carried.shape[1] != rows.pods.shape[2]:
            carried = np.zeros_like(rows.pods[0])
            most = 0 if self.pods is None else min(len(carried[0]), len(self.pods[0]))
            if self.pods is not None:
                carried[:, :most] = self.pods[:, :most]
        return within(rows.pods, rows.begins, carried)


def _latest(values: Array, at: NDArray[np.bool_], before: Array | float) -> Array:
    """The values (axis 0) of the last row that `at` marks, `before` as long as there was none."""
    if len(values) == 1:
        return values if at[0] else started(before, values)
    rows = np.maximum.accumulate(np.where(at, np.arange(len(at)), -1))
    found: Array = np.where((rows < 0)[:, None, None], before, values[np.maximum(rows, 0)])
    return found


def _rise(total: Array) -> Array:
    rates: Array = total[:, ::2] / np.maximum(total[:, 1::2], 1)
    return rates[:, 0] - rates[:, 1]


def _shares(both: Array, spell: Array, bounds: Bounds) -> Shares:
    """What tells of harm, of each row and then of each spell so far, and after these what tells of health, by row."""
    harm, tolerance = _HARM.repeat(len(both), axis=0), bounds.tolerances.repeat(len(both), axis=0)
    return shares(Arms.stacked(np.concatenate([both, spell, both])), bounds.margin, tolerance, worse=harm)


#: Which of the three that `_shares` compares tell of harm.
_HARM = np.array([[True], [True], [False]])


def _health(counts: Array, cv: Array, bounds: Bounds, found: Shares) -> tuple[Trials, Array]:
    """What is tested against H: p_c ≥ margin·p_s + negligible, (3, windows, edges), with alternatives.

    H implies three things, and an e-process against any of them is one against H; their average is used:
    p_c ≥ negligible (speaks when events are rare or none), the comparison itself (in the middle), and
    p_s ≤ (1 − negligible)/margin (speaks when nearly everything is an event in both arms).
    """
    between, equal = compared(found, cv, worse=False)
    columns, others = np.empty((4, 3, *cv.shape)), np.empty((3, *cv.shape, len(BELOW)))
    k, n, null, variance = columns
    columns[:, 1] = between.columns
    n[0], n[2] = counts[:, 1], counts[:, 3]
    k[0], k[2] = counts[:, 1] - counts[:, 0], counts[:, 2]
    null[::2], variance[::2] = 1 - bounds.rates, (cv * bounds.rates) ** 2
    others[::2], others[1, ..., :-1], others[1, ..., -1] = bounds.below, equal, equal[..., 0]
    told = n > 0
    told[1] = between.told
    told[::2] &= bounds.possible
    return Trials(columns, told), others


def whole(windows: Sequence[Window], count: Count, bounds: Bounds, noise: Noise) -> tuple[Table, Compared]:
    """The comparison over at least one window, from the first to the last."""
    rows = tabulated(windows, count, len(bounds.margin), spells_of(windows, noise.seconds)[0])
    found = Comparison().after(rows, bounds, noise.cv_floor)[1]
    return Table(rows.counts, found.cv, starts_in(rows.steps), found.totals), found


def above(data: Table, limit: float) -> Array:
    """Running log e-values (windows, edges) against "the candidate's rate is at most `limit`", restarted at each
    step."""
    return restarted(
        log_rate_above(data.arms.k_candidate, data.arms.n_candidate, limit, data.cv), ABOVE_WEIGHTS, data.starts
    )
