"""A candidate that often does what the stable version hardly ever does.

`comparison` pins the level of both arms, window by window. Where events are so rare that the candidate's part of them
may be within the tolerance, its hypothesis p_c ≤ margin·p_s + tolerance has no ratio to refute, and it says nothing.
But for whatever c beyond the tolerance that hypothesis implies p_c ≤ c or p_s ≥ (c − tolerance)/margin: the smaller of
two e-values, one against each, is one against both (intersection–union; Vovk & Wang, "E-values", 2021). The smaller is
taken spell by spell, so that an incident of both arms, in which the first is large and the second small, tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.bounded_rate import ABOVE, ABOVE_WEIGHTS, BELOW, BELOW_WEIGHTS, Trials
from plimsoll.core.statistics.wealth import Array, Restarted, increments, mixture, running

#: How far c is beyond the tolerance, as parts of it; equal bets.
BEYOND = np.array([0.2, 1.0])
_LOG_WEIGHTS = np.log(np.outer(np.full(len(BEYOND), 1 / len(BEYOND)), ABOVE_WEIGHTS).ravel())


@dataclass(frozen=True, slots=True)
class Levels:
    """The two hypotheses at each c, both (edges, c): the candidate's rate is at most `most`, the stable one's at least
    `least`. In `rates` both, and as shares that are large when the hypothesis is wrong, `null`, (2, 1, edges, c) with
    `alternatives` (2, 1, edges, c, 4): those to the second are shares of what is no event."""

    most: Array
    least: Array
    rates: Array
    null: Array
    alternatives: Array

    @classmethod
    def of(cls, margin: Array, tolerance: Array) -> Levels:
        """Of margins and tolerances (edges,), the tolerances above 0 and below 1/2."""
        most, least = tolerance[:, None] * (1 + BEYOND), tolerance[:, None] * BEYOND / margin[:, None]
        odds = (most / (1 - most))[..., None] * ABOVE
        rates, null = np.stack([most, least])[:, None], np.stack([most, 1 - least])[:, None]
        return cls(most, least, rates, null, np.stack([odds / (1 + odds), 1 - least[..., None] * BELOW])[:, None])

    def tests(self, spell: Array, cv: Array) -> tuple[Trials, Array]:
        """Of what both arms had in the spell so far, (rows, 4, edges): each (2, rows, edges, c), with alternatives."""
        columns, counts = np.empty((4, 2, len(cv), *self.most.shape)), spell.swapaxes(0, 1)[..., None]
        k, n, null, variance = columns
        n[:], k[0], k[1] = counts[1::2], counts[0], counts[3] - counts[2]
        null[:], variance[:] = self.null, (cv[..., None] * self.rates) ** 2
        others = np.empty((*n.shape, self.alternatives.shape[-1]))
        others[:] = self.alternatives
        return Trials(columns, n > 0), others


@dataclass(frozen=True, slots=True)
class Apart:
    """Where the evidence stands after some rows: of all (edges, bets) and of the spell under way, and what it makes of
    the bets, which begin anew with each step."""

    total: Array | float = 0.0
    so_far: Array | float = 0.0
    bets: Restarted = field(default_factory=Restarted)

    def after(self, logs: Array, begins: NDArray[np.bool_], anew: NDArray[np.bool_]) -> tuple[Apart, Array]:
        """Where it stands after these rows as well, and the log e-values (rows, edges) in them.

        `logs` (2, rows, edges, c, 4) are those of `Levels.tests`; `begins` says where a spell begins, `anew` where a
        step does, (rows,).
        """
        never = mixture(logs[1], BELOW_WEIGHTS)
        so_far = np.minimum(logs[0], never[..., None]).reshape(*never.shape[:2], len(_LOG_WEIGHTS))
        total = running(increments(so_far, begins, self.so_far), self.total)
        steps = anew.astype(np.float64)[:, None].repeat(total.shape[1], axis=1)
        bets, wealth = self.bets.after(total, _LOG_WEIGHTS, steps)
        return Apart(total[-1], so_far[-1], bets), wealth
