"""How far a release may go at a time: its steps, and the pods that each of them needs. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import InferenceServiceStatus as Status
from plimsoll.core.conditions import unix
from plimsoll.core.release.course import PROMOTION, Course, Stage, course
from plimsoll.core.release.observed import Observed
from plimsoll.facts import Window

#: Scrapes are not punctual: a window, and the time between two looks, may be this much shorter than the spec says.
EARLY_SECONDS = 0.05


def course_of(observed: Observed) -> Course:
    """What the strategy of the spec comes to."""
    return course(observed.spec)


def steps(observed: Observed) -> Sequence[Stage]:
    """The stages at which both versions answer users; none where all users change at once."""
    return course_of(observed).steps


def stage(observed: Observed, status: Status) -> Stage | None:
    """The stage that the release is on; None before the first."""
    number = step_number(observed, status)
    return steps(observed)[number - 1] if number else None


def phase_of(status: Status) -> str | None:
    """The phase; of a release that is held the one that it will go on with."""
    return status.held_phase if status.phase == "Held" else status.phase


def measured(status: Status) -> bool:
    """Whether the candidate gets requests, be they copies."""
    return status.candidate is not None and bool(status.weight or status.mirror)


def precedes(observed: Observed, status: Status) -> bool:
    """Whether the stable version is watched before the candidate's first share, to learn how noisy it is. Copies, and
    pods that are as fresh as the candidate's, come with a share of their own."""
    waits = status.candidate is not None and status.step is not None and phase_of(status) == "Warming"
    return waits and not measured(status) and status.baseline is None and course_of(observed).shadow is None


def pre_period_ends(observed: Observed, status: Status, windows: Sequence[Window]) -> float | None:
    """Until when the candidate waits for its first share, in Unix seconds; None where it does not."""
    length = seconds(observed.spec.release.analysis.pre_period)
    if not length or not precedes(observed, status) or status.phase_since is None:
        return None
    # After a hold the phase begins anew, and what was seen before it counts all the same.
    return min([unix(status.phase_since), *(one.start for one in windows[:1])]) + length


def least_requests(observed: Observed, status: Status) -> int:
    """How many requests of the candidate must have been counted where it is now."""
    shadow, current = course_of(observed).shadow, stage(observed, status)
    if status.mirror:
        return shadow.requests if shadow else 0
    return current.requests if current else 0


def awaits(observed: Observed, status: Status, phase: str | None) -> str | None:
    """What a person has to approve before the release leaves `phase`, as `status.approved` will name it."""
    current = stage(observed, status)
    if phase == "Analyzing" and current is not None and current.manual and status.approved != status.step:
        return status.step
    if phase == "Promoting" and course_of(observed).then == "Hold" and status.approved != PROMOTION:
        return None if stable_is_down(observed, status) or status.primary == _candidate(status) else PROMOTION
    return None


def _candidate(status: Status) -> str | None:
    return status.candidate.revision if status.candidate else None


def step_number(observed: Observed, status: Status) -> int:
    """The step that the release is on or goes to, from 1, within those that the spec has now; 0 before the first."""
    written = int(status.step.partition("/")[0]) if status.step else 0
    return min(written, len(steps(observed)))


def step_text(observed: Observed, number: int) -> str:
    """`1/3`."""
    return f"{number}/{len(steps(observed))}"


def share(replicas: int, weight: int) -> int:
    """Pods that `weight` percent need: 4 replicas at 10 % need 1, at 50 % 2, at 51 % 3."""
    return max(1, math.ceil(replicas * weight / 100))


def needed(observed: Observed, weight: int) -> int:
    """Ready pods of the candidate before it takes `weight` percent; in a pool every pod splits, so each of them."""
    return share(observed.replicas, weight) if observed.pool is None else observed.pool.ready


def to_carry(observed: Observed, status: Status, phase: str) -> int | None:
    """The percent of the requests that the candidate has to bear in a phase before it takes over; None: all of them."""
    found, current = course_of(observed), stage(observed, status)
    if found.shadow is not None and (phase != "Analyzing" or status.mirror):
        first = found.steps[0].weight if found.steps and phase != "Warming" else 0
        return max(found.shadow.percent, first)
    return max(current.weight, status.weight or 0) if current is not None else None


def least(observed: Observed) -> int:
    """Ready pods of a candidate that is to serve although nothing does now."""
    return 1 if observed.pool is None else observed.pool.ready


def peak(observed: Observed, status: Status) -> int:
    """What the stable revision has or should have at the moment: as much as a new primary must bring."""
    if status.stable is None:
        return 1
    if observed.pool is not None:
        return observed.pool.ready
    deployment = observed.deployments.get(status.stable.revision) or {}
    have = int((deployment.get("spec") or {}).get("replicas", 0))
    return max(have, observed.ready(status.stable.revision), observed.spec.runtime.replicas)


def stable_is_down(observed: Observed, status: Status) -> bool:
    """Whether nothing serves that a release could be compared with."""
    if status.stable is None:
        return True
    deployment = observed.deployments.get(status.stable.revision) or {}
    return observed.ready(status.stable.revision) == 0 and not (deployment.get("status") or {}).get("readyReplicas")


def deadline(observed: Observed, status: Status) -> float | None:
    """Until when the release has to make progress, in Unix seconds. What it is to stay anyway is no lack of it."""
    if status.progress_at is None:
        return None
    since = max(unix(status.progress_at), _stays_until(observed, status))
    return since + seconds(observed.spec.release.progress_deadline)


def _stays_until(observed: Observed, status: Status) -> float:
    """When the time is over that the release is to stay where it is, in Unix seconds; a step's own counts as well."""
    if (ends := pre_period_ends(observed, status, ())) is not None:
        return ends
    if status.step_since is None:
        return 0.0
    phase, begun = phase_of(status), unix(status.step_since)
    if phase == "Probation":
        return begun + seconds(observed.spec.release.probation)
    shadow, current = course_of(observed).shadow, stage(observed, status)
    if phase == "Shadowing" and shadow is not None:
        return begun + shadow.stay
    if phase == "Analyzing" and current is not None:
        return begin_of_stage(status) + current.stay
    return 0.0


def begin_of_stage(status: Status) -> float:
    """Since when the candidate is where it is, in Unix seconds; the share must be in force."""
    begun = unix(status.step_since) if status.step_since else 0.0
    return max(begun, unix(status.paused_at)) if status.paused_at else begun


def overdue(observed: Observed, status: Status) -> bool:
    """Whether the release made no progress for longer than the spec allows."""
    due = deadline(observed, status)
    return due is not None and observed.now >= due
