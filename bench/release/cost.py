"""What one verdict costs: the real `judge`, when a release has so many windows: one more, and all of them anew."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from plimsoll.core.statistics.policy import Policy, compared
from plimsoll.core.verdict import judge
from plimsoll.facts import ArmCounts, Window
from plimsoll.names import LATENCY_EDGES

REPEATS = 15


def measured(lengths: tuple[int, ...] = (6, 60, 180)) -> dict[str, Any]:
    """CPU milliseconds (least of some) of a verdict on so many windows of three stable pods: `milliseconds` of the last
    one, as an operator has it that judged the others, and `anew`, as one has it that has just started."""
    policy = Policy()
    found = []
    for length in lengths:
        one_more, anew = (round(1000 * min(_timed(ledger(length), policy, known)), 3) for known in (length - 1, 0))
        found.append({"windows": length, "milliseconds": one_more, "anew": anew})
    metrics = sum(len(one.units) for one in compared(ledger(2), policy))
    return {"metrics": metrics, "judge": found}


def _timed(windows: list[Window], policy: Policy, known: int) -> list[float]:
    times = []
    for repeat in range(REPEATS):
        # Each time another release, of which nothing is known yet.
        earlier = 1 + repeat + REPEATS * known
        release = [replace(one, start=one.start - earlier, end=one.end - earlier) for one in windows]
        judge(release[:known], policy)
        started = time.process_time()
        judge(release, policy)
        times.append(time.process_time() - started)
    return times


def ledger(length: int) -> list[Window]:
    """A healthy release at 50 requests/s with 0.5 % errors and a model of some 20 ms."""
    rng = np.random.default_rng(1)
    windows = []
    for index in range(length):
        pods = tuple(_arm(rng, 150) for _ in range(3))
        windows.append(Window(index + 1, 10.0 * index, 10.0 * index + 10, 1, 10, _total(pods), _arm(rng, 50), pods))
    return windows


def _arm(rng: np.random.Generator, mean: float) -> ArmCounts:
    requests = int(rng.poisson(mean))
    slower, left = [], requests
    for share in np.linspace(1.0, 0.4, len(LATENCY_EDGES)):
        left = int(rng.binomial(left, share))
        slower.append(left)
    return ArmCounts(requests, int(rng.binomial(requests, 0.005)), 0, requests, tuple(slower))


def _total(pods: tuple[ArmCounts, ...]) -> ArmCounts:
    return ArmCounts(
        sum(pod.requests for pod in pods),
        sum(pod.failures for pod in pods),
        0,
        sum(pod.timed for pod in pods),
        tuple(sum(column) for column in zip(*(pod.slower for pod in pods), strict=True)),
    )
