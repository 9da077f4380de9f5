"""What the phases decide from, and the moves that they can make. A move returns a new status, no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from plimsoll.api.inferenceservice import (
    InferenceServiceStatus,
    Phase,
    Quarantined,
    ReleaseRecord,
    Retiring,
    RevisionRef,
)
from plimsoll.api.monitoring import Warm
from plimsoll.core import route
from plimsoll.core.conditions import precise, shortened, timestamp
from plimsoll.core.release import attempts, pace
from plimsoll.core.release.choice import Choice, quarantined
from plimsoll.core.release.observed import Observed
from plimsoll.core.revision import Revision
from plimsoll.facts import Verdict, Window

Status = InferenceServiceStatus
Outcome = Literal["Promoted", "RolledBack", "Superseded", "Aborted", "Kept"]
_REASON_LIMIT = 1024
#: Of a reason that ten entries of a list hold: the status must stay below 32 KiB.
_ENTRY_LIMIT = 400
_KEPT = 10
#: Holds that only a person or a new spec ends.
BY_A_PERSON = frozenset({"Paused", "Aborted"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the pods said in this pass.

    `fresh` is true when a window was added or one was found that no status has judged; `verdict` is then set.
    `followed` is whether every ready pod reported the epoch in force. `outage` is why nothing can be known for now,
    `full` why the ledger takes no more windows.
    """

    windows: tuple[Window, ...] = ()
    verdict: Verdict | None = None
    fresh: bool = False
    followed: bool = False
    outage: str | None = None
    full: str | None = None
    seen_at: float | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One pass: the world, the revision to serve, the evidence."""

    observed: Observed
    choice: Choice
    evidence: Evidence

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self.observed.now


def changed(status: Status, **fields: Any) -> Status:
    """A copy with these fields, checked."""
    return Status.model_validate(status.model_dump() | fields)


def enter(turn: Turn, status: Status, phase: Phase, **fields: Any) -> Status:
    """Go to a phase; that is progress."""
    at = timestamp(turn.now)
    clear = {"held_phase": None, "held_reason": None, "reason": None}
    return changed(status, **({"phase": phase, "phase_since": at, "progress_at": at} | clear | fields))


def shift(turn: Turn, status: Status, *, primary: str, weight: int, mirror: int = 0) -> Status:
    """Give the candidate this share under this primary, and copies of `mirror` percent of the requests.

    The epoch rises; evidence counts once the pods report it.
    """
    if (status.primary, status.weight or 0, status.mirror or 0) == (primary, weight, mirror):
        return status
    return changed(
        status,
        primary=primary,
        weight=weight,
        mirror=mirror or None,
        epoch=next_epoch(turn.observed),
        routed_at=precise(turn.now),
        step_since=None,
    )


def next_epoch(observed: Observed) -> int:
    """Above every epoch that was ever written, also when the status was lost."""
    written = route.read(observed.config_maps.get(route.name(observed.name)))
    return 1 + max(observed.status.epoch, written["epoch"] if written else 0)


def begin(turn: Turn, status: Status, revision: Revision) -> Status:
    """A new attempt at weight 0."""
    status = retire_candidate(turn, status)
    reference = ref(revision)
    at = timestamp(turn.now)
    return enter(
        turn, status, "Preparing", candidate=reference, attempt=status.attempt + 1,
        revision_attempt=attempts.number(status, revision.name), weight=0, mirror=None,
        step=None, step_since=None, paused_at=None, approved=None, verdict=None, started_at=at, ledger=None,
        windows=(), rollback_seconds=None, effect=None,
        retiring=tuple(one for one in status.retiring if one.revision != revision.name),
    )  # fmt: skip


def ref(revision: Revision) -> RevisionRef:
    """How the status names a revision."""
    return RevisionRef(revision=revision.name, version=revision.version, digest=revision.digest)


def hold(turn: Turn, status: Status, reason: str, message: str) -> Status:
    """Stay as it is, share and all, until what holds is gone. A person's hold is nobody else's to replace."""
    if (status.phase, status.held_reason, status.reason) == ("Held", reason, cut(message)):
        return status
    if status.phase == "Held" and status.held_reason in BY_A_PERSON and reason not in BY_A_PERSON:
        return status
    since = status.phase_since if status.phase == "Held" else timestamp(turn.now)
    return changed(
        status,
        phase="Held",
        phase_since=since,
        held_phase=pace.phase_of(status),
        held_reason=reason,
        reason=cut(message),
    )


def go_on(turn: Turn, status: Status) -> Status:
    """End a hold where it began."""
    return enter(turn, status, status.held_phase or "Preparing")


def roll_back(turn: Turn, status: Status, outcome: Outcome, reason: str, *, by: str | None = None) -> Status:
    """Take the candidate back at once, waiting for nobody. All but a superseded revision goes into quarantine."""
    assert status.candidate is not None
    status = recorded(turn, status, outcome, reason, by=by)
    if outcome != "Superseded":
        status = _with_quarantine(turn, status, reason)
    if status.stable is not None:
        status = shift(turn, status, primary=status.stable.revision, weight=0)
    return enter(turn, status, "RollingBack", step=None, paused_at=None, reason=cut(reason))


def _with_quarantine(turn: Turn, status: Status, reason: str) -> Status:
    assert status.candidate is not None
    entry = Quarantined(
        revision=status.candidate.revision, version=status.candidate.version, reason=cut_short(reason),
        at=timestamp(turn.now),
        retry_token=turn.observed.spec.release.retry_token,
    )  # fmt: skip
    return changed(status, quarantine=quarantined(status, entry))


def retire_candidate(turn: Turn, status: Status) -> Status:
    """The candidate keeps its pods until the last connections to it have ended, and so does its baseline."""
    if status.candidate is None:
        return status
    return changed(_without_baseline(turn, _retired(turn, status, status.candidate)), candidate=None, waiver=None)


def _without_baseline(turn: Turn, status: Status) -> Status:
    return status if status.baseline is None else changed(_retired(turn, status, status.baseline), baseline=None)


def succeed(turn: Turn, status: Status) -> Status:
    """The candidate becomes the stable revision; the old one keeps its pods for a while."""
    assert status.candidate is not None
    new, old, warm = status.candidate, status.stable, _kept_warm(turn, status)
    forgiven = tuple(one for one in status.quarantine if one.revision != new.revision)
    status = changed(
        status, stable=new, candidate=None, waiver=None, quarantine=forgiven, warm=warm or status.warm, degraded=None,
        suspicion=(),
    )  # fmt: skip
    status = _without_baseline(turn, status)
    if old is not None:
        status = _retired(turn, status, old)
    was_shared = old is not None and (status.weight or 0) < 100
    if was_shared:
        status = changed(status, epoch=next_epoch(turn.observed), routed_at=precise(turn.now))
    status = changed(status, weight=0, mirror=None, primary=new.revision)
    return enter(turn, status, "Idle", step=None, step_since=None, paused_at=None)


def _kept_warm(turn: Turn, status: Status) -> Warm | None:
    """The revision that is replaced, where it is to be kept: it served well and still could."""
    old, monitoring = status.stable, turn.observed.spec.monitoring
    if old is None or monitoring is None or monitoring.keep_warm is None or status.degraded is not None:
        return None
    if not turn.observed.ready(old.revision):
        return None
    return Warm(revision=old.revision, version=old.version, digest=old.digest, since=precise(turn.now))


def _retired(turn: Turn, status: Status, reference: RevisionRef) -> Status:
    entry = Retiring(revision=reference.revision, version=reference.version, since=precise(turn.now))
    others = tuple(one for one in status.retiring if one.revision != reference.revision)
    return changed(status, retiring=(entry, *others)[:8])


def recorded(turn: Turn, status: Status, outcome: Outcome, reason: str, *, by: str | None = None) -> Status:
    """The history with this attempt, the newest first; `by` is the person who decided it."""
    assert status.candidate is not None
    entry = ReleaseRecord(
        attempt=status.attempt, revision=status.candidate.revision, version=status.candidate.version, outcome=outcome,
        reason=cut_short(reason), started_at=status.started_at or timestamp(turn.now), finished_at=timestamp(turn.now),
        by=by or _decided_by(status), undecided=attempts.undecided(turn.observed.spec, status, outcome) or None,
    )  # fmt: skip
    return changed(status, history=(entry, *status.history)[:_KEPT])


def _decided_by(status: Status) -> str | None:
    """Who rolled back to the candidate, or waived its evidence; None when it was nobody."""
    assert status.candidate is not None
    version = status.stable.version if status.stable else ""
    if status.pin is not None and status.pin.version == status.candidate.version != version:
        return status.pin.by
    return status.waiver.by if status.waiver is not None else None


def cut(text: str) -> str:
    """As a reason of the status."""
    return shortened(text, _REASON_LIMIT)


def cut_short(text: str) -> str:
    """As a reason in the history or the quarantine."""
    return shortened(text, _ENTRY_LIMIT)
