"""Which worlds are simulated: the grid of the claims, and the faults of telemetry and traffic at one place of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from plimsoll.core.simulation import Traffic

RATES = (0.5, 5.0, 50.0, 500.0)
BASES = (0.0, 0.001, 0.005, 0.02)
EFFECTS = (1.0, 1.25, 2.0, 4.0)
NOISES = (0.0, 0.2, 0.5)
NONE, COLD = "none", "cold start"
#: What is different from the plain world; at 50 requests/s with 0.5 % errors and noise of cv 0.2, unless it says so.
CONDITIONS: dict[str, dict[str, object]] = {
    "shared incidents": {"incidents_per_hour": 4.0},
    COLD: {"cold_minutes": 2},
    "scrape gaps": {"gaps_per_hour": 10.0},
    "counter resets": {"resets_per_hour": 10.0},
    "diurnal load": {"diurnal": 0.8},
    "noise per arm": {"noise": "arm"},
    "noise per arm, cv 0.5": {"noise": "arm", "noise_cv": 0.5},
    "noise per arm, cv 0.5, 500/s": {"noise": "arm", "noise_cv": 0.5, "requests_per_second": 500.0},
    "one stable pod, cv 0.5": {"stable_pods": 1, "noise_cv": 0.5},
    "no telemetry": {"gaps_per_hour": 60.0},
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One world and one candidate; `incident` names the condition."""

    traffic: Traffic
    effect: float
    incident: str = NONE

    @property
    def seed(self) -> int:
        """The same for every engine and for every effect: the candidates live through the same hours."""
        traffic = self.traffic
        names = [*CONDITIONS, NONE]
        return int(
            RATES.index(traffic.requests_per_second) * 1_000_000
            + round(10_000 * traffic.error_rate) * 1_000
            + round(100 * traffic.noise_cv) * 10
            + names.index(self.incident)
        )


def grid(rates: tuple[float, ...] = RATES) -> Iterator[Cell]:
    """The plain worlds."""
    for rate, base, noise, effect in product(rates, BASES, NOISES, EFFECTS):
        yield Cell(Traffic(rate, base, noise), effect)


def conditions() -> Iterator[Cell]:
    """The worlds in which one thing is different."""
    for name, different in CONDITIONS.items():
        values: dict[str, object] = {"requests_per_second": 50.0, "error_rate": 0.005, "noise_cv": 0.2} | different
        for effect in (1.0, 2.0, 4.0):
            yield Cell(Traffic(**values), effect, name)  # type: ignore[arg-type]
