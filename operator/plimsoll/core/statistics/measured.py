"""Errors, client errors and latency of a release, measured side by side, so that a window more costs one window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from plimsoll.core.statistics.criteria import Criterion
from plimsoll.core.statistics.measures import Bounds, Compared, Comparison
from plimsoll.core.statistics.tables import Noise, spells_of, tabulated
from plimsoll.core.statistics.wealth import Array, average
from plimsoll.facts import ArmCounts, Window
from plimsoll.names import LATENCY_EDGES

_BUCKETS = len(LATENCY_EDGES)


@dataclass(frozen=True, slots=True)
class _Part:
    """One criterion: its edges, the units of their counts, its part of alpha, what is accepted, and the least rise that
    can fail."""

    name: str
    edges: slice
    units: tuple[str, ...]
    alpha: float
    margin: float
    tolerance: float
    negligible: float
    least_rise: float = -1.0


#: A margin of what is switched off, and measured all the same.
_ANY = 1.5


@dataclass(frozen=True)
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

    @cached_property
    def first_edge(self) -> int:
        """The first latency edge that counts."""
        return sum(edge <= self.latency_floor_seconds for edge in LATENCY_EDGES)

    @cached_property
    def bounds(self) -> Bounds:
        """Of errors, client errors and each latency edge that counts."""
        edges = _BUCKETS - self.first_edge
        margins = [self.error_margin or _ANY] * 2 + [self.latency_margin or _ANY] * edges
        tolerances = [0.0, self.negligible] + [self.negligible_latency] * edges
        negligible = [self.negligible] * 2 + [self.negligible_latency] * edges
        return Bounds(np.array(margins), np.array(tolerances), np.array(negligible))

    @cached_property
    def parts(self) -> tuple[_Part, ...]:
        """The criteria that are switched on."""
        alphas, few, slow = dict(self.alphas), self.negligible, self.negligible_latency
        parts = []
        if self.error_margin is not None:
            margin, errors, client_errors = self.error_margin, "error rate", "client error rate"
            parts.append(_Part(errors, slice(0, 1), ("",), alphas[errors], margin, 0.0, few, self.error_floor))
            parts.append(_Part(client_errors, slice(1, 2), ("",), alphas[client_errors], margin, few, few))
        if self.latency_margin is not None:
            units = tuple(slower(edge) for edge in LATENCY_EDGES[self.first_edge :])
            parts.append(_Part("latency", slice(2, None), units, alphas["latency"], self.latency_margin, slow, slow))
        return tuple(parts)


@dataclass(frozen=True, slots=True)
class Measured:
    """The pods' own counters of the windows so far.

    Of the windows that came last, from the number `first` on, `found` is what they show: edges are those of errors,
    client errors and latency. `windows` is how many there were in all.
    """

    limits: Limits
    comparison: Comparison = field(default_factory=Comparison)
    #: The window that the spell under way began with.
    spell: Window | None = None
    windows: int = 0
    first: int = 0
    found: Compared | None = None

    def after(self, windows: Sequence[Window]) -> Measured:
        """With these windows as well; they follow in time, and none of them has a gap."""
        if not windows:
            return self
        limits = self.limits
        begins, spell = spells_of(windows, limits.noise.seconds, self.spell)
        count = partial(_counted, first=limits.first_edge)
        rows = tabulated(windows, count, len(limits.bounds.margin), begins)
        comparison, found = self.comparison.after(rows, limits.bounds, limits.noise.cv_floor)
        return Measured(limits, comparison, spell, self.windows + len(windows), self.windows, found)

    def criteria(self) -> list[Criterion]:
        """Those that are switched on, of the windows that came last, at least one; client errors can only fail."""
        found = self.found
        assert found is not None
        return [self._criterion(part, found) for part in self.limits.parts]

    def _criterion(self, part: _Part, found: Compared) -> Criterion:
        health = found.against_health[:, part.edges]
        failing, standing = _failing(part, found)
        return Criterion(
            name=part.name,
            totals=found.totals[..., part.edges],
            units=part.units,
            margin=part.margin,
            tolerance=part.tolerance,
            negligible=part.negligible,
            alpha=part.alpha,
            beta=self.limits.beta,
            against_health=health,
            failing=failing,
            against_harm=None if part.name == "client error rate" else found.against_harm[:, part.edges],
            standing=standing,
            first=self.first,
        )


def _failing(part: _Part, found: Compared) -> tuple[Array, Array]:
    """What is held against 1/alpha, (windows,): the average over the edges, or nothing where it does not matter; and
    the same as it stands after windows that compare nothing."""
    edge, health = part.edges.start, found.against_health[:, part.edges]
    standing = average(health) if len(part.units) > 1 else health[:, 0]
    if part.least_rise > -1:
        standing = np.where(found.rise[:, edge] < part.least_rise, -np.inf, standing)
    told = found.told[:, edge]
    return standing if np.count_nonzero(told) == len(told) else np.where(told > 0, standing, -np.inf), standing


_NONE = (0,) * _BUCKETS


def _counted(arm: ArmCounts, first: int) -> tuple[Sequence[float], Sequence[float]]:
    """Events and trials of each edge; latency from the edge `first` on."""
    slow = arm.slower if arm.timed else _NONE
    failures = (arm.failures, arm.client_errors) if arm.requests else (0, 0)
    return (*failures, *slow[first:]), (arm.requests, arm.requests, *(arm.timed,) * (_BUCKETS - first))


def slower(edge: float) -> str:
    """The unit of a count of requests that took longer than so many seconds."""
    return f" slower than {edge:g} s" if edge >= 1 else f" slower than {1000 * edge:g} ms"
