"""The engines side by side: what each makes of a cell, in the same terms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from plimsoll.core.simulation import Step, Trial
from plimsoll.core.simulation.forecast import chunks
from plimsoll.core.statistics.allotment import of_attempt
from plimsoll.core.statistics.policy import Policy

from bench.release.cells import COLD, Cell
from bench.release.minutes import Ended, World
from bench.release.peers import argo, flagger, kayenta

OURS = "plimsoll"
#: The same with `analysis.baseline: Fresh`, in the scene that it is made for.
FRESH = "plimsoll-fresh"
#: 10 and 50 %, then all but a holdback of 5 % for a minute of probation: the defaults of an InferenceService.
STEPS = (Step(10), Step(50), Step(95, 60.0, 0, probation=True))
HORIZON_MINUTES = 30
CHUNK = 500
#: Three hours each, and series of 180 points to rank, cost the most of all peers.
FEWER = {"kayenta": 5}


@dataclass(frozen=True, slots=True)
class Found:
    """`outcome` 1 promoted, 0 undecided, -1 rolled back; `seconds` until then; `bad` failed requests of the candidate
    within 30 minutes."""

    outcome: NDArray[np.int8]
    seconds: NDArray[np.float64]
    bad: NDArray[np.float64]


def allowed(base: float) -> float:
    """The failures per request that a user who knows the service would allow: 1.5 × its rate and 0.1 % more."""
    return 1.5 * base + 0.001


#: The defaults, in the first attempt of a revision.
ALPHA = Policy().alpha
DEFAULTS = Policy(alpha=of_attempt(ALPHA, 1))


def ours(cell: Cell, runs: int, policy: Policy = DEFAULTS, *, pre_seconds: float = 0.0, fresh: bool = False) -> Found:
    """This engine with its defaults, or with another policy, another `prePeriod` or a fresh baseline."""
    trial = Trial(
        policy, STEPS, cell.traffic, cell.effect,
        horizon=60.0 * HORIZON_MINUTES, pre_seconds=pre_seconds, fresh=fresh,
    )  # fmt: skip
    found = chunks(trial, runs, cell.seed)
    return Found(found.outcome, found.seconds, found.bad)


Peer = Callable[[World, float], Ended]
#: Each with the minutes that it may take.
PEERS: dict[str, tuple[int, Peer]] = {
    "argo-rollouts": (40, lambda world, base: argo.release(argo.DOCUMENTED, world)),
    "argo-rollouts-tuned": (30, lambda world, base: argo.release(argo.tuned(1 - allowed(base)), world)),
    "flagger": (30, lambda world, base: flagger.release(flagger.DOCUMENTED, world)),
    "flagger-tuned": (30, lambda world, base: flagger.release(flagger.tuned(100 * (1 - allowed(base))), world)),
    "kayenta": (180, lambda world, base: kayenta.release(kayenta.DOCUMENTED, world)),
    "kayenta-tuned": (30, lambda world, base: kayenta.release(kayenta.TUNED, world)),
}
ENGINES = (OURS, *PEERS)


def judged_in(cell: Cell, engines: Iterable[str] = ENGINES) -> list[str]:
    """Who judges a cell."""
    return [*engines, FRESH] if cell.incident == COLD and OURS in engines else list(engines)


def judge(engine: str, cell: Cell, runs: int) -> Found:
    """What an engine makes of `runs` releases of a cell."""
    if engine in {OURS, FRESH}:
        return ours(cell, runs, fresh=engine == FRESH)
    minutes, release = PEERS[engine]
    parts = [
        release(_world(cell, min(CHUNK, runs - first), minutes, cell.seed * 1_000_003 + first), cell.traffic.error_rate)
        for first in range(0, runs, CHUNK)
    ]
    outcome, taken, bad = (np.concatenate([getattr(part, name) for part in parts]) for name in Ended.__slots__)
    return Found(outcome, taken * 60.0, bad)


def _world(cell: Cell, runs: int, minutes: int, seed: int) -> World:
    return World(cell.traffic, cell.effect, runs, minutes, seed)
