"""What a peer's Prometheus knows: counts of whole minutes, of the canary and of a baseline of the same share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from plimsoll.core.simulation.world import Hour, Traffic, candidate_rates, hour

Array = NDArray[np.float64]
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Minute:
    """Counts of each run in one minute. `seen`: whether there was telemetry."""

    requests: Array
    failures: Array
    baseline_requests: Array
    baseline_failures: Array
    seen: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ended:
    """How each run ended: `outcome` 1 promoted, 0 undecided, -1 rolled back; `minutes` until then; `bad`: the canary's
    failed requests within `horizon` minutes."""

    outcome: NDArray[np.int8]
    minutes: Array
    bad: Array


class World:
    """The hour of some runs, minute by minute; the same seed gives every engine the same noise and incidents."""

    def __init__(self, traffic: Traffic, effect: float, runs: int, minutes: int, seed: int) -> None:
        self.traffic, self.effect, self.runs, self.minutes = traffic, effect, runs, minutes
        self.fixed: Hour = hour(traffic, runs, minutes, seed)
        self.rng = np.random.default_rng([seed, 1])

    def minute(self, number: int, weight: Array) -> Minute:
        """Minute `number` (from 0) with the share `weight` (0 to 1) of each run on the canary."""
        begins = np.full((1, self.runs), number * MINUTE)
        offered = float(self.traffic.load(np.array([float(number)]))[0]) * MINUTE
        rates = candidate_rates(self.traffic, self.fixed, self.effect, begins, weight[None])[0]
        # A baseline that is started for the comparison is as cold as the canary.
        usual = self.traffic.error_rate * self.traffic.cold(begins[0])
        rate = usual * self.fixed.shared[:, number] * self.fixed.stable[:, number, -1]
        requests, baseline = self.rng.poisson(offered * weight), self.rng.poisson(offered * weight)
        return Minute(
            requests.astype(np.float64),
            self.rng.binomial(requests, rates).astype(np.float64),
            baseline.astype(np.float64),
            self.rng.binomial(baseline, np.minimum(rate, 1.0)).astype(np.float64),
            # Prometheus corrects counters that began anew: a reset loses nothing here, a gap does.
            ~self.fixed.gap[:, number],
        )

    def after(self, minutes: Array) -> Array:
        """Failures to be expected from a canary that was promoted after so many minutes, until the horizon."""
        each = self.traffic.requests_per_second * MINUTE * self.traffic.candidate_rate(self.effect)
        return np.maximum(self.minutes - minutes, 0) * each
