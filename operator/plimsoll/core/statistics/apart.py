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

from plimsoll.core.statistics.bounded_rate import ABOVE, ABOVE_WEIGHTS, BELOW_WEIGHTS, Rates
from plimsoll.core.statistics.wealth import Array, Restarted, increments, log_sum, running

#: How far c is beyond the tolerance, as parts of it; equal bets.
BEYOND = np.array([0.2, 1.0])
_LOG_BELOW = np.log(BELOW_WEIGHTS)
#: What is bet, and the one part of the capital that lies idle.
_LOG_WEIGHTS = np.log(np.outer(np.full(len(BEYOND), 1 / len(BEYOND)), ABOVE_WEIGHTS).ravel()), np.zeros(1)
_BETS = len(_LOG_WEIGHTS[0])


def levels(margin: Array, tolerance: Array, places: NDArray[np.int64], noise: NDArray[np.int64]) -> Rates:
    """The two hypotheses at each c, of margins and tolerances (edges,) above 0 and below 1/2: first that the
    candidate's rate is at most so much, then that the stable one's is at least so much, each (edges·c,).

    `places` (4, edges) are those of events and trials of the candidate and of the stable arm, `noise` (edges,) of cv.
    """
    most, least = (tolerance[:, None] * (1 + BEYOND)).ravel(), (tolerance[:, None] * BEYOND / margin[:, None]).ravel()
    places, noise = places.repeat(len(BEYOND), axis=1), noise.repeat(len(BEYOND))
    often = Rates.at(most, places[:2], noise, above=True, rest=False)
    return often.then(Rates.at(least, places[2:], noise, above=False, rest=True))


@dataclass(frozen=True, slots=True)
class Apart:
    """Where the evidence stands after some rows: of all (edges, bets + 1) and of the spell under way, and what it makes
    of the bets, which begin anew with each step. The last column is 0: the idle capital's."""

    total: Array | float = 0.0
    so_far: Array | float = 0.0
    bets: Restarted = field(default_factory=Restarted)

    def after(self, logs: Array, begins: NDArray[np.bool_], anew: NDArray[np.bool_]) -> tuple[Apart, Array]:
        """Where it stands after these rows as well, and the log e-values (rows, edges) in them.

        `logs` (rows, 2·edges·c, 4) are those of `levels`, of sums within spells; `begins` says where a spell begins,
        `anew` where a step does, (rows,).
        """
        often, never = logs.reshape(len(logs), 2, -1, len(BEYOND), len(ABOVE)).swapaxes(0, 1)
        never = log_sum(never + _LOG_BELOW)
        so_far = np.zeros((len(logs), often.shape[1], _BETS + 1))
        so_far[..., :_BETS] = np.minimum(often, never[..., None]).reshape(len(logs), -1, _BETS)
        total = running(increments(so_far, begins, self.so_far), self.total)
        steps = anew[:, None].repeat(total.shape[1], axis=1)
        bets, wealth = self.bets.after(total, steps, _LOG_WEIGHTS, self.total)
        return Apart(total[-1], so_far[-1], bets), wealth
