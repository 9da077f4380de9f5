"""What `simulate` computes: a manifest's release in the simulator's terms. Slow to import, so only when it is used.

The operator's models of the API are not part of the plugin: what a manifest leaves out is written here once more, and a
test compares it with the defaults of the API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from plimsoll.cli.simulate import refused
from plimsoll.core.simulation import Forecast, Step, Traffic, Trial
from plimsoll.core.simulation.forecast import chunks, summarised
from plimsoll.core.statistics.policy import Policy

HORIZON = 1800.0
KIND = "InferenceService"
#: One window of evidence must divide the minute that is the simulator's grain.
MINUTE = 60.0
STEPS: tuple[dict[str, Any], ...] = ({"weight": 10}, {"weight": 50})
MIN_DURATION, MIN_REQUESTS, WINDOW, PROBATION, HOLDBACK, PRE_PERIOD = "30s", 50, "10s", "1m", 5, "0s"
BASELINE = "Stable"
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


@dataclass(frozen=True, slots=True)
class Release:
    """A manifest's release: what is judged by, the steps with the probation as the last, seconds of a window, for how
    many the stable version is watched before the first share, and whether the baseline is a fresh one."""

    policy: Policy
    steps: tuple[Step, ...]
    window: float
    pre_period: float = 0.0
    fresh: bool = False


def release_of(text: str, path: str) -> Release:
    """The release of the first InferenceService in a manifest. Raises Trouble that names what is wrong."""
    try:
        documents = [one for one in yaml.safe_load_all(text) if isinstance(one, dict) and one.get("kind") == KIND]
    except yaml.YAMLError as error:
        raise refused(path, f"not YAML: {error}") from error
    if not documents:
        raise refused(path, f"there is no {KIND} in it")
    spec = (documents[0].get("spec") or {}).get("release") or {}
    analysis = spec.get("analysis") or {}
    if spec.get("strategy", "Canary") != "Canary":
        raise refused(path, f"strategy {spec['strategy']} compares nothing step by step: simulate a Canary")
    try:
        steps = _steps(spec)
        window = _seconds(analysis.get("window", WINDOW), "analysis.window")
        pre_period = _seconds(analysis.get("prePeriod", PRE_PERIOD), "analysis.prePeriod")
        policy = _policy(analysis, steps[0].min_requests)
    except (ValueError, TypeError, KeyError) as error:
        raise refused(path, f"spec.release: {error}") from error
    if window > MINUTE or window <= 0 or MINUTE % window:
        raise refused(path, f"analysis.window {window:g} s must divide a minute to be simulated")
    return Release(policy, steps, window, pre_period, analysis.get("baseline", BASELINE) == "Fresh")


def _policy(analysis: dict[str, Any], min_requests: int) -> Policy:
    given: dict[str, Any] = {"min_requests": min_requests}
    if "alpha" in analysis:
        given["alpha"] = float(analysis["alpha"])
    for part, name in (("errorRate", "error_margin"), ("latency", "latency_margin")):
        told = analysis.get(part) or {}
        if "margin" in told:
            given[name] = float(told["margin"])
        if not told.get("enabled", True):
            given[name] = None
    return Policy(**given)


def _steps(spec: dict[str, Any]) -> tuple[Step, ...]:
    steps = []
    for number, step in enumerate(spec.get("steps") or STEPS):
        weight = step.get("weight")
        if not isinstance(weight, int) or not 1 <= weight < 100:
            raise ValueError(f"steps[{number}].weight is {weight!r}: it must be a whole number from 1 to 99")
        least = _seconds(step.get("minDuration", MIN_DURATION), f"steps[{number}].minDuration")
        steps.append(Step(weight, least, int(step.get("minRequests", MIN_REQUESTS))))
    holdback = int(spec.get("holdback", HOLDBACK))
    if holdback:
        steps.append(Step(100 - holdback, _seconds(spec.get("probation", PROBATION), "probation"), 0))
    return tuple(steps)


def _seconds(text: Any, field: str) -> float:
    found = _DURATION.fullmatch(str(text))
    if not found or not any(found.groups()):
        raise ValueError(f"{field} is {text!r}: it must be a duration such as 30s or 5m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(3600 * hours + 60 * minutes + seconds)


def document(
    release: Release,
    *,
    noise: float,
    effects: Iterable[float],
    traffic: tuple[float, float],
    draws: tuple[int, int],
) -> dict[str, Any]:
    """The forecasts; `traffic` is requests per second and error rate, `draws` runs and seed."""
    (rate, errors), (runs, seed) = traffic, draws
    world, steps, policy = Traffic(rate, errors, noise), release.steps, release.policy
    trials = [
        Trial(policy, steps, world, effect, release.window, HORIZON, release.pre_period, release.fresh)
        for effect in effects
    ]
    forecasts = [summarised(trial.effect, chunks(trial, runs, seed)) for trial in trials]
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
