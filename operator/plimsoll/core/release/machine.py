"""The state machine of a release: one pass makes at most one transition, and only from what was seen.

    Pending ─┐
    Idle ────┼→ Preparing → Warming → Analyzing(step) → Promoting → Probation → Idle
    RolledBack┘        from any of them: Held(reason) and back, RollingBack → RolledBack
"""

from __future__ import annotations

from collections.abc import Callable

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import VerdictStatus
from plimsoll.core import route
from plimsoll.core.conditions import precise, shortened, timestamp, unix
from plimsoll.core.release import commands
from plimsoll.core.release import turn as moves
from plimsoll.core.release.choice import refuses_stable_inputs
from plimsoll.core.release.observed import Trouble, trouble
from plimsoll.core.release.turn import Status, Turn, enter, hold, shift

#: Public connections live 60 s ± 20 %, so after this a revision without a share has none left.
DRAIN_SECONDS = 75.0
_UNSEEN_ROLLBACK_SECONDS = 4 * route.LAG_SECONDS
#: Holds that only a person or a new spec ends.
_MANUAL = {"Paused", "Aborted"}


def decide(turn: Turn) -> Status:
    """The status that this pass wants: the intent of everything that is done after it is written."""
    before = turn.observed.status
    status = _recovered(turn, before)
    status = commands.obey(turn, status) if status is before else status
    if status is not before:
        return status
    status = _dropped(turn, _noted(turn, status))
    return _superseded(turn, status) or _PHASES[status.phase or "Pending"](turn, status)


# --- before the phase has its say -----------------------------------------------------------------------------------


def _recovered(turn: Turn, status: Status) -> Status:
    """A status that was lost (a restored backup, say): what the route names as primary is what is stable."""
    if status.attempt or status.stable is not None:
        return status
    written = route.read(turn.observed.config_maps.get(route.name(turn.observed.name)))
    revision = turn.observed.revision(written.get("primary")) if written else None
    if revision is None:
        return status
    fields = {"phase": "Idle", "stable": moves.ref(revision), "attempt": 1}
    return shift(turn, moves.changed(status, **fields), primary=revision.name, weight=0)


def _noted(turn: Turn, status: Status) -> Status:
    """What the pods were seen to do: the epoch they follow, since when the share is in force, the verdict."""
    evidence = turn.evidence
    if evidence.followed and status.followed_epoch < status.epoch:
        status = moves.changed(status, followed_epoch=status.epoch)
    shared = status.candidate is not None and (status.weight or 0) > 0
    if evidence.followed and shared and status.step_since is None:
        status = moves.changed(status, step_since=precise(evidence.seen_at or turn.now))
    if evidence.fresh and evidence.verdict is not None:
        found = evidence.verdict
        verdict = VerdictStatus(
            outcome=found.outcome, mode=found.mode, metric=found.metric, reason=shortened(found.reason, 1024), at=precise(turn.now)
        )
        status = moves.changed(status, verdict=verdict)
    if evidence.fresh and _sees_again(turn):
        # An outage is nobody's lack of progress: the deadline starts anew.
        status = moves.changed(status, progress_at=timestamp(turn.now))
    return status


def _sees_again(turn: Turn) -> bool:
    windows = turn.evidence.windows
    return len(windows) > 1 and windows[-1].gap is None and windows[-2].gap is not None


def _dropped(turn: Turn, status: Status) -> Status:
    """Without the revisions whose last public connections have ended."""
    if status.followed_epoch < status.epoch:
        return status
    left = tuple(one for one in status.retiring if turn.now - unix(one.since) < DRAIN_SECONDS)
    return status if len(left) == len(status.retiring) else moves.changed(status, retiring=left)


def _superseded(turn: Turn, status: Status) -> Status | None:
    """The spec asks for another revision than the candidate: a new attempt, or back to the stable one at once.

    Once the candidate is primary a new spec waits for the end of the probation.
    """
    wanted, candidate = turn.choice.revision, status.candidate
    if wanted is None or candidate is None or status.phase == "RollingBack" or wanted.name == candidate.revision:
        return None
    if status.stable is not None and wanted.name == status.stable.revision:
        return moves.roll_back(turn, status, "Superseded", f"the spec went back to version {status.stable.version}")
    serves = status.primary == candidate.revision and (status.phase != "Held" or not moves.stable_is_down(turn.observed, status))
    if serves:
        return None
    status = moves.recorded(turn, status, "Superseded", f"version {wanted.version} (revision {wanted.name}) took its place")
    if status.stable is not None:
        status = shift(turn, status, primary=status.stable.revision, weight=0)
    else:
        status = moves.changed(status, primary=None)
    return moves.begin(turn, status, wanted)


# --- the phases -----------------------------------------------------------------------------------------------------


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
        return _unless_overdue(turn, status, "the revision could not be recorded")
    stable = turn.observed.revision(status.stable.revision) if status.stable else None
    refused = refuses_stable_inputs(revision, stable) if stable else None
    if refused and not turn.observed.spec.release.allow_signature_change:
        remedy = "set release.allowSignatureChange if your clients are ready for it"
        return hold(turn, status, "SignatureChanged", f"requests that version {stable.version if stable else ''} accepts would fail: {refused}; {remedy}")
    # A step says that there is something to compare with; without one the candidate may become primary once it is ready.
    compared = moves.steps(turn.observed) and not moves.stable_is_down(turn.observed, status)
    return enter(turn, status, "Warming", step=moves.step_text(turn.observed, 1) if compared else None)


def _warming(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    observed, candidate = turn.observed, status.candidate.revision
    plan = moves.steps(observed)
    if status.step is None and moves.stable_is_down(observed, status):
        # Fix forward: users get nothing now, so there is nothing to compare with and nothing to lose.
        if observed.ready(candidate):
            return enter(turn, shift(turn, status, primary=candidate, weight=100), "Promoting", step=None)
        return _short_of(turn, status, 1)
    if not plan:
        return enter(turn, status, "Promoting", step=None)
    needed = moves.share(observed.spec.runtime.replicas, plan[0].weight)
    if observed.ready(candidate) < needed:
        return _short_of(turn, status, needed)
    assert status.stable is not None
    status = shift(turn, status, primary=status.stable.revision, weight=plan[0].weight)
    return enter(turn, status, "Analyzing", step=moves.step_text(observed, 1))


def _analyzing(turn: Turn, status: Status) -> Status:
    failed = _failed(turn, status)
    if failed is not None:
        return failed
    observed, number = turn.observed, moves.step_number(turn.observed, status)
    if number == 0:
        return enter(turn, status, "Promoting", step=None)
    step = moves.steps(observed)[number - 1]
    if status.weight != step.weight:
        return _raise(turn, status, step.weight)
    if not _step_passed(turn, status, number):
        return _unless_overdue(turn, status, _doubt(status)) if turn.evidence.outage is None else status
    if number == len(moves.steps(observed)):
        return enter(turn, status, "Promoting", step=None)
    return enter(turn, status, "Analyzing", step=moves.step_text(observed, number + 1), phase_since=status.phase_since)


def _raise(turn: Turn, status: Status, weight: int) -> Status:
    """To the share of the step, as soon as enough of the candidate is ready to carry it."""
    assert status.candidate is not None and status.stable is not None
    needed = moves.share(turn.observed.spec.runtime.replicas, weight)
    if turn.observed.ready(status.candidate.revision) < needed:
        return _short_of(turn, status, needed)
    return enter(
        turn, shift(turn, status, primary=status.stable.revision, weight=weight), "Analyzing", phase_since=status.phase_since
    )


def _step_passed(turn: Turn, status: Status, number: int) -> bool:
    """Only a pass that has just seen a new window may say so: time alone never does."""
    evidence, step = turn.evidence, moves.steps(turn.observed)[number - 1]
    if not evidence.fresh or evidence.verdict is None or evidence.verdict.outcome != "Pass" or status.step_since is None:
        return False
    counted = [one for one in evidence.windows if one.step == number and one.weight == status.weight and one.gap is None]
    requests = sum(one.candidate.requests for one in counted)
    return requests >= step.min_requests and turn.now - unix(status.step_since) >= seconds(step.min_duration)


def _promoting(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    observed, candidate = turn.observed, status.candidate.revision
    failed = _failed(turn, status)
    if failed is not None:
        return failed
    alone = moves.stable_is_down(observed, status)
    if status.primary != candidate:
        needed = 1 if alone else moves.peak(observed, status)
        if observed.ready(candidate) < needed:
            return _short_of(turn, status, needed)
        holdback = observed.spec.release.holdback if moves.steps(observed) and not alone else 0
        return enter(turn, shift(turn, status, primary=candidate, weight=100 - holdback), "Promoting", reason=status.reason)
    if status.step_since is None:
        return status
    if alone:
        reason = "nothing to compare with: its pods are ready and none crashes"
        verdict = VerdictStatus(outcome="Pass", mode="Absolute", metric="readiness", reason=reason, at=precise(turn.now))
        return moves.succeed(turn, moves.changed(moves.recorded(turn, status, "Promoted", reason), verdict=verdict))
    return enter(turn, status, "Probation")


def _probation(turn: Turn, status: Status) -> Status:
    assert status.candidate is not None
    failed = _failed(turn, status)
    if failed is not None:
        return failed
    evidence, over = turn.evidence, False
    if status.step_since is not None and evidence.fresh and evidence.outage is None:
        over = turn.now - unix(status.step_since) >= seconds(turn.observed.spec.release.probation)
    if not over:
        return status
    proven = moves.changed(status, last_proven=status.candidate)
    reason = status.verdict.reason if status.verdict else "probation ended"
    return moves.succeed(turn, moves.recorded(turn, proven, "Promoted", reason))


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
        failed = _failed(turn, status)
        if failed is not None:
            return failed
    if reason in _MANUAL:
        return status
    if moves.overdue(turn, status) and _rolls_back(turn, status) and turn.evidence.outage is None and reason != "SignatureChanged":
        return moves.roll_back(turn, status, "RolledBack", f"no progress in time: {status.reason or reason}")
    resumed = moves.go_on(turn, status)
    inner = _PHASES[phase](turn, resumed)
    if inner.phase == "Held":
        return hold(turn, status, inner.held_reason or "", inner.reason or "")
    stuck = (inner.phase, inner.step, inner.epoch) == (phase, status.step, status.epoch)
    return status if stuck and reason == "ProgressDeadline" else inner


# --- what stops a release -------------------------------------------------------------------------------------------


def _failed(turn: Turn, status: Status) -> Status | None:
    """Back, when the evidence failed the candidate or it crashes; None when neither."""
    assert status.candidate is not None
    found = trouble(turn.observed, status.candidate.revision)
    if found is not None and found.fault:
        return _crashed(turn, status, found)
    verdict = turn.evidence.verdict
    if not turn.evidence.fresh or verdict is None or verdict.outcome != "Fail" or status.stable is None:
        return None
    return moves.roll_back(turn, status, "RolledBack", verdict.reason)


def _crashed(turn: Turn, status: Status, found: Trouble) -> Status:
    if moves.stable_is_down(turn.observed, status):
        return hold(turn, status, found.reason, f"{found.message}; there is no healthy version to go back to")
    verdict = VerdictStatus(outcome="Fail", mode="Breaker", metric="crashes", reason=shortened(found.message, 1024), at=precise(turn.now))
    return moves.roll_back(turn, moves.changed(status, verdict=verdict), "RolledBack", found.message)


def _short_of(turn: Turn, status: Status, needed: int) -> Status:
    """Too few ready pods: with a reason that holds it, else wait until the deadline."""
    assert status.candidate is not None
    found = trouble(turn.observed, status.candidate.revision)
    if found is not None and found.fault:
        return _crashed(turn, status, found)
    if found is not None:
        return hold(turn, status, found.reason, found.message)
    ready = turn.observed.ready(status.candidate.revision)
    return _unless_overdue(turn, status, f"{ready} of {needed} pods that it needs are ready")


def _unless_overdue(turn: Turn, status: Status, doubt: str) -> Status:
    if not moves.overdue(turn, status):
        return status
    release = turn.observed.spec.release
    message = f"no progress for {release.progress_deadline}: {doubt}"
    if _rolls_back(turn, status):
        return moves.roll_back(turn, status, "RolledBack", message)
    return hold(turn, status, "ProgressDeadline", f"{message}; promote or abort it, or change the spec")


def _rolls_back(turn: Turn, status: Status) -> bool:
    return turn.observed.spec.release.on_inconclusive == "Rollback" and status.stable is not None


def _doubt(status: Status) -> str:
    return status.verdict.reason if status.verdict else "no evidence yet"


_PHASES: dict[str, Callable[[Turn, Status], Status]] = {
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
