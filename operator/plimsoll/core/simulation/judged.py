"""The verdict on many releases at once: the functions of `plimsoll.core.statistics` with a run on the axis of edges.

Rows are laid out step by step, each step as long as its longest run; a run that went on has rows of zeros there, which
say nothing. So all runs share the starts of steps and spells, and what the functions give in the rows that a run did
have is what `plimsoll.core.verdict` says of its windows; a test compares them on random ledgers.

One thing differs: after a window without telemetry a spell stays where it was, instead of beginning with the next
window. Latency and client errors are those of a model that answers within `Policy.latency_floor_seconds`: they never
fail, and pass long before the errors do; what they take of alpha is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.simulation.world import Counts
from plimsoll.core.statistics.criteria import Criterion, reaches
from plimsoll.core.statistics.measures import Bounds, Comparison
from plimsoll.core.statistics.policy import Policy, compared
from plimsoll.core.statistics.tables import Rows, starts_in
from plimsoll.facts import ArmCounts, Window
from plimsoll.names import LATENCY_EDGES

_ERRORS = "error rate"


@dataclass(frozen=True, slots=True)
class Judged:
    """By row and run: whether the release has failed by then, and whether its evidence passes in this row."""

    failed: NDArray[np.bool_]
    passes: NDArray[np.bool_]


def judged(counts: Counts, steps: NDArray[np.int64], window_seconds: float, policy: Policy) -> Judged:
    """The verdicts on `counts`; `steps` (rows,) rises and names the step of each row."""
    starts = starts_in(steps)
    began = starts[np.searchsorted(starts, np.arange(len(steps)), side="right") - 1]
    since = np.arange(len(steps)) - began
    length = max(1, int(policy.noise_seconds / window_seconds + 1e-9))
    fails, passes = _breaker(counts, policy), np.ones(counts.seen.shape, dtype=np.bool_)
    if policy.error_margin is not None:
        alpha, beta = _levels(policy)
        bounds = Bounds(np.array([policy.error_margin]), np.zeros(1), np.array([policy.negligible]))
        pods = np.stack([counts.k_pods, counts.n_pods], axis=1)
        arms = np.concatenate([np.stack([counts.k_candidate, counts.n_candidate], axis=1), pods.sum(axis=2)], axis=1)
        found = Comparison().after(Rows(arms, pods, steps, since % length == 0), bounds, policy.cv_floor)[1]
        matters = (arms[:, 1] > 0) & (arms[:, 3] > 0) & (found.rise >= policy.error_floor)
        fails = fails | (reaches(found.against_health, alpha) & matters)
        passes = reaches(found.against_harm, beta)
    seen = np.cumsum(counts.n_candidate, axis=0)
    in_step = seen - (seen - counts.n_candidate)[began]
    enough = in_step >= max(1, policy.min_requests)
    compares = np.cumsum(counts.n_pods.sum(axis=1), axis=0) > 0
    return Judged(np.maximum.accumulate(fails, axis=0), passes & enough & compares & counts.seen)


def _levels(policy: Policy) -> tuple[float, float]:
    """What the errors get of alpha, and their beta: from the policy's own criteria."""
    arm = ArmCounts(requests=1, timed=1, slower=(0,) * len(LATENCY_EDGES))
    window = Window(1, 0.0, 10.0, 1, 10, arm, arm, (arm,))
    judges = compared([window], policy)
    found = [one for one in judges if isinstance(one, Criterion) and one.name == _ERRORS]
    return (found[0].alpha, found[0].beta) if found else (policy.alpha, policy.beta)


def _breaker(counts: Counts, policy: Policy) -> NDArray[np.bool_]:
    """The rows where the last windows hold too large a share of failures, as in plimsoll.core.verdict."""
    arms = [counts.n_candidate, counts.k_candidate, counts.n_pods.sum(axis=1), counts.k_pods.sum(axis=1)]
    total = [np.cumsum(np.concatenate([np.zeros_like(x[:1]), x]), axis=0) for x in arms]
    fails = np.zeros(counts.n_candidate.shape, dtype=np.bool_)
    for length in range(1, min(policy.breaker_windows, len(fails)) + 1):
        n, k, n_stable, k_stable = (x[length:] - x[:-length] for x in total)
        tripped = (n >= policy.breaker_requests) & (k >= policy.breaker_share * n)
        shared = (n_stable >= policy.breaker_requests) & (2 * k_stable * n >= k * n_stable)
        fails[length - 1 :] |= tripped & ~shared
    return fails
