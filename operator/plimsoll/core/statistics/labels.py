"""What labels say of predictions, candidate against stable, in cohorts: only labels of equal age are compared.

Labels that come late are of other cases than those that come at once (a loan that fails does so late), and at first the
candidate has young ones only. Within a cohort labels are gathered into blocks in which both arms have some, so that
few and far between are not lost; a block ends by how many there are, never by what they say.

Cohorts are strata (Mantel & Haenszel 1959); what compares them is `means`: exactly for classes, whose values are
bounded (Howard et al., Ann. Statist. 2021), asymptotically for the errors of numbers (Waudby-Smith et al., Ann.
Statist. 2024). That half is bet on a single age is a mixture, too (Robbins 1970).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.criteria import against, number, reaches, share
from plimsoll.core.statistics.means import BET_WEIGHTS, BETS, Moments, log_worse, log_worse_unbounded
from plimsoll.core.statistics.measures import PASS_CAP
from plimsoll.core.statistics.tables import starts_of
from plimsoll.core.statistics.wealth import Array, capped, log_sum, mixture, restarted
from plimsoll.facts import Labels, Window

#: A block ends when either arm has so many labels.
BLOCK = 10

#: Count, sum and sum of squares of an arm's values.
Sums = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Block:
    """Labels of one cohort, complete at `row`."""

    row: int
    candidate: Sums
    stable: Sums


@dataclass(frozen=True, slots=True)
class LabelRule:
    """`alpha` and `beta` as in Policy; the candidate needs `least` labels that were compared to pass."""

    alpha: float
    beta: float
    least: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """One measure of labels, row by row; a row is a window that counts.

    `against_health` and `against_harm` are running log e-values (rows,); `sums` has count and sum of the candidate's
    and the stable arm's values that were compared so far, (rows, 4). `shown` makes the sentence of such a row, `bound`
    says what is accepted.
    """

    name: str
    bound: str
    rule: LabelRule
    against_health: Array
    against_harm: Array
    sums: Array
    shown: Callable[[Array], str]
    #: What all ages together and each alone had of `against_health`, (rows, 1 + ages), and the sums of each age.
    parts: Array | None = None
    of_age: Mapping[str, Array] = field(default_factory=dict)

    def failed_at(self) -> int | None:
        """The first row whose evidence of harm suffices, or None."""
        rows = np.flatnonzero(reaches(self.against_health, self.rule.alpha))
        return int(rows[0]) if len(rows) else None

    def passes(self, row: int) -> bool:
        """Whether there are enough labels, and the evidence of health suffices after this row."""
        enough = self.sums[row, 0] >= self.rule.least
        return bool(enough and reaches(self.against_harm[row], self.rule.beta))

    def describe_failure(self, row: int) -> str:
        """What was compared, and how sure it is that the candidate is worse."""
        figures = self._figures(row)
        decided = 0 if self.parts is None else int(np.argmax(self.parts[row]))
        if decided:
            age = list(self.of_age)[decided - 1]
            figures = f"{self.shown(self.of_age[age][row])}, labels of the age {age}"
        return f"{figures}; worse than {self.bound}; {against(self.against_health[row], self.rule.alpha)}"

    def describe_pass(self, row: int) -> str:
        """What was shown."""
        return f"{self._figures(row)}; within {self.bound}; {against(self.against_harm[row], self.rule.beta)}"

    def describe_doubt(self, row: int) -> str:
        """What is missing."""
        compared = int(self.sums[row, 0])
        if compared < self.rule.least:
            return f"{self.name}: {compared:,} of {self.rule.least:,} labels of the candidate that can be compared"
        evidence = against(self.against_harm[row], self.rule.beta)
        return f"{self._figures(row)}; not yet shown to be within {self.bound}; {evidence}"

    def _figures(self, row: int) -> str:
        return f"{self.shown(self.sums[row])}, labels of equal age"


def accuracy(windows: Sequence[Window], drop: float, ages: Sequence[str], rule: LabelRule) -> Labelled:
    """Share of wrong classes: fails above stable + `drop`, passes below it. Of at least one window."""
    cohorts = [_blocks(windows, age, _wrong) for age in ages]
    worse, better = (
        np.stack([_by_row(len(windows), blocks, drop, sign) for blocks in cohorts], axis=1) for sign in (1, -1)
    )
    together = mixture(capped(better.sum(axis=1), PASS_CAP), BET_WEIGHTS)
    against_health, parts = _worse_at_some_age(worse, starts_of(windows))
    of_age = {age: _compared(len(windows), [blocks]) for age, blocks in zip(ages, cohorts, strict=True)}
    return Labelled(
        "accuracy",
        f"stable less {100 * drop:g}%",
        rule,
        against_health,
        together,
        _compared(len(windows), cohorts),
        _shown_right,
        parts,
        of_age,
    )


def _worse_at_some_age(worse: Array, starts: NDArray[np.int64]) -> tuple[Array, Array]:
    """Running log e-values (rows,) of factors (rows, ages, bets), and its parts: half is bet on all ages alike, half on
    one of them.

    Labels that come late may be those that matter (a loan that fails does so late): the many that come early and show
    health say nothing of them. The parts are (rows, 1 + ages).
    """
    ages = worse.shape[1]
    together = worse.sum(axis=1, keepdims=True)
    shares = np.concatenate([[0.5], np.full(ages, 0.5 / ages)])
    parts = restarted(np.concatenate([together, worse], axis=1), BET_WEIGHTS, starts) + np.log(shares)
    return log_sum(parts), parts


def absolute_error(windows: Sequence[Window], rise: float, ages: Sequence[str], rule: LabelRule) -> Labelled:
    """Mean absolute error: fails above stable × (1 + `rise`), passes below it. Of at least one window."""
    cohorts = [_blocks(windows, age, _size) for age in ages]
    blocks = sorted((block for one in cohorts for block in one), key=lambda block: block.row)
    candidate, stable = _moments([one.candidate for one in blocks]), _moments([one.stable for one in blocks])
    # Accepted is a multiple: the stable arm's errors are taken for that much larger.
    grown = Moments(stable.count, stable.total * (1 + rise), stable.squares * (1 + rise) ** 2)
    logs = [_last(len(windows), blocks, log_worse_unbounded(candidate, grown, 0.0, sign)) for sign in (1, -1)]
    name, bound = "mean absolute error", f"{1 + rise:g} × stable"
    return Labelled(name, bound, rule, logs[0], logs[1], _compared(len(windows), cohorts), _shown_mean)


def _wrong(labels: Labels) -> Sums:
    return labels.correct + labels.incorrect, labels.incorrect, labels.incorrect


def _size(labels: Labels) -> Sums:
    return labels.measured, labels.over + labels.under, labels.squared


def _blocks(windows: Sequence[Window], age: str, values: Callable[[Labels], Sums]) -> list[Block]:
    """Complete blocks of one cohort. At the end of a step the block ends: the split changes."""
    found: list[Block] = []
    arms, step = np.zeros((2, 3)), windows[0].step
    for row, window in enumerate(windows):
        if window.step != step:
            arms, step = np.zeros((2, 3)), window.step
        for cohort in window.cohorts:
            if cohort.age == age:
                arms = arms + np.array([values(cohort.candidate), values(cohort.stable)])
        if arms[:, 0].min() >= 1 and arms[:, 0].max() >= BLOCK:
            candidate, stable = (tuple(map(float, arm)) for arm in arms)
            found.append(Block(row, (candidate[0], candidate[1], candidate[2]), (stable[0], stable[1], stable[2])))
            arms = np.zeros((2, 3))
    return found


def _by_row(rows: int, blocks: Sequence[Block], drop: float, sign: int) -> Array:
    """Log factors (rows, bets) of one cohort, 0 where no block ended."""
    logs = np.zeros((rows, len(BETS)))
    if blocks:
        candidate, stable = _moments([one.candidate for one in blocks]), _moments([one.stable for one in blocks])
        logs[[one.row for one in blocks]] = log_worse(candidate, stable, drop, sign=sign)
    return logs


def _moments(sums: Sequence[Sums]) -> Moments:
    columns = np.array(sums, dtype=np.float64).reshape(len(sums), 3).T
    return Moments(columns[0], columns[1], columns[2])


def _last(rows: int, blocks: Sequence[Block], running: Array) -> Array:
    """A running value at each row: that of the last block that was complete."""
    ended = np.searchsorted(np.array([one.row for one in blocks], dtype=np.int64), np.arange(rows), side="right")
    return np.concatenate([[0.0], running])[ended]


def _compared(rows: int, cohorts: Sequence[Sequence[Block]]) -> Array:
    sums = np.zeros((rows, 4))
    for block in (one for blocks in cohorts for one in blocks):
        sums[block.row] += (*block.candidate[:2], *block.stable[:2])
    total: Array = np.cumsum(sums, axis=0)
    return total


def _shown_right(sums: Array) -> str:
    right = [share(int(n - wrong), int(n), " right") for n, wrong in (sums[:2], sums[2:])]
    return f"accuracy candidate {right[0]} vs stable {right[1]}"


def _shown_mean(sums: Array) -> str:
    means = [total / max(n, 1.0) for n, total in (sums[:2], sums[2:])]
    ratio = number(means[0] / means[1]) if means[1] > 0 else "∞" if means[0] > 0 else "1"
    told = [f"{mean:.4g} of {int(n):,}" for mean, n in zip(means, sums[[0, 2]], strict=True)]
    return f"mean absolute error candidate {told[0]} vs stable {told[1]} (ratio {ratio})"


def ages_up_to(oldest: str, ages: Sequence[str]) -> Sequence[str]:
    """Those ages, the youngest first, up to this one."""
    return ages[: list(ages).index(oldest) + 1]


def measures_numbers(windows: Sequence[Window]) -> bool:
    """Whether labels are of numbers; False, too, as long as there are none."""
    labels = (one for window in windows for cohort in window.cohorts for one in (cohort.stable, cohort.candidate))
    return any(one.measured for one in labels)
