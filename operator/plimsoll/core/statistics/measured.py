"""Errors, client errors and latency of a release, measured side by side, so that a window more costs one window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.comparison import Arms
from plimsoll.core.statistics.criteria import Criterion, failing
from plimsoll.core.statistics.measures import Bounds, Compared, Comparison
from plimsoll.core.statistics.tables import Noise, Rows, Table, spells_of, starts_in, tabulated
from plimsoll.core.statistics.wealth import Array
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


@dataclass(frozen=True, slots=True)
class _Part:
    """One criterion: its edges, the units of their counts, its part of alpha, and the least rise that can fail."""

    name: str
    edges: slice
    units: tuple[str, ...]
    alpha: float
    least_rise: float = -1.0


#: A margin of what is switched off, and measured all the same.
_ANY = 1.5


@lru_cache(maxsize=64)
def _bounds(limits: Limits) -> Bounds:
    """Of errors, client errors and each latency edge that counts."""
    edges = _BUCKETS - limits.first_edge
    margins = [limits.error_margin or _ANY] * 2 + [limits.latency_margin or _ANY] * edges
    tolerances = [0.0, limits.negligible] + [limits.negligible_latency] * edges
    negligible = [limits.negligible] * 2 + [limits.negligible_latency] * edges
    return Bounds(np.array(margins), np.array(tolerances), np.array(negligible))


@lru_cache(maxsize=64)
def _parts(limits: Limits) -> tuple[_Part, ...]:
    """Those that are switched on."""
    alphas = dict(limits.alphas)
    parts = []
    if limits.error_margin is not None:
        parts.append(_Part("error rate", slice(0, 1), ("",), alphas["error rate"], limits.error_floor))
        parts.append(_Part("client error rate", slice(1, 2), ("",), alphas["client error rate"]))
    if limits.latency_margin is not None:
        units = tuple(slower(edge) for edge in LATENCY_EDGES[limits.first_edge :])
        parts.append(_Part("latency", slice(2, None), units, alphas["latency"]))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Measured:
    """The pods' own counters of the windows so far.

    Edges are those of errors, client errors and latency; `counts` is (windows, 4, edges) as in `tables.Rows`, `failing`
    (windows, criteria) what the criteria hold against 1/alpha.
    """

    limits: Limits
    comparison: Comparison = field(default_factory=Comparison)
    #: The window that the spell under way began with.
    spell: Window | None = None
    steps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    counts: Array | None = None
    found: Compared | None = None
    failing: Array | None = None

    def after(self, windows: Sequence[Window]) -> Measured:
        """With these windows as well; they follow in time, and none of them has a gap."""
        if not windows:
            return self
        limits = self.limits
        begins, spell = spells_of(windows, limits.noise.seconds, self.spell)
        count = partial(_counted, first=limits.first_edge)
        rows = tabulated(windows, count, 2 + _BUCKETS - limits.first_edge, begins)
        comparison, found = self.comparison.after(rows, _bounds(limits), limits.noise.cv_floor)
        counts, failed = rows.counts, _failing(limits, rows, found)
        if self.counts is not None and self.found is not None and self.failing is not None:
            counts, failed = np.concatenate([self.counts, counts]), np.concatenate([self.failing, failed])
            found = self.found.then(found)
        return Measured(limits, comparison, spell, np.concatenate([self.steps, rows.steps]), counts, found, failed)

    def criteria(self) -> list[Criterion]:
        """Those that are switched on, of at least one window; client errors can only fail."""
        counts, found, failed = self.counts, self.found, self.failing
        assert counts is not None and found is not None and failed is not None
        bounds, starts = _bounds(self.limits), starts_in(self.steps)
        return [
            Criterion(
                name=part.name,
                data=Table(Arms.stacked(counts[:, :, part.edges]), found.cv[:, part.edges], starts),
                units=part.units,
                margin=float(bounds.margin[part.edges.start]),
                tolerance=float(bounds.tolerance[part.edges.start]),
                negligible=float(bounds.negligible[part.edges.start]),
                alpha=part.alpha,
                beta=self.limits.beta,
                against_health=found.against_health[:, part.edges],
                failing=failed[:, place],
                against_harm=None if part.name == "client error rate" else found.against_harm[:, part.edges],
            )
            for place, part in enumerate(_parts(self.limits))
        ]


def _failing(limits: Limits, rows: Rows, found: Compared) -> Array:
    """What each criterion holds against 1/alpha, (windows, criteria)."""
    both = (rows.counts[:, 1] > 0) & (rows.counts[:, 3] > 0)
    logs = np.empty((len(both), len(_parts(limits))))
    for place, part in enumerate(_parts(limits)):
        first = part.edges.start
        matters = both[:, first] & (found.rise[:, first] >= part.least_rise)
        logs[:, place] = failing(found.against_health[:, part.edges], matters)
    return logs


_NONE = (0,) * _BUCKETS


def _counted(arm: ArmCounts, first: int) -> tuple[Sequence[float], Sequence[float]]:
    """Events and trials of each edge; latency from the edge `first` on."""
    slow = arm.slower if arm.timed else _NONE
    failures = (arm.failures, arm.client_errors) if arm.requests else (0, 0)
    return (*failures, *slow[first:]), (arm.requests, arm.requests, *(arm.timed,) * (_BUCKETS - first))


def slower(edge: float) -> str:
    """The unit of a count of requests that took longer than so many seconds."""
    return f" slower than {edge:g} s" if edge >= 1 else f" slower than {1000 * edge:g} ms"
