"""A baseline of the same age (`analysis.baseline: Fresh`): pods of the stable version that start with the candidate's,
are as cold, and get as large a share, as far as there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plimsoll.core.simulation.world import (
    MINUTE,
    Counts,
    Generator,
    Hour,
    Traffic,
    draw,
    minute_of,
    pods_for,
)  # fmt: skip
from plimsoll.core.statistics.wealth import Array


def draw_beside(
    traffic: Traffic, fixed: Hour, effect: float, seconds: float, begins: Array, weight: Array, rng: Generator
) -> Counts:
    """As `draw`, with the baseline as the stable arm. The other pods of the stable version tell how noisy it is while
    they have a share, and then those of the baseline do. `fixed` must have the `fresh` ones."""
    share = np.minimum(weight, 1 - weight)
    rest = 1 - weight - share
    found = draw(traffic, fixed, effect, seconds, begins, (weight, rest), rng)
    n, k = _baseline(traffic, fixed, seconds, begins, share, rng)
    alone, pods = (rest <= 0)[:, None], pods_of(traffic)
    return replace(
        found,
        n_stable=n.sum(axis=1),
        k_stable=k.sum(axis=1),
        n_pods=np.where(alone, _padded(n, pods), _padded(found.n_pods, pods)),
        k_pods=np.where(alone, _padded(k, pods), _padded(found.k_pods, pods)),
    )


def pods_of(traffic: Traffic) -> int:
    """How many pods tell of noise, at most."""
    return max(traffic.stable_pods, traffic.candidate_pods)


def _baseline(
    traffic: Traffic, fixed: Hour, seconds: float, begins: Array, share: Array, rng: Generator
) -> tuple[Array, Array]:
    """Requests and failures of each of its pods, (rows, pods, runs). A reset loses nothing here, a gap does."""
    if fixed.fresh is None:
        raise ValueError("fixed.fresh is missing: draw the hour with fresh=True")
    runs, minute = np.arange(begins.shape[1]), minute_of(fixed, begins)
    pods = pods_for(share, traffic.candidate_pods)
    used = np.arange(traffic.candidate_pods) < pods[..., None]
    each = traffic.load(begins / MINUTE) * seconds * share / pods
    rate = traffic.error_rate * fixed.shared[runs, minute] * traffic.cold(begins)
    n = rng.poisson(each[..., None] * used)
    k = rng.binomial(n, np.minimum(rate[..., None] * fixed.fresh[runs, minute], 1.0))
    seen = ~fixed.gap[runs, minute][..., None]
    requests, failures = (np.swapaxes(np.where(seen, one, 0), 1, 2).astype(np.float64) for one in (n, k))
    return requests, failures


def _padded(counts: Array, pods: int) -> Array:
    """With so many pods, of which the last have no requests."""
    missing = pods - counts.shape[1]
    return np.pad(counts, ((0, 0), (0, missing), (0, 0))) if missing else counts
