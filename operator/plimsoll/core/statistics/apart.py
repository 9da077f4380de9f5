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

from plimsoll.core.statistics.bounded_rate import ABOVE, ABOVE_WEIGHTS, BELOW_WEIGHTS, Trials, below, log_ratios
from plimsoll.core.statistics.wealth import Array, increments, log_sum, mixture, running, started

#: How far c is beyond the tolerance, as parts of it; equal bets.
BEYOND = np.array([0.2, 1.0])
_WEIGHTS = np.outer(np.full(len(BEYOND), 1 / len(BEYOND)), ABOVE_WEIGHTS).ravel()


@dataclass(frozen=True, slots=True)
class Apart:
    """Where the evidence stands after some rows: of all (edges, bets), of the spell under way, and what the bets had
    when each step began, (steps, edges, bets). The i-th step (from 1) has 2⁻ⁱ of the capital."""

    total: Array | float = 0.0
    so_far: Array | float = 0.0
    begun: tuple[Array, ...] = field(default=())

    def after(
        self, spell: Array, marks: tuple[NDArray[np.bool_], NDArray[np.bool_]], cv: Array, bound: tuple[Array, Array]
    ) -> tuple[Apart, Array]:
        """Where it stands after these rows as well, and the log e-values (rows, edges) in them.

        `spell` (rows, 4, edges) is what both arms had in the spell so far, events and trials of the candidate and of
        the stable arm; `marks` say where a spell and where a step begins, (rows,). `bound` is margin and tolerance,
        (edges,), the tolerance above 0 and below 1/2.
        """
        begins, anew = marks
        so_far = _log_apart(spell, cv, bound)
        total = running(increments(so_far, begins, self.so_far), self.total)
        earlier = np.concatenate([started(self.total, total), total[:-1]])
        known = len(self.begun)
        begun = (*self.begun, *(earlier[row] for row in np.flatnonzero(anew)))
        since = [0] * known + [int(row) for row in np.flatnonzero(anew)]
        parts = [np.full(total.shape[:2], -len(begun) * np.log(2))]
        for place, (first, had) in enumerate(zip(since, begun, strict=True)):
            logs = mixture(total - had, _WEIGHTS)
            logs[:first] = 0.0
            parts.append(logs - (place + 1) * np.log(2))
        return Apart(total[-1], so_far[-1], begun), log_sum(np.stack(parts), 0)


def _log_apart(spell: Array, cv: Array, bound: tuple[Array, Array]) -> Array:
    """Log e-values of each spell by itself, (rows, edges, bets)."""
    k_c, n_c, k_s, n_s = (np.repeat(spell[:, place, :, None], len(BEYOND), axis=-1) for place in range(4))
    margin, tolerance = (one[:, None] for one in bound)
    most = np.broadcast_to(tolerance * (1 + BEYOND), k_c.shape)
    least = np.broadcast_to(tolerance * BEYOND / margin, k_c.shape)
    noise = np.repeat(cv[..., None], len(BEYOND), axis=-1)
    odds = (most / (1 - most))[..., None] * ABOVE
    often = log_ratios(Trials(k_c, n_c, most, (noise * most) ** 2, n_c > 0), odds / (1 + odds))
    never = mixture(log_ratios(*below(k_s, n_s, least, noise)), BELOW_WEIGHTS)
    found: Array = np.minimum(often, never[..., None])
    return found.reshape(*cv.shape, -1)
