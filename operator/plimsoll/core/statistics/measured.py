"""Errors, client errors and latency of a release, measured side by side, so that a window more costs one window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.comparison import Arms
from plimsoll.core.statistics.criteria import Criterion, failing
from plimsoll.core.statistics.measures import Bounds, Compared, Comparison
from plimsoll.core.statistics.tables import Noise, Table, spells_of, starts_in, tabulated
from plimsoll.facts import ArmCounts, Window
from plimsoll.names import LATENCY_EDGES

_BUCKETS = len(LATENCY_EDGES)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is accepted, as in Policy, and the parts of alpha; a margin of None switches a measure off."""

    error_margin: float | None
    latency_margin: float | None
    negligible: float
    negligible_latency: float
    error_floor: float
    latency_floor_seconds: float
    noise: Noise
    beta: float
    alphas: tuple[tuple[str, float], ...]

    @property
    def first_edge(self) -> int:
        """The first latency edge that counts."""
        return sum(edge <= self.latency_floor_seconds for edge in LATENCY_EDGES)

    @property
    def bounds(self) -> Bounds:
        """Of errors, client errors and each latency edge that counts. What is switched off is measured all the same."""
        edges = _BUCKETS - self.first_edge
        margins = [self.error_margin or _ANY] * 2 + [self.latency_margin or _ANY] * edges
        tolerances = [0.0, self.negligible] + [self.negligible_latency] * edges
        negligible = [self.negligible] * 2 + [self.negligible_latency] * edges
        return Bounds(np.array(margins), np.array(tolerances), np.array(negligible))


#: A margin of what nobody asks for.
_ANY = 1.5


@dataclass(frozen=True, slots=True)
class Measured:
    """The pods' own counters of the windows so far. Arrays are (windows, edges): errors, client errors, latency."""

    limits: Limits
    comparison: Comparison = field(default_factory=Comparison)
    #: The window that the spell under way began with.
    spell: Window | None = None
    arms: Arms | None = None
    steps: NDArray[np.int64] | None = None
    found: Compared | None = None

    def after(self, windows: Sequence[Window]) -> Measured:
        """With these windows as well; they follow in time, and none of them has a gap."""
        if not windows:
            return self
        limits, first = self.limits, self.limits.first_edge
        none = (0,) * _BUCKETS

        def count(arm: ArmCounts) -> tuple[Sequence[float], Sequence[float]]:
            slower = arm.slower if arm.timed else none
            failures = (arm.failures, arm.client_errors) if arm.requests else (0, 0)
            return (*failures, *slower[first:]), (arm.requests, arm.requests, *(arm.timed,) * (_BUCKETS - first))

        begins, spell = spells_of(windows, limits.noise.seconds, self.spell)
        rows = tabulated(windows, count, 2 + _BUCKETS - first, begins)
        comparison, found = self.comparison.after(rows, limits.bounds, limits.noise.cv_floor)
        if self.arms is None or self.steps is None or self.found is None:
            return replace(self, comparison=comparison, spell=spell, arms=rows.arms, steps=rows.steps, found=found)
        return Measured(
            limits, comparison, spell, self.arms.then(rows.arms), np.concatenate([self.steps, rows.steps]),
            self.found.then(found),
        )  # fmt: skip

    def criteria(self) -> list[Criterion]:
        """Those that are switched on, of at least one window; client errors can only fail."""
        limits, alphas = self.limits, dict(self.limits.alphas)
        judges = []
        if limits.error_margin is not None:
            judges.append(self._criterion("error rate", slice(0, 1), ("",), alphas))
            judges.append(replace(self._criterion("client error rate", slice(1, 2), ("",), alphas), against_harm=None))
        if limits.latency_margin is not None:
            units = tuple(slower(edge) for edge in LATENCY_EDGES[limits.first_edge :])
            judges.append(self._criterion("latency", slice(2, None), units, alphas))
        return judges

    def _criterion(self, name: str, edges: slice, units: tuple[str, ...], alphas: dict[str, float]) -> Criterion:
        assert self.arms is not None and self.steps is not None and self.found is not None
        bounds, found = self.limits.bounds, self.found
        data = Table(self.arms.of(edges), found.cv[:, edges], starts_in(self.steps))
        least = self.limits.error_floor if name == "error rate" else -1.0
        matters = data.both() & (found.rise[:, edges.start] >= least)
        health = found.against_health[:, edges]
        return Criterion(
            name=name,
            data=data,
            units=units,
            margin=float(bounds.margin[edges.start]),
            tolerance=float(bounds.tolerance[edges.start]),
            negligible=float(bounds.negligible[edges.start]),
            alpha=alphas[name],
            beta=self.limits.beta,
            against_health=health,
            failing=failing(health, matters),
            against_harm=found.against_harm[:, edges],
        )


def slower(edge: float) -> str:
    """The unit of a count of requests that took longer than so many seconds."""
    return f" slower than {edge:g} s" if edge >= 1 else f" slower than {1000 * edge:g} ms"
