"""How far a release may go at a time: its steps, and the pods that each of them needs. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import InferenceServiceStatus as Status
from plimsoll.api.inferenceservice import Step
from plimsoll.core.conditions import unix
from plimsoll.core.release.observed import Observed


def steps(observed: Observed) -> Sequence[Step]:
    """The steps of the release; none for Recreate."""
    release = observed.spec.release
    return release.steps if release.strategy == "Canary" else ()


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
    """Until when the release has to make progress, in Unix seconds. The probation's own time is no lack of it."""
    if status.progress_at is None:
        return None
    release, since = observed.spec.release, unix(status.progress_at)
    if "Probation" in (status.phase, status.held_phase) and status.step_since is not None:
        since = max(since, unix(status.step_since) + seconds(release.probation))
    return since + seconds(release.progress_deadline)


def overdue(observed: Observed, status: Status) -> bool:
    """Whether the release made no progress for longer than the spec allows."""
    due = deadline(observed, status)
    return due is not None and observed.now >= due
