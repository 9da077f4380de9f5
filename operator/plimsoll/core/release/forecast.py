"""How long it will take: what the judge would say of the windows to come, if traffic and rates stay as they are.

The drift of the evidence is read from the judge itself: it is given the windows so far and then expected counts, so a
forecast knows every criterion, minimum and noise that the verdict knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from plimsoll.core.verdict import Policy, ahead
from plimsoll.facts import ArmCounts, Window

#: How far ahead is looked, in seconds (the longest progressDeadline); in windows, each longer than the one before.
HORIZON = 7 * 24 * 3600.0
_POINTS = 60
#: More windows of the past would cost more than they tell.
_PAST = 100
#: What of a policy speaks of errors and latency: what else is judged does not depend on the number of requests alone.
_OF_REQUESTS = (
    "alpha", "beta", "error_margin", "latency_margin", "min_requests", "negligible", "negligible_latency",
    "error_floor", "latency_floor_seconds", "cv_floor", "noise_seconds",
)  # fmt: skip
#: The regression whose discovery is forecast: so many times the stable failure rate.
EFFECT = 2.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a second of both arms together, and what comes of the stable ones: counts, for their ratios."""

    rate: float
    stable: ArmCounts


@dataclass(frozen=True, slots=True)
class StepUnderWay:
    """A step under way: windows so far, what they are judged by, the candidate's percent, and the step's number.

    `even` is whether it is compared with a baseline, which gets no more than the candidate.
    """

    windows: tuple[Window, ...]
    policy: Policy
    weight: int
    step: int
    even: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """In how many seconds, from now, and after how many more requests of the candidate; None: not in sight."""

    passes: float | None
    fails: float | None
    requests: float


def traffic(windows: Sequence[Window]) -> Traffic | None:
    """Of the windows that count; None while there is none with requests of the stable arm."""
    counted = [one for one in windows if one.gap is None]
    seconds = sum(one.end - one.start for one in counted)
    total = sum(one.stable.requests + one.candidate.requests + sum(one.turned_away) for one in counted)
    stable = _summed([one.stable for one in counted])
    return Traffic(total / seconds, stable) if stable.requests and seconds > 0 else None


def step_under_way(
    windows: Sequence[Window], policy: Policy, weight: int, step: int, *, even: bool = False
) -> StepUnderWay | None:
    """As far as errors and latency decide; None when neither does."""
    if policy.error_margin is None and policy.latency_margin is None:
        return None
    asked = Policy(**{name: getattr(policy, name) for name in _OF_REQUESTS})
    return StepUnderWay(tuple(windows[-_PAST:]), asked, weight, step, even)


def outlook(under_way: StepUnderWay, found: Traffic, horizon: float) -> Outlook:
    """When a candidate that equals the stable version passes, and when one of EFFECT times its failures fails.

    `horizon` in seconds is how far is looked.
    """
    return Outlook(
        _reached("Pass", under_way, found, (1.0, horizon)),
        _reached("Fail", under_way, found, (EFFECT, horizon)) if found.stable.failures else None,
        found.rate * under_way.weight / 100,
    )


def remedies(under_way: StepUnderWay, found: Traffic, deadline: float) -> tuple[str, ...]:
    """What would let a healthy candidate pass within `deadline` seconds, each for itself."""
    tried = {
        "a first step of 50 percent": replace(under_way, weight=50),
        "minRequests: 0": replace(under_way, policy=replace(under_way.policy, min_requests=0)),
        "twice the margins": replace(under_way, policy=_wider(under_way.policy)),
    }
    return tuple(
        said
        for said, one in tried.items()
        if one != under_way and _reached("Pass", one, found, (1.0, deadline)) is not None
    )


def _wider(policy: Policy) -> Policy:
    margins = (policy.error_margin, policy.latency_margin)
    error, latency = (None if one is None else 2 * one for one in margins)
    return replace(policy, error_margin=error, latency_margin=latency)


def _reached(outcome: str, under_way: StepUnderWay, found: Traffic, world: tuple[float, float]) -> float | None:
    effect, horizon = world
    start = under_way.windows[-1].end if under_way.windows else 0.0
    ends = np.geomspace(min(10.0, horizon), horizon, _POINTS)
    told = ahead(under_way.windows, _expected(under_way, found, effect, start + ends), under_way.policy)
    return next((float(end) for end, one in zip(ends, told, strict=True) if one.outcome == outcome), None)


def _expected(
    under_way: StepUnderWay, found: Traffic, effect: float, ends: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> list[Window]:
    """Windows with the counts that are expected; whole numbers whose sums are nowhere more than a half off."""
    start, first = (under_way.windows[-1].end, under_way.windows[-1].index) if under_way.windows else (0.0, 0)
    share, before, made = under_way.weight / 100, (ArmCounts(), ArmCounts()), []
    other = min(share, 1 - share) if under_way.even else 1 - share
    starts = [start, *ends[:-1]]
    for number, (begin, end) in enumerate(zip(starts, ends, strict=True), start=1):
        sent = found.rate * (float(end) - start)
        so_far = (_scaled(found.stable, sent * other, 1.0), _scaled(found.stable, sent * share, effect))
        stable, candidate = (_difference(now, then) for now, then in zip(so_far, before, strict=True))
        index = first + number
        made.append(Window(index, float(begin), float(end), under_way.step, under_way.weight, stable, candidate))
        before = so_far
    return made


def _scaled(arm: ArmCounts, requests: float, effect: float) -> ArmCounts:
    scale, n = requests / arm.requests, round(requests)
    timed = min(round(arm.timed * scale), n)
    return ArmCounts(
        requests=n,
        failures=min(round(arm.failures * scale * effect), n),
        client_errors=round(arm.client_errors * scale),
        timed=timed,
        slower=tuple(min(round(count * scale), timed) for count in arm.slower),
    )


def _difference(now: ArmCounts, then: ArmCounts) -> ArmCounts:
    earlier = then.slower or (0,) * len(now.slower)
    requests, timed = now.requests - then.requests, now.timed - then.timed
    return ArmCounts(
        requests=requests,
        failures=min(now.failures - then.failures, requests),
        client_errors=min(now.client_errors - then.client_errors, requests),
        timed=timed,
        slower=tuple(min(a - b, timed) for a, b in zip(now.slower, earlier, strict=True)),
    )


def _summed(arms: Sequence[ArmCounts]) -> ArmCounts:
    edges = max((len(one.slower) for one in arms), default=0)
    return ArmCounts(
        requests=sum(one.requests for one in arms),
        failures=sum(one.failures for one in arms),
        client_errors=sum(one.client_errors for one in arms),
        timed=sum(one.timed for one in arms),
        slower=tuple(sum(one.slower[edge] for one in arms if one.slower) for edge in range(edges)),
    )
