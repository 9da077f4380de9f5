"""Errors, client errors and latency of a release, measured side by side, so that a window more costs one window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.criteria import Criterion
from plimsoll.core.statistics.measures import Bounds, Compared, Comparison
from plimsoll.core.statistics.tables import Noise, Rows, Table, spells_of, tabulated
from plimsoll.core.statistics.wealth import Array, average, begins_in
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

    @cached_property
    def least(self) -> tuple[NDArray[np.int64], Array]:
        """The first edge of each of these, and the least rise that can fail it, both (criteria,)."""
        firsts = np.array([part.edges.start for part in self.parts], dtype=np.int64)
        return firsts, np.array([part.least_rise for part in self.parts])


@dataclass(frozen=True, slots=True)
class Measured:
    """The pods' own counters of the windows so far.

    Edges are those of errors, client errors and latency; `found` (windows, 11, edges) are the counts as in
    `tables.Rows`, log e-values against health and against harm, cv, and the totals of `Compared`. `failing`
    (windows, 2, criteria) is what the criteria hold against 1/alpha, and the same as it stands after windows that
    compare nothing; `starts` are the windows with which a step begins.
    """

    limits: Limits
    comparison: Comparison = field(default_factory=Comparison)
    #: The window that the spell under way began with.
    spell: Window | None = None
    starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    found: Array | None = None
    failing: Array | None = None

    def after(self, windows: Sequence[Window]) -> Measured:
        """With these windows as well; they follow in time, and none of them has a gap."""
        if not windows:
            return self
        limits, starts = self.limits, self.starts
        begins, spell = spells_of(windows, limits.noise.seconds, self.spell)
        count = partial(_counted, first=limits.first_edge)
        rows = tabulated(windows, count, len(limits.bounds.margin), begins)
        comparison, compared = self.comparison.after(rows, limits.bounds, limits.noise.cv_floor)
        found, failed = _found(rows, compared), _failing(limits, compared)
        anew = begins_in(rows.steps, self.comparison.step)
        if np.count_nonzero(anew):
            starts = np.concatenate([starts, np.flatnonzero(anew) + (0 if self.found is None else len(self.found))])
        if self.found is not None and self.failing is not None:
            found, failed = np.concatenate([self.found, found]), np.concatenate([self.failing, failed])
        return Measured(limits, comparison, spell, starts, found, failed)

    def criteria(self) -> list[Criterion]:
        """Those that are switched on, of at least one window; client errors can only fail."""
        found, failed = self.found, self.failing
        assert found is not None and failed is not None
        criteria = []
        for place, part in enumerate(self.limits.parts):
            mine = found[:, :, part.edges]
            criteria.append(
                Criterion(
                    name=part.name,
                    data=Table(mine[:, :4], mine[:, 6], self.starts, mine[:, 7:]),
                    units=part.units,
                    margin=part.margin,
                    tolerance=part.tolerance,
                    negligible=part.negligible,
                    alpha=part.alpha,
                    beta=self.limits.beta,
                    against_health=mine[:, 4],
                    failing=failed[:, 0, place],
                    against_harm=None if part.name == "client error rate" else mine[:, 5],
                    standing=failed[:, 1, place],
                )
            )
        return criteria


def _found(rows: Rows, compared: Compared) -> Array:
    """What `Measured.found` holds of these windows."""
    found = np.empty((len(rows.counts), 11, rows.counts.shape[-1]))
    found[:, :4], found[:, 4], found[:, 5] = rows.counts, compared.against_health, compared.against_harm
    found[:, 6], found[:, 7:] = compared.cv, compared.totals
    return found


def _failing(limits: Limits, compared: Compared) -> Array:
    """`Measured.failing`, (windows, 2, criteria): the average over the edges of each, or nothing where it does not
    matter."""
    firsts, least = limits.least
    standing = compared.against_health.take(firsts, axis=1)
    for place, part in enumerate(limits.parts):
        if len(part.units) > 1:
            standing[:, place] = average(compared.against_health[:, part.edges])
    np.copyto(standing, -np.inf, where=compared.rise.take(firsts, axis=1) < least)
    return np.array([np.where(compared.told.take(firsts, axis=1) > 0, standing, -np.inf), standing]).swapaxes(0, 1)


_NONE = (0,) * _BUCKETS


def _counted(arm: ArmCounts, first: int) -> tuple[Sequence[float], Sequence[float]]:
    """Events and trials of each edge; latency from the edge `first` on."""
    slow = arm.slower if arm.timed else _NONE
    failures = (arm.failures, arm.client_errors) if arm.requests else (0, 0)
    return (*failures, *slow[first:]), (arm.requests, arm.requests, *(arm.timed,) * (_BUCKETS - first))


def slower(edge: float) -> str:
    """The unit of a count of requests that took longer than so many seconds."""
    return f" slower than {edge:g} s" if edge >= 1 else f" slower than {1000 * edge:g} ms"
