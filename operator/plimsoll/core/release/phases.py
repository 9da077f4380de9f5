"""What each phase waits for, and where it goes from there."""

from __future__ import annotations

from collections.abc import Callable

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import VerdictStatus
from plimsoll.core import route
from plimsoll.core.conditions import precise, unix
from plimsoll.core.release import pace, stops
from plimsoll.core.release import turn as moves
from plimsoll.core.release.choice import refuses_stable_inputs
from plimsoll.core.release.turn import Status, Turn, enter, hold, shift

_UNSEEN_ROLLBACK_SECONDS = 4 * route.LAG_SECONDS
#: Holds that only a person or a new spec ends.
_MANUAL = {"Paused", "Aborted"}


def _at_rest(turn: Turn, status: Status) -> Status:
    wanted, stable = turn.choice.revision, status.stable
    if wanted is not None and (stable is None or wanted.name != stable.revision):
        return moves.begin(turn, status, wanted)
    if stable is None:
        return moves.changed(status, phase="Pending")
    if status.phase == "RolledBack" and wanted is not None and not turn.choice.passed_over:
        return enter(turn, status, "Idle")
    return status


def _preparing(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    revision = turn.observed.revision(status.candidate.revision)
    if revision is None:
        return stops.unless_overdue(turn, status, "the revision could not be recorded")
    stable = turn.observed.revision(status.stable.revision) if status.stable else None
    refused = refuses_stable_inputs(revision, stable) if stable else None
    if refused and not turn.observed.spec.release.allow_signature_change:
        remedy = "set spec.release.allowSignatureChange if your clients are ready for it"
        return hold(
            turn,
            status,
            "SignatureChanged",
            f"requests that version {stable.version if stable else ''} accepts would fail: {refused}; {remedy}",
        )
    # A step says that there is something to compare with; without one the candidate takes over once it is ready.
    compared = pace.steps(turn.observed) and not pace.stable_is_down(turn.observed, status)
    return enter(turn, status, "Warming", step=pace.step_text(turn.observed, 1) if compared else None)


def _warming(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    observed, candidate = turn.observed, status.candidate.revision
    plan = pace.steps(observed)
    if status.step is None and pace.stable_is_down(observed, status):
        # Fix forward: users get nothing now, so there is nothing to compare with and nothing to lose.
        if observed.ready(candidate) >= pace.least(observed):
            return enter(turn, shift(turn, status, primary=candidate, weight=100), "Promoting", step=None)
        return stops.short_of(turn, status, pace.least(observed))
    held = stops.misrouted(turn, status)
    if held is not None:
        return held
    if not plan:
        return enter(turn, status, "Promoting", step=None)
    needed = pace.needed(observed, plan[0].weight)
    if observed.ready(candidate) < needed:
        return stops.short_of(turn, status, needed)
    assert status.stable is not None
    status = shift(turn, status, primary=status.stable.revision, weight=plan[0].weight)
    return enter(turn, status, "Analyzing", step=pace.step_text(observed, 1))


def _analyzing(turn: Turn, status: Status) -> Status:
    failed = stops.failed(turn, status) or stops.misrouted(turn, status)
    if failed is not None:
        return failed
    observed, number = turn.observed, pace.step_number(turn.observed, status)
    if number == 0:
        return enter(turn, status, "Promoting", step=None)
    step = pace.steps(observed)[number - 1]
    if status.weight != step.weight:
        return _raise(turn, status, step.weight)
    if not _step_passed(turn, status, number):
        return stops.unless_decided(turn, status)
    if number == len(pace.steps(observed)):
        return enter(turn, status, "Promoting", step=None)
    return enter(turn, status, "Analyzing", step=pace.step_text(observed, number + 1), phase_since=status.phase_since)


def _raise(turn: Turn, status: Status, weight: int) -> Status:
    """To the share of the step, as soon as enough of the candidate is ready to carry it."""
    assert status.candidate is not None and status.stable is not None
    needed = pace.needed(turn.observed, weight)
    if turn.observed.ready(status.candidate.revision) < needed:
        return stops.short_of(turn, status, needed)
    return enter(
        turn,
        shift(turn, status, primary=status.stable.revision, weight=weight),
        "Analyzing",
        phase_since=status.phase_since,
    )


def _step_passed(turn: Turn, status: Status, number: int) -> bool:
    """Only a pass that has just seen a new window may say so: time alone never does."""
    evidence, step = turn.evidence, pace.steps(turn.observed)[number - 1]
    if evidence.outage is not None or status.step_since is None:
        return False
    if not evidence.fresh or evidence.verdict is None or evidence.verdict.outcome != "Pass":
        return False
    counted = [
        one for one in evidence.windows if one.step == number and one.weight == status.weight and one.gap is None
    ]
    requests = sum(one.candidate.requests for one in counted)
    return requests >= step.min_requests and turn.now - unix(status.step_since) >= seconds(step.min_duration)


def _promoting(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    observed, candidate = turn.observed, status.candidate.revision
    failed = stops.failed(turn, status) or stops.misrouted(turn, status)
    if failed is not None:
        return failed
    alone = pace.stable_is_down(observed, status)
    if status.primary != candidate:
        needed = pace.least(observed) if alone else pace.peak(observed, status)
        if observed.ready(candidate) < needed:
            return stops.short_of(turn, status, needed)
        holdback = observed.spec.release.holdback if pace.steps(observed) and not alone else 0
        return enter(
            turn, shift(turn, status, primary=candidate, weight=100 - holdback), "Promoting", reason=status.reason
        )
    if status.step_since is None:
        return status
    if alone:
        reason = "nothing to compare with: its pods are ready and none crashes"
        verdict = VerdictStatus(
            outcome="Pass", mode="Absolute", metric="readiness", reason=reason, at=precise(turn.now)
        )
        return moves.succeed(turn, moves.changed(moves.recorded(turn, status, "Promoted", reason), verdict=verdict))
    # What waives the evidence waives it to the end.
    return enter(turn, status, "Probation", reason=status.reason)


def _probation(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    failed = stops.failed(turn, status) or stops.misrouted(turn, status)
    if failed is not None:
        return failed
    if not _proven(turn, status):
        return stops.unless_decided(turn, status)
    proven = moves.changed(status, last_proven=status.candidate)
    return moves.succeed(turn, moves.recorded(turn, proven, "Promoted", status.reason or stops.doubt(status)))


def _proven(turn: Turn, status: Status) -> bool:
    """The time is over, and a window just seen bears the candidate out; without a comparison it need not fail."""
    verdict = turn.evidence.verdict
    if status.step_since is None or turn.evidence.outage is not None or verdict is None:
        return False
    shared = [one for one in turn.evidence.windows if one.weight == status.weight and one.gap is None]
    heard = any(one.candidate.requests for one in shared)
    borne_out = (verdict.outcome == "Pass" and heard) or verdict.mode == "Absolute" or status.reason is not None
    return borne_out and turn.now - unix(status.step_since) >= seconds(turn.observed.spec.release.probation)


def _rolling_back(turn: Turn, status: Status) -> Status:
    swapped_at = unix(status.routed_at) if status.routed_at else turn.now
    seen = status.followed_epoch >= status.epoch
    if not seen and turn.now - swapped_at < _UNSEEN_ROLLBACK_SECONDS:
        return status
    verdict = status.verdict
    if seen and verdict is not None and verdict.outcome == "Fail" and swapped_at >= unix(verdict.at) - 0.001:
        status = moves.changed(status, rollback_seconds=round(turn.now - unix(verdict.at), 3))
    back = bool(status.history) and status.history[0].outcome == "Superseded"
    status = moves.retire_candidate(turn, status)
    return enter(turn, status, "Idle") if back else enter(turn, status, "RolledBack", reason=status.reason)


def _held(turn: Turn, status: Status) -> Status:
    """Evidence still counts against the candidate. What held and is gone lets the release go on."""
    reason, phase = status.held_reason, status.held_phase or "Preparing"
    if phase not in {"Preparing", "Warming"}:
        failed = stops.failed(turn, status)
        if failed is not None:
            return failed
    if reason in _MANUAL:
        return status
    if (
        pace.overdue(turn.observed, status)
        and stops.rolls_back(turn, status)
        and turn.evidence.outage is None
        and reason != "SignatureChanged"
    ):
        return moves.roll_back(turn, status, "RolledBack", f"no progress in time: {status.reason or reason}")
    resumed = moves.go_on(turn, status)
    inner = PHASES[phase](turn, resumed)
    if inner.phase == "Held":
        return hold(turn, status, inner.held_reason or "", inner.reason or "")
    stuck = (inner.phase, inner.step, inner.epoch) == (phase, status.step, status.epoch)
    return status if stuck and reason == "ProgressDeadline" else inner


#: By the phase of the status.
PHASES: dict[str, Callable[[Turn, Status], Status]] = {
    "Pending": _at_rest,
    "Idle": _at_rest,
    "RolledBack": _at_rest,
    "Preparing": _preparing,
    "Warming": _warming,
    "Analyzing": _analyzing,
    "Promoting": _promoting,
    "Probation": _probation,
    "RollingBack": _rolling_back,
    "Held": _held,
}
