"""What `simulate` computes: a manifest's release in the simulator's terms. Slow to import, so only when it is used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import ValidationError

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import InferenceServiceSpec
from plimsoll.api.release import Release
from plimsoll.cli.simulate import refused
from plimsoll.core.simulation import Forecast, Step, Traffic, Trial
from plimsoll.core.simulation.forecast import chunks, summarised
from plimsoll.core.statistics.policy import Policy

HORIZON = 1800.0
KIND = "InferenceService"
#: One window of evidence must divide the minute that is the simulator's grain.
MINUTE = 60.0


def spec_of(text: str, path: str) -> InferenceServiceSpec:
    """The spec of the first InferenceService in a manifest. Raises Trouble that names what is wrong."""
    try:
        documents = [one for one in yaml.safe_load_all(text) if isinstance(one, dict) and one.get("kind") == KIND]
    except yaml.YAMLError as error:
        raise refused(path, f"not YAML: {error}") from error
    if not documents:
        raise refused(path, f"there is no {KIND} in it")
    try:
        return InferenceServiceSpec.model_validate(documents[0].get("spec") or {})
    except ValidationError as error:
        first = error.errors()[0]
        raise refused(path, f"spec.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def policy_of(release: Release) -> Policy:
    """As the operator judges by it, with the least requests of the first step."""
    analysis = release.analysis
    return Policy(
        alpha=analysis.alpha,
        error_margin=analysis.error_rate.margin if analysis.error_rate.enabled else None,
        latency_margin=analysis.latency.margin if analysis.latency.enabled else None,
        min_requests=release.steps[0].min_requests,
    )


def steps_of(release: Release) -> tuple[Step, ...]:
    """The steps, and the probation with its holdback as the last one."""
    steps = [Step(step.weight, seconds(step.min_duration), step.min_requests) for step in release.steps]
    if release.holdback:
        steps.append(Step(100 - release.holdback, seconds(release.probation), 0))
    return tuple(steps)


def document(
    spec: InferenceServiceSpec,
    *,
    noise: float,
    effects: Iterable[float],
    traffic: tuple[float, float],
    draws: tuple[int, int],
) -> dict[str, Any]:
    """The forecasts; `traffic` is requests per second and error rate, `draws` runs and seed."""
    release, (rate, errors), (runs, seed) = spec.release, traffic, draws
    if release.strategy != "Canary":
        raise refused(KIND, f"strategy {release.strategy} compares nothing step by step: simulate a Canary")
    window = seconds(release.analysis.window)
    if window > MINUTE or MINUTE % window:
        raise refused(KIND, f"analysis.window {release.analysis.window} must divide a minute to be simulated")
    world, steps, policy = Traffic(rate, errors, noise), steps_of(release), policy_of(release)
    forecasts = [
        summarised(effect, chunks(Trial(policy, steps, world, effect, window, HORIZON), runs, seed))
        for effect in effects
    ]
    return {
        "requestsPerSecond": rate,
        "errorRate": errors,
        "noise": noise,
        "alpha": policy.alpha,
        "steps": [{"weight": step.weight, "minSeconds": step.min_seconds} for step in steps],
        "horizonSeconds": HORIZON,
        "runs": runs,
        "seed": seed,
        "candidates": [_candidate(one) for one in forecasts],
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
