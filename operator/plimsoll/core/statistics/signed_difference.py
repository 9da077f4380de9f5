"""Whether a shadow's numbers lie to one side of those that users got: a sequential sign test against a bound.

Of numbers nearly every row differs, and noise around the stable version's answers is no harm; to be higher, or lower,
nearly always is. A sign needs neither a unit nor a law, and no outlier sways it (Arbuthnot 1710; Dixon & Mood, JASA
1946). By itself it would take the least difference for a large one: what is within the tolerance has no sign, but
counts as well. Each direction is one share against a bound: `bounded_rate` (Robbins, Ann. Math. Statist. 1970; Lindon
& Malek, NeurIPS 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from plimsoll.core.statistics.bounded_rate import ABOVE_WEIGHTS, log_rate_above
from plimsoll.core.statistics.criteria import Criterion
from plimsoll.core.statistics.measures import PASS_CAP, above
from plimsoll.core.statistics.tables import Noise, Table, starts_of
from plimsoll.core.statistics.wealth import Array, average, capped, mixture
from plimsoll.facts import Differences, Window

#: What is said where no output is of one number a row.
_NOTHING = "numbers"


@dataclass(frozen=True, slots=True)
class SignedDifference:
    """The `signs`, two edges for each output, and how far the candidate is above by and large: `means` (rows, outputs),
    in the unit of each output."""

    signs: Criterion
    means: Array

    name = "signed difference"

    def failed_at(self) -> int | None:
        """The first row whose evidence of harm suffices, or None."""
        return self.signs.failed_at()

    def passes(self, row: int) -> bool:
        """Whether the evidence of health suffices after this row, for each output and direction."""
        return self.signs.passes(row)

    def describe_failure(self, row: int) -> str:
        """What failed, and by how much the answers differ on average."""
        return self.signs.describe_failure(row) + self._mean(row, int(self.signs.against_health[row].argmax()))

    def describe_pass(self, row: int) -> str:
        """What was shown."""
        return self.signs.describe_pass(row) + self._mean(row, self._hardest(row))

    def describe_doubt(self, row: int) -> str:
        """What is missing."""
        return self.signs.describe_doubt(row) + self._mean(row, self._hardest(row))

    def _hardest(self, row: int) -> int:
        assert self.signs.against_harm is not None
        return int(self.signs.against_harm[row].argmin())

    def _mean(self, row: int, edge: int) -> str:
        return f"; mean difference {self.means[row, edge // 2]:+.4g}"


def signed_difference(
    windows: Sequence[Window], limit: float, levels: tuple[float, float], noise: Noise
) -> SignedDifference:
    """Requests that are higher than what the user got, and those that are lower: either fails above `limit`, both pass
    once shown to be below; `levels` are alpha and beta. Of at least one window.

    Rows of one request may be all alike: each request counts once, by the shares of its rows, however many they are.
    An answer without a finite distance is to both sides: it is no reason to pass. Pass bets on requests that are not to
    that side being likelier than 1 − limit, in steps of their odds: half of them, which is noise, is far from none.
    Noise is that of the rarer of both: a share of 90 % varies as one of 10 % does.
    """
    outputs = sorted({one.output for window in windows for one in window.differences}) or [_NOTHING]
    found = np.array([[_counted(window, output) for output in outputs] for window in windows])
    k = (found[..., :2] + found[..., 3:4]).reshape(len(windows), -1)
    n, none = found[..., :4].sum(axis=2).repeat(2, axis=1), np.zeros_like(k)
    starts, odds = starts_of(windows), limit / (1 - limit)
    cvs = [np.full_like(k, noise.cv_floor * min(1.0, one)) for one in (1 / odds, odds)]
    counts = Table(np.stack([k, n, none, none], axis=1), cvs[0], starts)
    against_health = above(counts, limit)
    sums = found.cumsum(axis=0)
    criterion = Criterion(
        name=SignedDifference.name,
        totals=counts.totals,
        units=tuple(f" requests of {output} {side}" for output in outputs for side in ("higher", "lower")),
        margin=None,
        tolerance=limit,
        negligible=limit,
        alpha=levels[0],
        beta=levels[1],
        against_health=against_health,
        failing=average(against_health),
        against_harm=mixture(capped(log_rate_above(n - k, n, 1 - limit, cvs[1]), PASS_CAP), ABOVE_WEIGHTS),
    )
    means = (sums[..., 5] - sums[..., 6]) / np.maximum(sums[..., 4], 1.0)
    return SignedDifference(criterion, means)


def _counted(window: Window, output: str) -> tuple[float, ...]:
    one = next((one for one in window.differences if one.output == output), Differences(output))
    return astuple(one)[1:]
