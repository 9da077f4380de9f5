"""What a policy promises on a traffic, in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plimsoll.core.simulation.releases import PROMOTED, ROLLED_BACK, Releases, Step, Trial, run
from plimsoll.core.simulation.world import Traffic
from plimsoll.core.statistics.policy import Policy

#: Runs at a time, and numbers that are drawn for them: fewer waste time between arrays, more waste memory.
_CHUNK, _DRAWN = 5000, 20_000_000
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Shares of `runs`: `rolled_back`, `promoted`, the rest undecided within the horizon; `bad_requests` is the mean
    number of the candidate's failed requests within it. `seconds` are the quantiles 5, 50 and 95 % of the time until
    a decision among the runs that got one, or None where no run did."""

    effect: float
    runs: int
    rolled_back: float
    promoted: float
    bad_requests: float
    seconds: tuple[float, float, float] | None

    @property
    def undecided(self) -> float:
        """Share of runs without a decision."""
        return max(0.0, 1.0 - self.rolled_back - self.promoted)


def simulate(
    policy: Policy,
    steps: Sequence[Step],
    traffic: Traffic,
    *,
    effect: float = 1.0,
    runs: int = 1000,
    seed: int = 0,
    fresh: bool = False,
) -> Forecast:
    """The chances of a candidate that fails `effect` times as often as the stable version: with effect 1 `rolled_back`
    is the chance of a false rollback, with more `promoted` that of missing the regression."""
    return summarised(effect, chunks(Trial(policy, steps, traffic, effect, fresh=fresh), runs, seed))


def chunks(trial: Trial, runs: int, seed: int) -> Releases:
    """`run`, some thousands at a time; the result depends on the trial, `runs` and `seed` alone."""
    if runs < 1:
        raise ValueError(f"runs is {runs}: it must be at least 1")
    each = trial.minutes * (trial.traffic.stable_pods + trial.traffic.candidate_pods)
    size = min(_CHUNK, max(1, _DRAWN // each))
    parts = [run(trial, min(size, runs - first), seed * 1_000_003 + first) for first in range(0, runs, size)]
    return Releases(*(np.concatenate([getattr(part, name) for part in parts]) for name in Releases.__slots__))


def summarised(effect: float, found: Releases) -> Forecast:
    """Shares and quantiles of simulated releases."""
    decided = found.seconds[found.outcome != 0]
    low, middle, high = np.quantile(decided, QUANTILES) if len(decided) else (0.0, 0.0, 0.0)
    return Forecast(
        effect=effect,
        runs=len(found.outcome),
        rolled_back=float((found.outcome == ROLLED_BACK).mean()),
        promoted=float((found.outcome == PROMOTED).mean()),
        bad_requests=float(found.bad.mean()),
        seconds=(float(low), float(middle), float(high)) if len(decided) else None,
    )
