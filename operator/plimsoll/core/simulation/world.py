"""What reaches two arms: requests and failures, with the noise, the incidents and the faults of telemetry of a cluster.

Everything random that no decision changes (noise, incidents, gaps, resets) is drawn beforehand, so that engines that
decide differently see the same hour. Minutes are its grain; a count is drawn when it is known who gets the requests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.wealth import Array

Generator = np.random.Generator
MINUTE = 60.0
#: A candidate for a service that never fails: its rate at effect 1.25 is 1.25 × this.
RATE_WITHOUT_BASE = 0.005
#: Requests grow and shrink by this part of their mean within DAY_MINUTES, a day run through quickly.
DAY_MINUTES = 60.0
CANDIDATE_PODS = 3


@dataclass(frozen=True, slots=True)
class Traffic:
    """The requests of a service and what happens to them. Raises ValueError for a field out of range.

    `error_rate`: failures per request of the stable version. `noise_cv`: coefficient of variation of a pod's rate,
    gamma distributed and drawn anew each minute, for each pod (`noise: pod`) or one draw for all pods of an arm
    (`noise: arm`). An incident lasts a minute and multiplies the rates of both arms by `incident_factor`; a gap is a
    minute without telemetry; a reset loses a minute of one pod's counts. `cold_minutes`: so long the candidate fails
    `cold_factor` times as often after its first request. `diurnal`: amplitude of the load as a part of its mean.
    `candidate_pods`: the candidate's at full traffic; of a share it has so large a part of them.
    """

    requests_per_second: float
    error_rate: float
    noise_cv: float = 0.2
    noise: Literal["pod", "arm"] = "pod"
    stable_pods: int = 3
    incidents_per_hour: float = 0.0
    incident_factor: float = 10.0
    gaps_per_hour: float = 0.0
    resets_per_hour: float = 0.0
    cold_minutes: int = 0
    cold_factor: float = 3.0
    diurnal: float = 0.0
    candidate_pods: int = CANDIDATE_PODS

    def __post_init__(self) -> None:
        checks = {
            "requests_per_second": self.requests_per_second > 0,
            "error_rate": 0 <= self.error_rate < 1,
            "noise_cv": 0 <= self.noise_cv <= 2,
            "stable_pods": 1 <= self.stable_pods <= 100,
            "candidate_pods": 1 <= self.candidate_pods <= 100,
            "diurnal": 0 <= self.diurnal < 1,
        }
        for name, holds in checks.items():
            if not holds:
                raise ValueError(f"{name} is {getattr(self, name)}: it is out of range")

    def candidate_rate(self, effect: float) -> float:
        """Failures per request of a candidate that is `effect` times as bad; 1 is as good as the stable version."""
        if effect == 1:
            return self.error_rate
        return min(1.0, effect * (self.error_rate or RATE_WITHOUT_BASE))

    def cold(self, begins: Array) -> Array:
        """The factor on the failure rate of pods that were started for the release, in windows that begin so many
        seconds after their first request (shape kept)."""
        return np.where(begins < self.cold_minutes * MINUTE, self.cold_factor, 1.0)

    def load(self, minutes: Array) -> Array:
        """Requests per second in these minutes (shape kept)."""
        swing: Array = 1 + self.diurnal * np.sin(2 * np.pi * minutes / DAY_MINUTES)
        return self.requests_per_second * swing


@dataclass(frozen=True, slots=True)
class Hour:
    """What is fixed beforehand for each run: factors on the failure rate, (runs, minutes, pods) and (runs, minutes).
    `fresh` are those of a baseline of the same age, where one is started."""

    stable: Array
    candidate: Array
    shared: Array
    gap: NDArray[np.bool_]
    reset: NDArray[np.bool_]
    fresh: Array | None = None

    def of(self, runs: NDArray[np.int64] | NDArray[np.bool_]) -> Hour:
        """Only these runs."""
        fresh = None if self.fresh is None else self.fresh[runs]
        return Hour(
            self.stable[runs], self.candidate[runs], self.shared[runs], self.gap[runs], self.reset[runs], fresh
        )  # fmt: skip


def hour(traffic: Traffic, runs: int, minutes: int, seed: int, *, fresh: bool = False) -> Hour:
    """Draw it. The last stable pod more than `traffic.stable_pods` is a baseline that Kayenta's users start."""
    rng = np.random.default_rng([seed, 0])
    shape = (runs, minutes)
    pods = [_noise(rng, traffic, (*shape, count)) for count in (traffic.stable_pods + 1, traffic.candidate_pods)]
    incident = rng.random(shape) < traffic.incidents_per_hour * MINUTE / 3600
    return Hour(
        stable=pods[0],
        candidate=pods[1],
        shared=np.where(incident, traffic.incident_factor, 1.0),
        gap=rng.random(shape) < traffic.gaps_per_hour * MINUTE / 3600,
        reset=rng.random((*shape, traffic.stable_pods + 1)) < traffic.resets_per_hour * MINUTE / 3600,
        fresh=_noise(np.random.default_rng([seed, 2]), traffic, (*shape, traffic.candidate_pods)) if fresh else None,
    )


def _noise(rng: Generator, traffic: Traffic, shape: tuple[int, ...]) -> Array:
    """Gamma with mean 1; the same draw for all pods of an arm where noise is of the arm."""
    cv = traffic.noise_cv
    if cv == 0:
        return np.ones(shape)
    drawn = rng.gamma(1 / cv**2, cv**2, size=shape)
    return drawn if traffic.noise == "pod" else np.broadcast_to(drawn[..., :1], shape)


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and failures: of the candidate (rows, runs), of the stable arm (rows, runs), of each pod that tells how
    noisy the stable version is (rows, pods, runs).

    `seen` (rows, runs) says whether there was telemetry; where there was none, all counts are zero, and `bad` alone
    knows how many of the candidate's requests failed.
    """

    n_candidate: Array
    k_candidate: Array
    n_stable: Array
    k_stable: Array
    n_pods: Array
    k_pods: Array
    seen: NDArray[np.bool_]
    bad: Array

    def of(self, runs: NDArray[np.int64] | NDArray[np.bool_]) -> Counts:
        """Only these runs."""
        return self.each(lambda mine, name: mine[..., runs])

    def in_one_pod(self) -> Counts:
        """What is not known pod by pod: the first pod has all of the stable arm's counts."""
        first = np.arange(self.n_pods.shape[1])[:, None] == 0
        pods = [np.where(first, x.sum(axis=1, keepdims=True), 0.0) for x in (self.n_pods, self.k_pods)]
        return replace(self, n_pods=pods[0], k_pods=pods[1])

    def each(self, change: Callable[[Any, str], Any]) -> Counts:
        """With each field, which `change` is given with its name, changed."""
        return Counts(**{field.name: change(getattr(self, field.name), field.name) for field in fields(self)})


def draw(
    traffic: Traffic,
    fixed: Hour,
    effect: float,
    seconds: float,
    begins: Array,
    shares: tuple[Array, Array],
    rng: Generator,
) -> Counts:
    """Counts of windows of `seconds` that begin at `begins` (rows, runs), in seconds since the release began, where the
    candidate and the stable version get these shares of the requests, each (rows, runs)."""
    runs, minute = np.arange(begins.shape[1]), minute_of(fixed, begins)
    offered = traffic.load(begins / MINUTE) * seconds
    stable = traffic.stable_pods
    rate_pods = traffic.error_rate * fixed.shared[runs, minute][..., None] * fixed.stable[runs, minute, :stable]
    n_candidate = rng.poisson(offered * shares[0])
    bad = rng.binomial(n_candidate, candidate_rates(traffic, fixed, effect, begins, shares[0]))
    n_pods = rng.poisson(np.repeat((offered * shares[1] / stable)[..., None], stable, axis=-1))
    k_pods = rng.binomial(n_pods, np.minimum(rate_pods, 1.0))
    seen = ~fixed.gap[runs, minute]
    kept = seen & ~fixed.reset[runs, minute, stable]
    kept_pods = seen[..., None] & ~fixed.reset[runs, minute, :stable]
    told = (np.swapaxes(np.where(kept_pods, x, 0), 1, 2).astype(np.float64) for x in (n_pods, k_pods))
    n_told, k_told = told
    return Counts(
        n_candidate=np.where(kept, n_candidate, 0).astype(np.float64),
        k_candidate=np.where(kept, bad, 0).astype(np.float64),
        n_stable=n_told.sum(axis=1),
        k_stable=k_told.sum(axis=1),
        n_pods=n_told,
        k_pods=k_told,
        seen=seen,
        bad=bad.astype(np.float64),
    )  # fmt: skip


def candidate_rates(traffic: Traffic, fixed: Hour, effect: float, begins: Array, weight: Array) -> Array:
    """Failures per request of the candidate in windows that begin at `begins`, at `weight`; both (rows, runs)."""
    runs, minute = np.arange(begins.shape[1]), minute_of(fixed, begins)
    rate: Array = traffic.candidate_rate(effect) * fixed.shared[runs, minute] * traffic.cold(begins)
    return np.minimum(rate * _of_pods(fixed.candidate[runs, minute], weight), 1.0)


def minute_of(fixed: Hour, begins: Array) -> NDArray[np.int64]:
    """The minute of the hour that these windows are in."""
    minute: NDArray[np.int64] = np.minimum((begins // MINUTE).astype(np.int64), fixed.shared.shape[1] - 1)
    return minute


def _of_pods(noise: Array, weight: Array) -> Array:
    """The mean over as many of the candidate's pods as its share needs."""
    most = noise.shape[-1]
    pods = pods_for(weight, most)
    used = np.arange(most) < pods[..., None]
    mean: Array = (noise * used).sum(axis=-1) / pods
    return mean


def pods_for(weight: Array, most: int) -> Array:
    """How many of the candidate's pods, `most` at full traffic, its share needs (shape kept)."""
    pods: Array = np.clip(np.ceil(most * weight - 1e-9), 1, most)
    return pods
