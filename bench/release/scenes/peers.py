"""The peers in a scene: what each is told, minute by minute, by the query that its users would write.

As documented they look at errors, which are alike here; Flagger's built-in check of latency (p99 at most 500 ms) comes
with its tutorials, and Kayenta is given the same limit. Tuned, whoever set them up knew the service: the limit is 1.5
times its p99, or 5 points more wrong labels than usual. A share of requests above a limit of at most 1 % says the same
as a p99 below it. Nobody can tell them of scores: there is no number to be right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.release.engines import PEERS, Peer
from bench.release.minutes import MINUTE, Ended, Minute, World
from bench.release.peers import argo, flagger, kayenta
from bench.release.scenes.arrivals import Arrivals
from bench.release.scenes.catalogue import ERROR_RATE, LABELLED, P99, WRONG, Scene, slower_than

Array = NDArray[np.float64]
DOCUMENTED_SECONDS, TUNED_SECONDS = 0.5, 1.5 * P99
SLOWEST = 0.01
#: Wrong labels that are usual, and how many more are accepted.
USUAL = float(np.dot(LABELLED, WRONG) / sum(LABELLED))
ACCEPTED = USUAL + 0.05


class SlowWorld(World):
    """Its failures are the requests that took longer than `limit` seconds."""

    def __init__(self, scene: Scene, limit: float, runs: int, minutes: int) -> None:
        super().__init__(scene.traffic, 1.0, runs, minutes, scene.seed)
        self.scene, self.limit = scene, limit

    def minute(self, number: int, weight: Array) -> Minute:
        """As of any world, with slow requests for failures."""
        told = super().minute(number, weight)
        pace = self.scene.slower * self.fixed.candidate[:, number, 0] ** 0.5
        slow = slower_than(self.limit, pace, self.scene.tail)
        usual = slower_than(self.limit, self.fixed.stable[:, number, -1] ** 0.5, 0.0)
        return Minute(
            told.requests, _binomial(self.rng, told.requests, slow),
            told.baseline_requests, _binomial(self.rng, told.baseline_requests, usual), told.seen,
        )  # fmt: skip


class LabelWorld(World):
    """Its requests are the labels that came, and its failures those that said wrong; nobody tells their age."""

    def __init__(self, scene: Scene, runs: int, minutes: int) -> None:
        super().__init__(scene.traffic, 1.0, runs, minutes, scene.seed)
        self.arms = [(Arrivals(runs, MINUTE), scene.wrong), (Arrivals(runs, MINUTE), WRONG)]

    def minute(self, number: int, weight: Array) -> Minute:
        """As of any world, with labels for requests. The baseline is as young as the canary, and so are its labels."""
        told = super().minute(number, weight)
        counts: list[Array] = []
        for (arrivals, wrong), requests in zip(self.arms, (told.requests, told.baseline_requests), strict=True):
            come = self.rng.poisson(arrivals.turn(requests)).astype(np.float64)
            bad = _binomial(self.rng, come, np.array(wrong)[:, None])
            counts += [come.sum(axis=0), bad.sum(axis=0)]
        return Minute(counts[0], counts[1], counts[2], counts[3], told.seen)


def _binomial(rng: np.random.Generator, counts: Array, shares: Array) -> Array:
    return rng.binomial(counts.astype(np.int64), shares).astype(np.float64)


#: Tuned to accept so large a share.
TUNED: dict[str, Peer] = {
    "argo-rollouts-tuned": lambda world, accepted: argo.release(argo.tuned(1 - accepted), world),
    "flagger-tuned": lambda world, accepted: flagger.release(flagger.tuned(100 * (1 - accepted)), world),
    "kayenta-tuned": lambda world, accepted: kayenta.release(kayenta.TUNED, world),
}


def releases(engine: str, scene: Scene, runs: int) -> Ended:
    """How the releases of a peer ended."""
    minutes, documented = PEERS[engine]
    if scene.kind == "latency" and engine in TUNED:
        return TUNED[engine](SlowWorld(scene, TUNED_SECONDS, runs, minutes), SLOWEST)
    if scene.kind == "latency" and engine != "argo-rollouts":
        return documented(SlowWorld(scene, DOCUMENTED_SECONDS, runs, minutes), ERROR_RATE)
    if scene.kind == "labels" and engine in TUNED:
        return TUNED[engine](LabelWorld(scene, runs, minutes), ACCEPTED)
    return documented(World(scene.traffic, 1.0, runs, minutes, scene.seed), ERROR_RATE)
