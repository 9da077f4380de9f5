"""From windows to running log e-values: the comparison of two arms, of several things side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.apart import Apart
from plimsoll.core.statistics.bounded_rate import ABOVE_WEIGHTS, BELOW_WEIGHTS, Trials, log_rate_above, log_ratios
from plimsoll.core.statistics.bounded_rate import below as rate_below
from plimsoll.core.statistics.comparison import EQUAL_WEIGHTS, Arms
from plimsoll.core.statistics.comparison import not_worse as log_not_worse
from plimsoll.core.statistics.dispersion import Dispersion
from plimsoll.core.statistics.learned_noise import Evidence, LearnedNoise
from plimsoll.core.statistics.tables import Count, Noise, Rows, Table, noise_of, spells_of, starts_in, tabulated
from plimsoll.core.statistics.wealth import Array, Capped, begins_in, log_sum, restarted, running, within
from plimsoll.facts import Window

#: How the capital of Pass is split: the candidate's own rate, the comparison, the stable arm's own rate.
PASS_WEIGHTS = np.array([0.7, 0.2, 0.1])
#: Wealth of Pass beyond 10⁴ is thrown away, so that it falls soon after the candidate turns bad.
PASS_CAP = float(np.log(1e4))
#: What is bet on the alternatives of the three parts, (3, 4); the comparison has one less.
_BETS = PASS_WEIGHTS[:, None] * np.stack([BELOW_WEIGHTS, [*EQUAL_WEIGHTS, 0.0], BELOW_WEIGHTS])
_LOG_BETS = np.log(np.maximum(_BETS, 1e-300))[:, None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is accepted at each edge, (edges,): above `margin` × stable + `tolerance` is harm, below `margin` × stable +
    `negligible` is health."""

    margin: Array
    tolerance: Array
    negligible: Array


@dataclass(frozen=True, slots=True)
class Compared:
    """Log e-values (windows, edges) against health and against harm, the `cv` allowed for, and how far the candidate's
    rate was above the stable one's, over all rows or over those of the step, where both had trials: the larger
    `rise`."""

    against_health: Array
    against_harm: Array
    cv: Array
    rise: Array

    def then(self, more: Compared) -> Compared:
        """Both, one after the other."""
        return Compared(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in self.__slots__))


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
        both = np.where(told[:, None], rows.counts, 0.0)
        spell, pods = within(both, rows.begins, self.spell), self._spell_of_pods(rows)
        dispersion, cv = noise_of(rows, pods, self.dispersion, floor)
        arms, split = np.concatenate([both, spell]), np.concatenate([rows.pods, pods])
        evidence = Evidence(Arms.stacked(arms), split[:, 0], split[:, 1])
        anew = begins_in(rows.steps, self.step)
        worse, against_health = self.worse.after(evidence, rows.begins, anew, (bounds.margin, bounds.tolerance))
        apart, against_health = self._apart(spell, (rows.begins, anew), cv, bounds, against_health)
        passing, against_harm = _not_worse(rows.arms, cv, bounds, self.passing)
        total = running(both, self.total)
        before = _latest(total - both, anew, self.before)
        rise = np.maximum(_rise(total), _rise(total - before))
        now = Comparison(
            spell[-1], pods[-1], dispersion, worse, apart, passing, total[-1], before[-1], int(rows.steps[-1])
        )
        return now, Compared(against_health, against_harm, cv, rise)

    def _apart(
        self, spell: Array, marks: tuple[NDArray[np.bool_], NDArray[np.bool_]], cv: Array, bounds: Bounds, logs: Array
    ) -> tuple[Apart, Array]:
        """Half of what is bet against health goes to rare events, where there is a tolerance that these may hide in."""
        rare = (bounds.tolerance > 0) & (bounds.tolerance < 0.5)
        if not rare.any():
            return self.apart, logs
        bound = bounds.margin[rare], bounds.tolerance[rare]
        apart, found = self.apart.after(spell[..., rare], marks, cv[:, rare], bound)
        logs = logs.copy()
        logs[:, rare] = log_sum(np.stack([logs[:, rare], found]), 0) - np.log(2)
        return apart, logs

    def _spell_of_pods(self, rows: Rows) -> Array:
        """Sums within spells. The number of pods is that of the spell: where another begins it may be another."""
        carried = np.zeros_like(rows.pods[0])
        if self.pods is not None:
            most = min(len(carried[0]), len(self.pods[0]))
            carried[:, :most] = self.pods[:, :most]
        return within(rows.pods, rows.begins, carried)


def _latest(values: Array, at: NDArray[np.bool_], before: Array | float) -> Array:
    """The values (axis 0) of the last row that `at` marks, `before` as long as there was none."""
    rows = np.maximum.accumulate(np.where(at, np.arange(len(at)), -1))
    found: Array = np.where((rows < 0)[:, None, None], before, values[np.maximum(rows, 0)])
    return found


def _rise(total: Array) -> Array:
    rates: Array = total[:, 0] / np.maximum(total[:, 1], 1) - total[:, 2] / np.maximum(total[:, 3], 1)
    return rates


def _not_worse(arms: Arms, cv: Array, bounds: Bounds, known: Capped) -> tuple[Capped, Array]:
    """Running log e-values (windows, edges) against H: p_c ≥ margin·p_s + negligible.

    H implies three things, and an e-process against any of them is one against H; their average is used:
    p_c ≥ negligible (speaks when events are rare or none), the comparison itself (in the middle), and
    p_s ≤ (1 − negligible)/margin (speaks when nearly everything is an event in both arms).
    """
    least, common = bounds.negligible + 0 * cv, 1 - (1 - bounds.negligible) / bounds.margin + 0 * cv
    between, equal = log_not_worse(arms, cv, bounds.margin, bounds.negligible)
    tests = (
        rate_below(arms.k_candidate, arms.n_candidate, least, cv),
        (between, np.concatenate([equal, equal[..., :1]], axis=-1)),
        rate_below(arms.n_stable - arms.k_stable, arms.n_stable, common, cv),
    )
    columns = [np.array([getattr(one, name) for one, _ in tests]) for name in Trials.__slots__]
    logs = log_ratios(Trials(*columns), np.array([others for _, others in tests]))
    known, wealth = known.after(logs.swapaxes(0, 1), PASS_CAP)
    return known, log_sum((wealth + _LOG_BETS).swapaxes(1, 2).reshape(*cv.shape, -1), -1)


def whole(windows: Sequence[Window], count: Count, bounds: Bounds, noise: Noise) -> tuple[Table, Compared]:
    """The comparison over at least one window, from the first to the last."""
    rows = tabulated(windows, count, len(bounds.margin), spells_of(windows, noise.seconds)[0])
    found = Comparison().after(rows, bounds, noise.cv_floor)[1]
    return Table(rows.arms, found.cv, starts_in(rows.steps)), found


def above(data: Table, limit: float) -> Array:
    """Running log e-values (windows, edges) against "the candidate's rate is at most `limit`", restarted at each
    step."""
    return restarted(
        log_rate_above(data.arms.k_candidate, data.arms.n_candidate, limit, data.cv), ABOVE_WEIGHTS, data.starts
    )
