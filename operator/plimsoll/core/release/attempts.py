"""The attempts of one revision, which share one alpha from the first until a comparison fails it or it is promoted."""

from __future__ import annotations

from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus, VerdictStatus
from plimsoll.core.release import pace, sources


def number(status: InferenceServiceStatus, revision: str) -> int:
    """Which of them the next attempt of this revision is, from 1."""
    return 1 + _undecided(status, revision)


def undecided(spec: InferenceServiceSpec, status: InferenceServiceStatus, outcome: str) -> int:
    """How many have used up a part of alpha, now that the candidate's attempt ends like this.

    Alpha bounds the chance that a healthy revision ever fails, so that after a failure, as after a promotion, it is
    counted anew. What the breaker, a judge or a person took back could have failed, too; what was never judged could
    not.
    """
    assert status.candidate is not None
    before, verdict = _undecided(status, status.candidate.revision), status.verdict
    if outcome in {"Promoted", "Kept"}:
        return 0
    if verdict is None or _never_shared(status, verdict):
        return before
    return 0 if verdict.outcome == "Fail" and _has_alpha(spec, verdict) else before + 1


def _undecided(status: InferenceServiceStatus, revision: str) -> int:
    """As far as the history goes back."""
    latest = next((one for one in status.history if one.revision == revision), None)
    return (latest.undecided or 0) if latest is not None else 0


def _never_shared(status: InferenceServiceStatus, verdict: VerdictStatus) -> bool:
    """Whether it crashed before it was given anything: no comparison could have failed it."""
    return verdict.metric == "crashes" and pace.phase_of(status) in {"Preparing", "Warming"}


def _has_alpha(spec: InferenceServiceSpec, verdict: VerdictStatus) -> bool:
    """Whether what decided has a part of alpha: a comparison, or a bound that is tested. The breaker, crashes, judges
    and counters have none."""
    other = {one.name for one in sources.demands(spec.release.analysis) if one.kind in {"Judge", "Counter"}}
    return verdict.mode != "Breaker" and verdict.metric not in other
