"""Windows for tests: counts of two arms, drawn from a seeded generator or given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from plimsoll.facts import ArmCounts, PodCounters, Window
from plimsoll.names import LATENCY_EDGES

#: Share of requests slower than each edge.
FAST = (0.8, 0.3) + (0.0,) * 11
FIFTY_TO_HUNDRED_MS = (1.0,) * 5 + (1.0, 0.0) + (0.0,) * 6


def arm(requests: int = 0, failures: int = 0, client_errors: int = 0, slow: Sequence[float] = FAST) -> ArmCounts:
    """Counts of one arm with the shares `slow` above each edge."""
    return ArmCounts(requests, failures, client_errors, requests, tuple(int(requests * share) for share in slow))


def window(index: int = 1, stable: ArmCounts | None = None, candidate: ArmCounts | None = None, **other: Any) -> Window:
    """A window of 5 s at weight 10 of step 0, unless `other` says otherwise."""
    given = {"step": 0, "weight": 10} | other
    return Window(
        index, 5.0 * index, 5.0 * index + 5, stable=stable or ArmCounts(), candidate=candidate or ArmCounts(), **given
    )


def repeat(times: int, stable: ArmCounts, candidate: ArmCounts, **other: Any) -> list[Window]:
    """The same window again and again."""
    return [window(i + 1, stable, candidate, **other) for i in range(times)]


def total(arms: Sequence[ArmCounts]) -> ArmCounts:
    """The sum of counts."""
    sums = [sum(getattr(a, name) for a in arms) for name in ("requests", "failures", "client_errors", "timed")]
    return ArmCounts(*sums, tuple(int(x) for x in np.sum([a.slower for a in arms], axis=0)))


def draw(rng: np.random.Generator, requests: int, failing: float, slow: Sequence[float]) -> ArmCounts:
    """Random counts of one arm or pod; `slow` falls from edge to edge."""
    left, before, slower = requests, 1.0, []
    for share in slow:
        left = int(rng.binomial(left, min(1.0, share / before) if before else 0.0))
        before = share
        slower.append(left)
    return ArmCounts(requests, int(rng.binomial(requests, min(failing, 1.0))), 0, requests, tuple(slower))


def pod(
    name: str, revision: str, arms: dict[tuple[str, str], int], latency: int = 0, started: float = 0.0
) -> PodCounters:
    """Counters of one pod: `latency` requests, all within the first edge."""
    return PodCounters(name, revision, started, 1, arms, (latency,) * (len(LATENCY_EDGES) + 1))
