"""From windows to running log e-values: the comparison of two arms, of several things side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.apart import Apart, levels
from plimsoll.core.statistics.bounded_rate import ABOVE_WEIGHTS, BELOW_WEIGHTS, Rates, log_rate_above, log_ratios
from plimsoll.core.statistics.comparison import EQUAL_WEIGHTS, TO_EQUAL, Arms, Shares, compared, shares
from plimsoll.core.statistics.dispersion import Dispersion, Pods
from plimsoll.core.statistics.learned_noise import Evidence, LearnedNoise
from plimsoll.core.statistics.tables import Count, Noise, Rows, Table, spells_of, tabulated
from plimsoll.core.statistics.wealth import Array, Capped, begins_in, log_sum, restarted, running, started, within
from plimsoll.facts import Window

#: How the capital of Pass is split: the comparison, the candidate's own rate, the stable arm's own rate.
PASS_WEIGHTS = np.array([0.2, 0.7, 0.1])
#: Wealth of Pass beyond 10⁴ is thrown away, so that it falls soon after the candidate turns bad.
PASS_CAP = float(np.log(1e4))
#: What is bet on the alternatives of the three parts, (3, 4); the comparison has one less, and repeats its null.
_BETS = PASS_WEIGHTS[:, None] * np.stack([[*EQUAL_WEIGHTS, 0.0], BELOW_WEIGHTS, BELOW_WEIGHTS])
_TO_EQUAL = np.array([*TO_EQUAL, TO_EQUAL[0]])[:, None]
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
    def tolerances(self) -> Array:
        """What is tolerated in each of the three that `_shares` compares, (3, 1, edges)."""
        return np.stack([self.tolerance, self.tolerance, self.negligible])[:, None]

    @cached_property
    def margins(self) -> Array:
        """The margin in each of the three, (3, 1, edges)."""
        return np.stack([self.margin] * 3)[:, None]

    @cached_property
    def harms(self) -> NDArray[np.bool_]:
        """Which of the three tell of harm, (3, 1, edges)."""
        return np.array([True, True, False])[:, None, None].repeat(len(self.margin), axis=2)

    @cached_property
    def fixed(self) -> Rates:
        """What is tested of each arm by itself, by the counts of each row and then of its spell, (8, edges), as in
        `Rows`.

        Harm, which is p_c ≥ margin·p_s + negligible, implies that p_c ≥ negligible (speaks when events are rare or
        none) and that p_s ≤ (1 − negligible)/margin (speaks when nearly everything is an event in both arms). After
        these come the `levels` of what rare events may hide in.
        """
        places = np.arange(8 * len(self.margin)).reshape(8, -1)
        edges, rare = places[0], self.rare
        harm = Rates.at(self.negligible, places[:2], edges, above=False, rest=True)
        unless = Rates.at(1 - (1 - self.negligible) / self.margin, places[2:4], edges, above=False, rest=False)
        hidden = levels(self.margin[rare], self.tolerance[rare], places[4:, rare], rare)
        return harm.then(unless).then(hidden)


class Compared(NamedTuple):
    """Log e-values (windows, edges) against health and against harm, the `cv` allowed for, and how far the candidate's
    rate was above the stable one's, over all rows or over those of the step: the larger `rise`. `totals` (windows, 2,
    4, edges) are sums of the counts up to each row, of both. They are of rows where both arms had trials: there `told`
    is 1, else 0."""

    against_health: Array
    against_harm: Array
    cv: Array
    rise: Array
    totals: Array
    told: Array


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
        told = np.sign(np.minimum(rows.counts[:, 1], rows.counts[:, 3]))
        both = rows.counts * told[:, None]
        spell = within(both, rows.begins, self.spell)
        pods = self._spell_of_pods(rows)
        like = Pods.of(rows.pods, pods)
        dispersion, cv = self.dispersion.after(like, rows.begins, floor)
        anew, rare = begins_in(rows.steps, self.step), bounds.rare
        harm, health = _shares(both, spell, bounds)
        worse, against_health = self.worse.after(Evidence(harm, like, told, bounds.margin), rows.begins, anew)
        counts = np.concatenate([rows.counts, spell], axis=1).reshape(len(both), -1)
        between, alone = log_ratios(compared(health, cv, _to_equal), bounds.fixed.of(counts, cv))
        apart, edges = self.apart, both.shape[-1]
        if len(rare):
            # Where a tolerance is one that rare events may hide in, half of what is bet against health goes to these.
            apart, hidden = apart.after(alone[:, 2 * edges :], rows.begins, anew)
            against_health[:, rare] = np.logaddexp(against_health.take(rare, axis=1), hidden) - _LOG_2
        passing, wealth = self.passing.after(np.concatenate([between, alone[:, : 2 * edges]], axis=1), PASS_CAP)
        wealth = wealth.reshape(len(both), 3, edges, -1).swapaxes(1, 2)
        against_harm = log_sum(wealth.reshape(*cv.shape, -1) + _LOG_BETS)
        total = running(both, self.total)
        before = _latest(total - both, anew, self.before)
        totals = np.empty((len(both), 2, 4, edges))
        totals[:, 0], totals[:, 1] = total, total - before
        now = Comparison(
            spell[-1], pods[-1], dispersion, worse, apart, passing, total[-1], before[-1], int(rows.steps[-1])
        )
        return now, Compared(against_health, against_harm, cv, _rise(totals), totals, told)

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


#: At least one trial, so that none is no division by 0.
_ONE_TRIAL = np.array([0.0, 1.0, 0.0, 1.0])[:, None]


def _rise(totals: Array) -> Array:
    """The larger of both, of (windows, 2, 4, edges)."""
    counts = np.maximum(totals, _ONE_TRIAL)
    rates = counts[:, :, ::2] / counts[:, :, 1::2]
    rise = rates[:, :, 0] - rates[:, :, 1]
    larger: Array = np.maximum(rise[:, 0], rise[:, 1])
    return larger


def _to_equal(ratio: Array) -> Array:
    """What the null and the alternatives of health add to the odds, of what the boundary does."""
    odds: Array = ratio**_TO_EQUAL
    return odds


def _shares(both: Array, spell: Array, bounds: Bounds) -> tuple[Shares, Shares]:
    """What tells of harm, of each row and then of each spell so far, and what tells of health, of each row."""
    rows, edges = len(both), both.shape[-1]
    columns = np.empty((4, 3, rows, edges))
    columns[:, ::2], columns[:, 1] = both.swapaxes(0, 1)[:, None], spell.swapaxes(0, 1)
    arms = Arms(columns[0], columns[1], columns[2], columns[3])
    found = shares(arms, bounds.margins, bounds.tolerances, worse=bounds.harms)
    told, useful = found.columns.reshape(4, 3 * rows, edges), found.useful.reshape(3 * rows, edges)
    return Shares(told[:, : 2 * rows], useful[: 2 * rows]), Shares(told[:, 2 * rows :], useful[2 * rows :])


def whole(windows: Sequence[Window], count: Count, bounds: Bounds, noise: Noise) -> Compared:
    """The comparison over at least one window, from the first to the last."""
    rows = tabulated(windows, count, len(bounds.margin), spells_of(windows, noise.seconds)[0])
    return Comparison().after(rows, bounds, noise.cv_floor)[1]


def above(data: Table, limit: float) -> Array:
    """Running log e-values (windows, edges) against "the candidate's rate is at most `limit`", restarted at each
    step."""
    return restarted(
        log_rate_above(data.arms.k_candidate, data.arms.n_candidate, limit, data.cv), ABOVE_WEIGHTS, data.starts
    )
