"""What `simulate` computes: a manifest's release in the simulator's terms, and what of it is left out.

Slow to import, so only when it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import InferenceServiceSpec
from plimsoll.cli.times import lasted
from plimsoll.cli.trouble import Trouble
from plimsoll.core.release.analysis import policy_of
from plimsoll.core.release.course import Course, course
from plimsoll.core.simulation import Forecast, Step, Traffic, Trial
from plimsoll.core.simulation.forecast import chunks, summarised
from plimsoll.core.statistics.external import statistical
from plimsoll.core.statistics.policy import Policy

MINUTE = 60.0
#: Releases that may take longer are looked at once a minute: more often is slow, and tells no more of them.
LONG = 4 * 3600.0
#: Seconds of a window that the simulator can take: parts of a minute, which is its grain.
WINDOWS = tuple(float(one) for one in range(1, 61) if 60 % one == 0)


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the simulator and what it is in the release: Copies, Step, Pause or Probation."""

    kind: str
    step: Step


@dataclass(frozen=True, slots=True)
class Plan:
    """A release as it is simulated: what is judged by, through which stages, with how many `pods` at full traffic, in
    windows of so many seconds; `left_out` is what of the manifest is not simulated, in words."""

    spec: InferenceServiceSpec
    policy: Policy
    stages: tuple[Stage, ...]
    pods: int
    window: float
    then: str
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def deadline(self) -> float:
        """Seconds that each stage may take beyond its own."""
        return seconds(self.spec.release.progress_deadline)

    def trial(self, traffic: Traffic, effect: float) -> Trial:
        """What is tried with one candidate."""
        analysis, steps = self.spec.release.analysis, tuple(stage.step for stage in self.stages)
        return Trial(
            self.policy, steps, traffic, effect, self.window,
            _longest(self.stages, self.deadline + self.window),
            seconds(analysis.pre_period), analysis.baseline == "Fresh", self.deadline,
        )  # fmt: skip


def planned(spec: InferenceServiceSpec) -> Plan:
    """Raises Trouble where two versions are never compared, so that there is nothing to simulate."""
    found, release = course(spec), spec.release
    stages = tuple(_stages(found, seconds(release.probation)))
    if not stages:
        field = "strategy" if release.strategy == "Recreate" else "holdback"
        raise Trouble(
            f"spec.release.{field}: nothing to simulate: strategy: {release.strategy}"
            + (" with holdback: 0" if field == "holdback" else "")
            + " never compares two versions that answer at the same time, so there is no verdict by evidence"
        )
    policy = policy_of(spec, mirrored=False, min_requests=0)
    custom = statistical(policy.external, compares=True)
    window = _window(seconds(release.analysis.window), _longest(stages, seconds(release.progress_deadline)))
    return Plan(
        spec=spec,
        policy=replace(policy, alpha=policy.alpha / (1 + custom)),
        stages=stages,
        pods=spec.runtime.replicas,
        window=window,
        then=found.then,
        left_out=tuple(_left_out(spec, found, window)),
        warnings=tuple(_warnings(policy)),
    )


def _stages(found: Course, probation: float) -> Iterator[Stage]:
    if found.shadow is not None:
        yield Stage("Copies", Step(found.shadow.percent, found.shadow.stay, found.shadow.requests, copies=True))
    for one in found.steps:
        yield Stage("Pause" if one.pauses else "Step", Step(one.weight, one.stay, one.requests))
    if found.holdback and found.then != "Keep":
        yield Stage("Probation", Step(100 - found.holdback, probation, 0, probation=True))


def _longest(stages: tuple[Stage, ...], deadline: float) -> float:
    """Seconds until the last of them is over, whatever is decided."""
    return sum(stage.step.min_seconds + deadline for stage in stages)


def _window(asked: float, longest: float) -> float:
    """The shortest that can be simulated and is no shorter than what is asked, if there is one."""
    return MINUTE if longest > LONG else min((one for one in WINDOWS if one >= asked), default=MINUTE)


# --- what is not simulated ------------------------------------------------------------------------------------------


def _left_out(spec: InferenceServiceSpec, found: Course, window: float) -> Iterator[str]:
    """What of the manifest the forecast knows nothing of."""
    release, analysis = spec.release, spec.release.analysis
    custom, judges = (", ".join(one.name for one in many) for many in (analysis.custom, analysis.judges))
    waits = found.then == "Hold" or any(stage.manual for stage in found.steps)
    said = {
        "client errors": analysis.error_rate.enabled,
        "latency": analysis.latency.enabled,
        "predictionShift": analysis.prediction_shift.enabled,
        "accuracy": analysis.accuracy.enabled,
        "analysis.shadow (whether answers to copies differ, and to which side)": analysis.shadow is not None,
        f"custom ({custom})": bool(custom),
        f"judges ({judges})": bool(judges),
        "source: Prometheus (how late its samples are)": analysis.source == "Prometheus",
        "approvals (given at once)": waits,
        "the probation (holdback: 0 leaves nothing to compare with)": found.then != "Keep" and not found.holdback,
        "stickyHeader (requests are split here, not users)": spec.traffic.sticky_header is not None,
        "gatewayRef.session and armHeader": spec.traffic.gateway_ref is not None
        and (spec.traffic.gateway_ref.session is not None or spec.traffic.gateway_ref.arm_header is not None),
        "runtime.pool (taken as one pod)": spec.runtime.pool is not None,
        "freezeWindows": bool(release.freeze_windows),
        "after": bool(release.after),
        f"windows of {analysis.window} (of {lasted(window)} instead)": window != seconds(analysis.window),
    }
    return (text for text, holds in said.items() if holds)


def _warnings(policy: Policy) -> Iterator[str]:
    if policy.error_margin is None:
        yield (
            "analysis.errorRate.enabled is false, and failures are all that is simulated: here only the breaker takes a"
            " candidate back, which half of its requests must fail for; every other passes"
        )


# --- the document ---------------------------------------------------------------------------------------------------


def document(
    plan: Plan, *, noise: float, effects: Iterable[float], traffic: tuple[float, float], draws: tuple[int, int]
) -> dict[str, Any]:
    """The forecasts; `traffic` is requests per second and error rate, `draws` runs and seed."""
    (rate, errors), (runs, seed) = traffic, draws
    world = Traffic(rate, errors, noise, stable_pods=plan.pods, candidate_pods=plan.pods)
    trials = (plan.trial(world, effect) for effect in effects)
    return {
        "requestsPerSecond": rate,
        "errorRate": errors,
        "noise": noise,
        "replicas": plan.pods,
        "alpha": plan.spec.release.analysis.alpha,
        "strategy": plan.spec.release.strategy,
        "onPass": plan.then,
        "steps": [_step(stage) for stage in plan.stages],
        "windowSeconds": plan.window,
        "progressDeadlineSeconds": plan.deadline,
        "onInconclusive": plan.spec.release.on_inconclusive,
        "runs": runs,
        "seed": seed,
        "candidates": [_candidate(summarised(trial.effect, chunks(trial, runs, seed))) for trial in trials],
        "notSimulated": list(plan.left_out),
        "warnings": list(plan.warnings),
    }


def _step(stage: Stage) -> dict[str, Any]:
    step = stage.step
    return {
        "kind": stage.kind,
        "weight": step.weight,
        "minSeconds": step.min_seconds,
        "minRequests": step.min_requests,
    }


def _candidate(found: Forecast) -> dict[str, Any]:
    quantiles = None if found.seconds is None else dict(zip(("p5", "p50", "p95"), found.seconds, strict=True))
    return {
        "effect": found.effect,
        "promoted": found.promoted,
        "rolledBack": found.rolled_back,
        "undecided": found.undecided,
        "secondsToVerdict": quantiles,
        "badRequests": round(found.bad_requests, 1),
    }
