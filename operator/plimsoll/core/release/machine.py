"""The state machine of a release: one pass makes at most one transition, and only from what was seen.

Pending ─┐
Idle ────┼→ Preparing → Warming → [Shadowing] → Analyzing(step) → Promoting → Probation → Idle
RolledBack┘        from any of them: Held(reason) and back, RollingBack → RolledBack
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import VerdictStatus
from plimsoll.core import route
from plimsoll.core.conditions import precise, shortened, timestamp, unix
from plimsoll.core.effect import ratio_of_failures
from plimsoll.core.release import choice, commands, gate, pace, pins, watching
from plimsoll.core.release import turn as moves
from plimsoll.core.release.archive import attempt_of
from plimsoll.core.release.phases import PHASES
from plimsoll.core.release.turn import Status, Turn, shift
from plimsoll.core.statistics.policy import Policy

#: Public connections live 60 s ± 20 %, so after this a revision without a share has none left.
DRAIN_SECONDS = 75.0
#: Clocks of two instances of the operator differ by less than this; more is a clock that was set back.
_SKEW_SECONDS = 5.0
#: A window that is longer than so many and so many seconds more was not ended in time.
_LATE_WINDOWS, _LATE_SECONDS = 3.0, 60.0
#: The interval of an effect misses the true one in at most so many tests.
EFFECT_ALPHA = 0.05


def decide(turn: Turn) -> Status:
    """The status that this pass wants: the intent of everything that is done after it is written."""
    return _with_effect(turn, turn.observed.status, _decided(turn))


def _decided(turn: Turn) -> Status:
    before = turn.observed.status
    status = _recovered(turn, before)
    if status is not before:
        return status
    # What was seen is noted whatever people ask for: the ledger that this status cites has it already.
    seen = _noted(turn, _by_this_clock(turn, status))
    status = commands.obey(turn, seen)
    if status is not seen:
        return status
    status = watching.noted(turn, _dropped(turn, pins.lifted(turn.observed, seen)))
    back = _superseded(turn, status) or watching.taken_back(turn, status)
    after = back or PHASES[status.phase or "Pending"](turn, status)
    frozen = gate.stopped(turn, status, after)
    return after if frozen is None else moves.hold(turn, status, "FreezeWindow", frozen.message)


def _with_effect(turn: Turn, before: Status, after: Status) -> Status:
    """A test that ends, however it does, says how large the difference was."""
    phase = pace.phase_of(before)
    ends = phase == "Analyzing" and after.phase in {"Promoting", "RollingBack"} and after.attempt == before.attempt
    if turn.observed.spec.release.strategy != "ABTest" or not ends:
        return after
    found = ratio_of_failures(turn.evidence.windows, EFFECT_ALPHA, Policy().noise)
    return after if found is None else moves.changed(after, effect=asdict(found))


# --- before the phase has its say -----------------------------------------------------------------------------------


def _recovered(turn: Turn, status: Status) -> Status:
    """A status that was lost (a restored backup, say): what the route names as primary is what is stable.

    One that is older than the route is put in force again above it: pods ignore a lower epoch.
    """
    observed = turn.observed
    written = route.read(observed.config_maps.get(route.name(observed.name)))
    if written is None:
        return status
    if status.attempt or status.stable is not None:
        if status.primary is None or written["epoch"] <= status.epoch:
            return status
        again = {"epoch": moves.next_epoch(observed), "routed_at": precise(turn.now), "step_since": None}
        return moves.changed(status, **again)
    revision = observed.revision(written.get("primary"))
    if revision is None:
        return status
    # Ledgers tell how many attempts there were: a number is never used twice.
    known = [attempt_of(observed.name, name) or 0 for name in observed.config_maps]
    fields = {"phase": "Idle", "stable": moves.ref(revision), "attempt": max(1, *known)}
    return shift(turn, moves.changed(status, **fields), primary=revision.name, weight=0)


def _by_this_clock(turn: Turn, status: Status) -> Status:
    """What began at a moment that is still to come, by a clock that was set back since: it begins now."""

    def is_ahead(at: str | None) -> bool:
        return at is not None and unix(at) > turn.now + _SKEW_SECONDS

    begun = ("phase_since", "step_since", "progress_at", "paused_at", "routed_at")
    fields: dict[str, Any] = {name: precise(turn.now) for name in begun if is_ahead(getattr(status, name))}
    if any(is_ahead(one.since) for one in status.retiring):
        now = {"since": timestamp(turn.now)}
        fields["retiring"] = [one.model_dump() | (now if is_ahead(one.since) else {}) for one in status.retiring]
    if status.warm is not None and is_ahead(status.warm.since):
        fields["warm"] = status.warm.model_dump() | {"since": precise(turn.now)}
    return moves.changed(status, **fields) if fields else status


def _noted(turn: Turn, status: Status) -> Status:
    """What the pods were seen to do: the epoch they follow, since when the share is in force, the verdict."""
    evidence = turn.evidence
    if evidence.followed and status.followed_epoch < status.epoch:
        status = moves.changed(status, followed_epoch=status.epoch)
    if evidence.followed and pace.measured(status) and status.step_since is None:
        at = timestamp(turn.now)  # a share that came into force is progress
        status = moves.changed(status, step_since=precise(evidence.seen_at or turn.now), progress_at=at)
    if evidence.fresh and evidence.verdict is not None:
        found = evidence.verdict
        verdict = VerdictStatus(
            outcome=found.outcome,
            mode=found.mode,
            metric=found.metric,
            reason=shortened(found.reason, 1024),
            at=precise(turn.now),
        )
        status = moves.changed(status, verdict=verdict)
    if evidence.fresh and (_sees_again(turn) or _was_not_watched(turn)):
        # An outage is nobody's lack of progress: the deadline starts anew.
        status = moves.changed(status, progress_at=timestamp(turn.now))
    return status


def _sees_again(turn: Turn) -> bool:
    windows = turn.evidence.windows
    return len(windows) > 1 and windows[-1].gap is None and windows[-2].gap is not None


def _was_not_watched(turn: Turn) -> bool:
    """Whether the last window is far longer than it should be: no operator was there, or its clock jumped ahead."""
    windows = turn.evidence.windows
    # Windows of a long release, and those of a slow Prometheus, are longer than the spec says.
    lengths = [one.end - one.start for one in windows[-2:]]
    usual = max([seconds(turn.observed.spec.release.analysis.window), *lengths[:-1]])
    return bool(lengths) and lengths[-1] > _LATE_WINDOWS * usual + _LATE_SECONDS


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
    if candidate is None or status.phase == "RollingBack":
        return None
    if wanted is None:
        return _disowned(turn, status)
    if wanted.name == candidate.revision:
        return None
    if status.stable is not None and wanted.name == status.stable.revision:
        return _back(turn, status, status.stable.version)
    serves = status.primary == candidate.revision and (
        status.phase != "Held" or not pace.stable_is_down(turn.observed, status)
    )
    if serves:
        return None
    if status.stable is not None and (wait := gate.wait(turn.observed, status, wanted)) is not None:
        return moves.roll_back(turn, status, "Superseded", f"version {wanted.version} takes its place: {wait.message}")
    status = moves.recorded(
        turn, status, "Superseded", f"version {wanted.version} (revision {wanted.name}) took its place"
    )
    if status.stable is not None:
        status = shift(turn, status, primary=status.stable.revision, weight=0)
    else:
        status = moves.changed(status, primary=None)
    return moves.begin(turn, status, wanted)


def _back(turn: Turn, status: Status, stable: str) -> Status:
    """Back to what serves, in the name of a person only when they said so during this very release."""
    assert status.candidate is not None
    pin, candidate = status.pin, status.candidate.version
    meant = pin is not None and pin.version == stable and unix(pin.at) >= unix(status.started_at or pin.at)
    if pin is not None and meant:
        reason = f"{pin.by or 'a command'} rolled back to version {stable}"
        return moves.roll_back(turn, status, "Superseded", reason, by=pin.by)
    refused = choice.refused_since(turn.observed, candidate)
    why = f"version {candidate} is {refused}: back" if refused else "the spec went back"
    return moves.roll_back(turn, status, "Superseded", f"{why} to version {stable}")


def _disowned(turn: Turn, status: Status) -> Status | None:
    """Back, when the candidate was rejected meanwhile, or the spec names another version that cannot be served. Where
    there is nothing to go back to, what nobody has yet waits."""
    assert status.candidate is not None
    pinned, candidate = turn.observed.spec.model.version, status.candidate
    serves = status.primary == candidate.revision
    rejected = choice.refused_since(turn.observed, candidate.version) is not None
    moved_on = pinned not in {"auto", candidate.version} and not serves
    if not (rejected or moved_on):
        return None
    if status.stable is not None:
        return moves.roll_back(turn, status, "Superseded", turn.choice.message)
    return None if serves else moves.hold(turn, status, "ModelVersionNotReady", turn.choice.message)
