"""What stops a release: evidence against the candidate, crashes, too few pods, and time."""

from __future__ import annotations

from plimsoll.api.inferenceservice import VerdictStatus
from plimsoll.core import gateway
from plimsoll.core.conditions import precise, shortened
from plimsoll.core.release import inputs, pace
from plimsoll.core.release import turn as moves
from plimsoll.core.release.observed import Trouble, trouble
from plimsoll.core.release.turn import Status, Turn, hold
from plimsoll.core.statistics.shift import PredictionShift

#: Holds that wait for a person's approval.
FOR_A_PERSON = frozenset({"AwaitingApproval", "PauseStep"})
#: Holds by the deadline: they end with progress, or when what the candidate was to be compared with is back.
LATE = frozenset({"ProgressDeadline", "StableDown"})
#: Holds by what was seen: only other evidence, a person or a new spec ends them.
SEEN = frozenset(("PredictionShift", "SampleRatioMismatch"))


def failed(turn: Turn, status: Status) -> Status | None:
    """Back, when the evidence failed the candidate or it crashes; held, when a person has to look; None when neither.

    Evidence that was waived by a command holds nothing any more.
    """
    assert status.candidate is not None
    found = trouble(turn.observed, status.candidate.revision)
    if found is not None and found.fault:
        return crashed(turn, status, found)
    verdict = turn.evidence.verdict
    if not turn.evidence.fresh or verdict is None or status.stable is None:
        return None
    looked_at = status.waiver is not None or (status.phase == "Held" and status.held_reason not in SEEN)
    if verdict.hold and not looked_at:
        return hold(turn, status, verdict.hold, f"{verdict.reason}{inputs.explained(turn.observed.inputs)}")
    if verdict.outcome != "Fail":
        return None
    shifted = verdict.metric == PredictionShift.name
    said = inputs.explained(turn.observed.inputs) if shifted else ""
    return moves.roll_back(turn, status, "RolledBack", f"{verdict.reason}{said}")


def misrouted(turn: Turn, status: Status) -> Status | None:
    """Held, when the gateway does not take the weights; None when it does, or may yet."""
    found = gateway.refusal(turn.observed, status)
    return None if found is None else hold(turn, status, found.reason, found.message)


def still_seen(turn: Turn, status: Status) -> bool:
    """Whether it is held by what was seen, and no window since says otherwise."""
    return status.held_reason in SEEN and not turn.evidence.fresh


def crashed(turn: Turn, status: Status, found: Trouble) -> Status:
    if pace.stable_is_down(turn.observed, status):
        return hold(turn, status, found.reason, f"{found.message}; there is no healthy version to go back to")
    verdict = VerdictStatus(
        outcome="Fail", mode="Breaker", metric="crashes", reason=shortened(found.message, 1024), at=precise(turn.now)
    )
    return moves.roll_back(turn, moves.changed(status, verdict=verdict), "RolledBack", found.message)


def short_of(turn: Turn, status: Status, needed: int) -> Status | None:
    """Too few ready pods of the candidate, or of its baseline: with a reason that holds it, else wait until the
    deadline. None when there are enough."""
    assert status.candidate is not None
    if turn.observed.ready(status.candidate.revision) >= needed:
        return _baseline_short_of(turn, status, needed)
    found = trouble(turn.observed, status.candidate.revision)
    if found is not None and found.fault:
        return crashed(turn, status, found)
    if found is not None:
        return hold(turn, status, found.reason, found.message)
    ready = turn.observed.ready(status.candidate.revision)
    return unless_overdue(turn, status, f"{ready} of {needed} pods that it needs are ready")


def _baseline_short_of(turn: Turn, status: Status, needed: int) -> Status | None:
    """Its troubles are never the candidate's fault."""
    ready = turn.observed.ready(status.baseline.revision) if status.baseline is not None else needed
    if status.baseline is None or ready >= needed or pace.stable_is_down(turn.observed, status):
        return None
    found = trouble(turn.observed, status.baseline.revision)
    if found is not None:
        return hold(turn, status, found.reason, f"baseline: {found.message}")
    return unless_overdue(turn, status, f"{ready} of {needed} pods that it needs for a baseline are ready")


def unless_decided(turn: Turn, status: Status) -> Status:
    """The evidence leaves it open: wait until the deadline, but an outage is nobody's doubt."""
    if turn.evidence.outage is not None:
        return status
    full = f"; {turn.evidence.full}" if turn.evidence.full else ""
    return unless_overdue(turn, status, f"{doubt(status)}{full}")


def unless_overdue(turn: Turn, status: Status, doubt: str) -> Status:
    if not pace.overdue(turn.observed, status):
        return status
    release = turn.observed.spec.release
    message = f"no progress for {release.progress_deadline}: {doubt}"
    if rolls_back(turn, status):
        return moves.roll_back(turn, status, "RolledBack", message)
    if status.stable is not None and pace.stable_is_down(turn.observed, status):
        back = f"no pod of version {status.stable.version} is ready, so there is nothing to go back to"
        return hold(turn, status, "StableDown", f"{message}; {back}: promote it, or change the spec")
    return hold(turn, status, "ProgressDeadline", f"{message}; promote or abort it, or change the spec")


def rolls_back(turn: Turn, status: Status) -> bool:
    """At the deadline, as the spec says; never to what is down: the candidate may be all that users can hope for."""
    asked = turn.observed.spec.release.on_inconclusive == "Rollback"
    return asked and not pace.stable_is_down(turn.observed, status)


def doubt(status: Status) -> str:
    return status.verdict.reason if status.verdict else "no evidence yet"
