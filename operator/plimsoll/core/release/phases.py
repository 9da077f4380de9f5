"""What each phase waits for, and where it goes from there."""

from __future__ import annotations

from collections.abc import Callable

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import RevisionRef, VerdictStatus
from plimsoll.core import following
from plimsoll.core.conditions import precise, timestamp, unix
from plimsoll.core.release import gate, pace, stops
from plimsoll.core.release import turn as moves
from plimsoll.core.release.choice import refuses_stable_inputs
from plimsoll.core.release.turn import Status, Turn, enter, hold, shift
from plimsoll.core.revision import baseline_name

_UNSEEN_ROLLBACK_SECONDS = 4 * following.LAG_SECONDS
#: Holds whose time is nobody's lack of progress.
_EXCUSED = stops.FOR_A_PERSON | {"FreezeWindow"}


def _at_rest(turn: Turn, status: Status) -> Status:
    wanted, stable = turn.choice.revision, status.stable
    if wanted is not None and (stable is None or wanted.name != stable.revision):
        if gate.wait(turn.observed, status, wanted) is None:
            return moves.begin(turn, status, wanted)
        return status if stable is not None else moves.changed(status, phase="Pending")
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
    compared = pace.course_of(turn.observed).steps and not pace.stable_is_down(turn.observed, status)
    step = pace.step_text(turn.observed, 1) if compared else None
    return enter(turn, status, "Warming", step=step, baseline=_baseline(turn, status) if compared else None)


def _baseline(turn: Turn, status: Status) -> RevisionRef | None:
    """Made with the first pods of the candidate, or not at all: later ones would be no age of theirs."""
    if turn.observed.spec.release.analysis.baseline == "Stable" or status.stable is None:
        return None
    return status.stable.model_copy(update={"revision": baseline_name(status.stable.revision, status.attempt)})


def _warming(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    observed, candidate = turn.observed, status.candidate.revision
    course = pace.course_of(observed)
    if status.step is None and pace.stable_is_down(observed, status):
        # Fix forward: users get nothing now, so there is nothing to compare with and nothing to lose.
        short = stops.short_of(turn, status, pace.least(observed))
        if short is not None:
            return short
        return enter(turn, shift(turn, status, primary=candidate, weight=100), "Promoting", step=None)
    held = stops.misrouted(turn, status)
    if held is not None:
        return held
    if not course.compared:
        return enter(turn, status, "Promoting", step=None)
    needed = pace.needed(observed, course.shadow.percent if course.shadow else course.steps[0].weight)
    short = stops.short_of(turn, status, needed)
    if short is not None:
        return short
    ends = pace.pre_period_ends(observed, status, turn.evidence.windows)
    if ends is not None and turn.now < ends:
        return status
    assert status.stable is not None
    stable = status.stable.revision
    if course.shadow is not None:
        status = shift(turn, status, primary=stable, weight=0, mirror=course.shadow.percent)
        return enter(turn, status, "Shadowing", step=pace.step_text(observed, 0) if course.steps else None)
    status = shift(turn, status, primary=stable, weight=course.steps[0].weight)
    return enter(turn, status, "Analyzing", step=pace.step_text(observed, 1))


def _shadowing(turn: Turn, status: Status) -> Status:
    """Copies only: whatever the candidate does with them, users get the stable version's answers."""
    assert status.candidate is not None and status.stable is not None
    failed = stops.failed(turn, status)
    if failed is not None:
        return failed
    observed, shadow = turn.observed, pace.course_of(turn.observed).shadow
    if shadow is None:
        return _after_stage(turn, status, 0)
    if status.mirror != shadow.percent:
        short = stops.short_of(turn, status, pace.needed(observed, shadow.percent))
        if short is not None:
            return short
        status = shift(turn, status, primary=status.stable.revision, weight=0, mirror=shadow.percent)
        return enter(turn, status, "Shadowing", phase_since=status.phase_since)
    if not _passed(turn, status, shadow.stay):
        return stops.unless_decided(turn, status)
    return _after_stage(turn, status, 0)


def _analyzing(turn: Turn, status: Status) -> Status:
    observed, number = turn.observed, pace.step_number(turn.observed, status)
    step = pace.steps(observed)[number - 1] if number else None
    if step is not None and status.stable is not None and (status.weight or 0) > step.weight:
        # More than the step has, written by hand or asked for before: nothing that stops here may put it in force.
        status = shift(turn, status, primary=status.stable.revision, weight=step.weight)
    failed = stops.failed(turn, status) or stops.misrouted(turn, status)
    if failed is not None:
        return failed
    if step is None:
        return _other_course(turn, status)
    if status.weight != step.weight:
        return _raise(turn, status, step.weight)
    asked = pace.awaits(observed, status, "Analyzing")
    if asked and step.pauses:
        return hold(turn, status, "PauseStep", f"step {asked} is a pause: the command resume ends it")
    if not _passed(turn, status, step.stay):
        return stops.unless_decided(turn, status)
    if asked:
        told = f"step {asked} passed and waits for a person: the command resume goes on"
        return hold(turn, status, "AwaitingApproval", told)
    return _after_stage(turn, status, number)


def _other_course(turn: Turn, status: Status) -> Status:
    """The spec has no steps any more: on to where its strategy begins."""
    assert status.stable is not None
    if pace.course_of(turn.observed).shadow is None:
        return enter(turn, status, "Promoting", step=None)
    return enter(turn, shift(turn, status, primary=status.stable.revision, weight=0), "Warming", step=None)


def _after_stage(turn: Turn, status: Status, number: int) -> Status:
    """From stage `number`, where 0 is the shadow, to the next; after the last to what the spec wants of a pass."""
    observed, course = turn.observed, pace.course_of(turn.observed)
    if number < len(course.steps):
        following = course.steps[number]
        return enter(
            turn, status, "Analyzing", step=pace.step_text(observed, number + 1),
            phase_since=status.phase_since if number else timestamp(turn.now),
            paused_at=precise(turn.now) if following.pauses else None,
        )  # fmt: skip
    if course.then == "Keep":
        reason = f"kept the old version, as release.onPass asks: {stops.doubt(status)}"
        return moves.roll_back(turn, status, "Kept", reason)
    return enter(turn, status, "Promoting", step=None, paused_at=None)


def _raise(turn: Turn, status: Status, weight: int) -> Status:
    """To the share of the step, as soon as enough of the candidate is ready to carry it."""
    assert status.candidate is not None and status.stable is not None
    short = stops.short_of(turn, status, pace.needed(turn.observed, weight))
    if short is not None:
        return short
    return enter(
        turn,
        shift(turn, status, primary=status.stable.revision, weight=weight),
        "Analyzing",
        phase_since=status.phase_since,
    )


def _passed(turn: Turn, status: Status, stay: float) -> bool:
    """Only a pass that has just seen a new window may say so: time alone never does."""
    evidence, number = turn.evidence, pace.step_number(turn.observed, status)
    if evidence.outage is not None or status.step_since is None:
        return False
    if not evidence.fresh or evidence.verdict is None or evidence.verdict.outcome != "Pass":
        return False
    counted = [
        one for one in evidence.windows if one.step == number and one.weight == status.weight and one.gap is None
    ]
    requests = sum(one.candidate.requests for one in counted)
    enough = requests >= pace.least_requests(turn.observed, status)
    return enough and turn.now - pace.begin_of_stage(status) >= stay


def _promoting(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    observed, candidate = turn.observed, status.candidate.revision
    failed = stops.failed(turn, status) or stops.misrouted(turn, status)
    if failed is not None:
        return failed
    alone = pace.stable_is_down(observed, status)
    if status.primary != candidate:
        needed = pace.least(observed) if alone else pace.peak(observed, status)
        short = stops.short_of(turn, status, needed)
        if short is not None:
            return short
        if pace.awaits(observed, status, "Promoting"):
            told = "ready to take over, and waits for a person: the command resume goes on, abort ends it"
            return hold(turn, status, "AwaitingApproval", told)
        holdback = 0 if alone else pace.course_of(observed).holdback
        return enter(turn, shift(turn, status, primary=candidate, weight=100 - holdback), "Promoting")
    if status.step_since is None:
        return status
    if alone:
        reason = "nothing to compare with: its pods are ready and none crashes"
        verdict = VerdictStatus(
            outcome="Pass", mode="Absolute", metric="readiness", reason=reason, at=precise(turn.now)
        )
        return moves.succeed(turn, moves.changed(moves.recorded(turn, status, "Promoted", reason), verdict=verdict))
    return enter(turn, status, "Probation")


def _probation(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    failed = stops.failed(turn, status) or stops.misrouted(turn, status)
    if failed is not None:
        return failed
    if not _proven(turn, status):
        return stops.unless_decided(turn, status)
    proven = moves.changed(status, last_proven=status.candidate)
    reason = status.waiver.reason if status.waiver is not None else stops.doubt(status)
    return moves.succeed(turn, moves.recorded(turn, proven, "Promoted", reason))


def _proven(turn: Turn, status: Status) -> bool:
    """The time is over, and a window just seen bears the candidate out; without a comparison it need not fail."""
    verdict = turn.evidence.verdict
    if status.step_since is None or turn.evidence.outage is not None or verdict is None:
        return False
    shared = [one for one in turn.evidence.windows if one.weight == status.weight and one.gap is None]
    heard = any(one.candidate.requests for one in shared)
    borne_out = (verdict.outcome == "Pass" and heard) or verdict.mode == "Absolute" or status.waiver is not None
    return borne_out and turn.now - unix(status.step_since) >= seconds(turn.observed.spec.release.probation)


def _rolling_back(turn: Turn, status: Status) -> Status:
    swapped_at = unix(status.routed_at) if status.routed_at else turn.now
    seen = status.followed_epoch >= status.epoch
    if not seen and turn.now - swapped_at < _UNSEEN_ROLLBACK_SECONDS:
        return status
    verdict = status.verdict
    if seen and verdict is not None and verdict.outcome == "Fail" and swapped_at >= unix(verdict.at) - 0.001:
        status = moves.changed(status, rollback_seconds=round(turn.now - unix(verdict.at), 3))
    back = bool(status.history) and status.history[0].outcome in {"Superseded", "Kept"}
    status = moves.retire_candidate(turn, status)
    return enter(turn, status, "Idle") if back else enter(turn, status, "RolledBack", reason=status.reason)


def _held(turn: Turn, status: Status) -> Status:
    """Evidence still counts against the candidate. What held and is gone lets the release go on."""
    reason, phase = status.held_reason, status.held_phase or "Preparing"
    if phase not in {"Preparing", "Warming"}:
        failed = stops.failed(turn, status)
        if failed is not None:
            return failed
    asked = reason in stops.FOR_A_PERSON and pace.awaits(turn.observed, status, phase)
    frozen = reason == "FreezeWindow" and gate.freeze(turn.observed, status)
    if reason in moves.BY_A_PERSON or asked or frozen:
        return status
    excused = _excused(turn, status)
    if excused:
        status = moves.changed(status, progress_at=timestamp(turn.now))
    elif (
        pace.overdue(turn.observed, status)
        and stops.rolls_back(turn, status)
        and turn.evidence.outage is None
        and reason != "SignatureChanged"
    ):
        return moves.roll_back(turn, status, "RolledBack", f"no progress in time: {status.reason or reason}")
    if stops.still_seen(turn, status):
        return status
    resumed = moves.go_on(turn, status)
    inner = PHASES[phase](turn, resumed)
    if inner.phase == "Held":
        return hold(turn, status, inner.held_reason or "", inner.reason or "")
    stuck = (inner.phase, inner.step, inner.epoch) == (phase, status.step, status.epoch)
    return status if stuck and reason in stops.LATE and not excused else inner


def _excused(turn: Turn, status: Status) -> bool:
    """Whether what held is over and its time was nobody's lack of progress: the deadline starts anew."""
    back = status.held_reason == "StableDown" and not pace.stable_is_down(turn.observed, status)
    return back or status.held_reason in _EXCUSED


#: By the phase of the status.
PHASES: dict[str, Callable[[Turn, Status], Status]] = {
    "Pending": _at_rest,
    "Idle": _at_rest,
    "RolledBack": _at_rest,
    "Preparing": _preparing,
    "Warming": _warming,
    "Shadowing": _shadowing,
    "Analyzing": _analyzing,
    "Promoting": _promoting,
    "Probation": _probation,
    "RollingBack": _rolling_back,
    "Held": _held,
}
