"""From windows to running log e-values: the comparison of two arms, of several things side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.apart import Apart, levels
from plimsoll.core.statistics.bounded_rate import ABOVE_WEIGHTS, BELOW_WEIGHTS, Rates, log_rate_above, log_ratios, rarer
from plimsoll.core.statistics.comparison import EQUAL_WEIGHTS, TO_EQUAL, Arms, Shares, compared, shares
from plimsoll.core.statistics.dispersion import Dispersion, Pods
from plimsoll.core.statistics.learned_noise import Evidence, LearnedNoise
from plimsoll.core.statistics.tables import Count, Noise, Rows, Table, spells_of, starts_in, tabulated
from plimsoll.core.statistics.wealth import Array, Capped, begins_in, log_sum, restarted, running, started, within
from plimsoll.facts import Window

#: How the capital of Pass is split: the comparison, the candidate's own rate, the stable arm's own rate.
PASS_WEIGHTS = np.array([0.2, 0.7, 0.1])
#: Wealth of Pass beyond 10⁴ is thrown away, so that it falls soon after the candidate turns bad.
PASS_CAP = float(np.log(1e4))
#: What is bet on the alternatives of the three parts, (3, 4); the comparison has one less, and repeats its null.
_BETS = PASS_WEIGHTS[:, None] * np.stack([[*EQUAL_WEIGHTS, 0.0], BELOW_WEIGHTS, BELOW_WEIGHTS])
_TO_EQUAL = np.array([*TO_EQUAL, TO_EQUAL[0]])
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
        """What is tested of each arm by itself: events, trials and what is no event of the candidate and of the stable
        arm, by the counts of each row and then of its spell, (12, edges).

        Harm, which is p_c ≥ margin·p_s + negligible, implies that p_c ≥ negligible (speaks when events are rare or
        none) and that p_s ≤ (1 − negligible)/margin (speaks when nearly everything is an event in both arms). After
        these come the `levels` of what rare events may hide in.
        """
        places = np.arange(12 * len(self.margin)).reshape(12, -1)
        edges, rare, harm, unless = places[0], self.rare, self.negligible, 1 - (1 - self.negligible) / self.margin
        _, n_c, rest_c, k_s, n_s, _ = places[:6]
        own = Rates(harm, rarer(harm), rest_c, n_c, edges).then(Rates(unless, rarer(unless), k_s, n_s, edges))
        return own.then(levels(self.margin[rare], self.tolerance[rare], places[[6, 7, 11, 10]][:, rare], rare))


@dataclass(frozen=True, slots=True)
class Compared:
    """Log e-values (windows, edges) against health and against harm, the `cv` allowed for, and how far the candidate's
    rate was above the stable one's, over all rows or over those of the step: the larger `rise`. `totals` (windows, 4,
    edges) are sums of the counts up to each row. Of rows where both arms had trials: there `told` is 1, else 0."""

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
        like = Pods.of(np.concatenate([rows.pods, pods]))
        dispersion, cv = self.dispersion.after(like, rows.begins, floor)
        anew, rare = begins_in(rows.steps, self.step), bounds.rare
        harm, health = _shares(both, spell, bounds)
        worse, against_health = self.worse.after(Evidence(harm, like, told, bounds.margin), rows.begins, anew)
        between, alone = log_ratios(compared(health, cv, _to_equal), bounds.fixed.of(_counted(rows.counts, spell), cv))
        apart, edges = self.apart, both.shape[-1]
        if len(rare):
            # Where a tolerance is one that rare events may hide in, half of what is bet against health goes to these.
            apart, hidden = apart.after(alone[:, 2 * edges :], rows.begins, anew)
            against_health[:, rare] = np.logaddexp(against_health[:, rare], hidden) - _LOG_2
        passing, wealth = self.passing.after(np.concatenate([between, alone[:, : 2 * edges]], axis=1), PASS_CAP)
        wealth = wealth.reshape(len(both), 3, edges, -1).swapaxes(1, 2)
        against_harm = log_sum(wealth.reshape(*cv.shape, -1) + _LOG_BETS)
        total = running(both, self.total)
        before = _latest(total - both, anew, self.before)
        rise = np.maximum(_rise(total), _rise(total - before))
        now = Comparison(
            spell[-1], pods[-1], dispersion, worse, apart, passing, total[-1], before[-1], int(rows.steps[-1])
        )
        return now, Compared(against_health, against_harm, cv, rise, total, told)

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


def _rise(total: Array) -> Array:
    k_c, n_c, k_s, n_s = np.maximum(total, _ONE_TRIAL).swapaxes(0, 1)
    rise: Array = k_c / n_c - k_s / n_s
    return rise


def _to_equal(ratio: Array) -> Array:
    """What the null and the alternatives of health add to the odds, of what the boundary does."""
    odds: Array = ratio**_TO_EQUAL
    return odds


def _counted(counts: Array, spell: Array) -> Array:
    """Of both (rows, 4, edges), one after the other: events, trials and what is no event of each arm, (rows,
    12·edges)."""
    found = np.empty((len(counts), 4, 3, counts.shape[-1]))
    found[:, :2, :2], found[:, 2:, :2] = counts.reshape(len(counts), 2, 2, -1), spell.reshape(len(counts), 2, 2, -1)
    np.subtract(found[:, :, 1], found[:, :, 0], out=found[:, :, 2])
    return found.reshape(len(counts), -1)


def _shares(both: Array, spell: Array, bounds: Bounds) -> tuple[Shares, Shares]:
    """What tells of harm, of each row and then of each spell so far, and what tells of health, of each row."""
    rows, edges = len(both), both.shape[-1]
    columns = np.array([both, spell, both]).swapaxes(0, 2).swapaxes(1, 2)
    found = shares(Arms(*columns), bounds.margins, bounds.tolerances, worse=bounds.harms)
    columns, useful = found.columns.reshape(4, 3 * rows, edges), found.useful.reshape(3 * rows, edges)
    return Shares(columns[:, : 2 * rows], useful[: 2 * rows]), Shares(columns[:, 2 * rows :], useful[2 * rows :])


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
