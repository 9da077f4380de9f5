"""People's commands: an annotation `{"id", "verb", "by"}`, with "to", "reason" and "expires" where they apply.

Each id is looked at once: it is obeyed, or refused with a sentence that `status.lastCommand` and an Event have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from plimsoll import names
from plimsoll.api.inferenceservice import CommandRecord, Waiver
from plimsoll.core.conditions import shortened, timestamp, unix
from plimsoll.core.release import gate, pace, pins, stops
from plimsoll.core.release import turn as moves
from plimsoll.core.release.choice import choose, is_quarantined, out_of_reach
from plimsoll.core.release.course import PROMOTION
from plimsoll.core.release.turn import Status, Turn
from plimsoll.facts import Manifest

VERBS = ("promote", "abort", "pause", "resume", "retry", "unquarantine", "rollback")
_KEPT = 20
_MESSAGE_LIMIT = 512


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asked for. `to` is the number of a version; `expires` a time as RFC 3339 has it, or empty."""

    id: str
    verb: str
    by: str
    to: str = ""
    reason: str = ""
    expires: str = ""

    @property
    def who(self) -> str:
        """In whose name."""
        return self.by or "a command"

    @property
    def did(self) -> str:
        """`promoted`; `rollback to version 7 asked for`."""
        version = f"version {self.to} " if self.to else ""
        return _DONE[self.verb].format(version=version)

    def said(self, did: str) -> str:
        """`promoted by ann: the dashboards are green`."""
        return f"{did} by {self.who}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command is not obeyed, in a sentence."""

    why: str


def read(owner: Manifest) -> Command | None:
    """The command in the annotation; None when there is none or it is not one: the admission policy says why."""
    try:
        written = json.loads((owner["metadata"].get("annotations") or {})[names.ANNOTATION_COMMAND])
        command = Command(
            str(written["id"])[:253], str(written["verb"]), str(written.get("by", ""))[:253],
            str(written.get("to", "")), str(written.get("reason", ""))[:256], str(written.get("expires", "")),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return command if command.verb in VERBS and command.id else None


def obey(turn: Turn, status: Status) -> Status:
    """The status after the command, the id consumed; the same status when there is nothing new to obey."""
    command = read(turn.observed.owner)
    if command is None or command.id in status.commands:
        return status
    done = _expired(turn, command) or _DEEDS[command.verb](turn, status, command)
    if isinstance(done, Refusal):
        after, outcome, message = status, "Refused", done.why
    else:
        after, outcome, message = done, "Obeyed", command.said(command.did)
        remark = _REMARKS[command.verb](turn, status, done) if command.verb in _REMARKS else None
        message += f"; {remark}" if remark else ""
    record = CommandRecord(
        id=command.id, verb=command.verb, to=command.to[:10] or None, by=command.by, at=timestamp(turn.now),
        outcome=outcome, message=shortened(message, _MESSAGE_LIMIT),
    )  # fmt: skip
    return moves.changed(after, commands=(command.id, *status.commands)[:_KEPT], last_command=record)


def _expired(turn: Turn, command: Command) -> Refusal | None:
    """What stayed unread for too long, in Git say, is no longer what anybody wants."""
    if not command.expires:
        return None
    try:
        over = turn.now > unix(command.expires)
    except ValueError:
        return Refusal(f"expires is {command.expires}: write a time such as 2026-11-24T12:00:00Z")
    return Refusal(f"it expired at {command.expires}: give it again, with a new id") if over else None


# --- one by one -----------------------------------------------------------------------------------------------------


def _unless_releasing(status: Status) -> Refusal | None:
    if status.candidate is None:
        return Refusal("nothing is being released")
    if status.phase == "RollingBack":
        return Refusal(f"version {status.candidate.version} is being taken back already")
    return None


def _abort(turn: Turn, status: Status, command: Command) -> Status | Refusal:
    if (refusal := _unless_releasing(status)) is not None:
        return refusal
    said = command.said("aborted")
    if status.stable is None:
        return moves.hold(turn, status, "Aborted", f"{said}; there is nothing to go back to")
    return moves.roll_back(turn, status, "Aborted", said, by=command.by)


def _promote(turn: Turn, status: Status, command: Command) -> Status | Refusal:
    """Evidence is waived, capacity is not. A rollback that has begun is not taken back."""
    if (refusal := _unless_releasing(status)) is not None:
        return refusal
    phase = pace.phase_of(status)
    if phase not in {"Warming", "Shadowing", "Analyzing", "Promoting", "Probation"}:
        return Refusal(f"the release is {phase}: there is nothing to promote yet")
    if phase == "Probation":
        said = command.said("probation ended")
        return moves.succeed(turn, moves.recorded(turn, status, "Promoted", said, by=command.by))
    waiver = Waiver(by=command.by, reason=shortened(command.said("promoted"), _MESSAGE_LIMIT))
    return moves.enter(turn, status, "Promoting", waiver=waiver, paused_at=None, approved=PROMOTION)


def _pause(turn: Turn, status: Status, command: Command) -> Status | Refusal:
    return _unless_releasing(status) or moves.hold(turn, status, "Paused", command.said("paused"))


def _resume(turn: Turn, status: Status, command: Command) -> Status | Refusal:
    if status.phase != "Held":
        return Refusal("the release is not held")
    return moves.go_on(turn, _approved(turn, status))


def _approved(turn: Turn, status: Status) -> Status:
    """What waits for a person is approved by resuming it; what was paused by a command is only resumed."""
    asked = pace.awaits(turn.observed, status, status.held_phase) if status.held_reason in stops.FOR_A_PERSON else None
    return moves.changed(status, approved=asked) if asked else status


def _retry(turn: Turn, status: Status, command: Command) -> Status | Refusal:
    """The latest that was taken back is tried again."""
    if not status.quarantine:
        return Refusal("nothing is in quarantine")
    version = status.quarantine[0].version
    away = out_of_reach(turn.observed, version)
    if away is not None:
        by_name = turn.observed.spec.model.version != "auto"
        remedy = "name it there" if by_name else "give the commands unquarantine and rollback to it"
        return Refusal(f"{away}: to try version {version} again, {remedy}")
    return moves.changed(status, quarantine=status.quarantine[1:])


def _unquarantine(turn: Turn, status: Status, command: Command) -> Status | Refusal:
    """The version `to`, or all of them."""
    kept = tuple(one for one in status.quarantine if command.to and one.version != command.to)
    if len(kept) == len(status.quarantine):
        return Refusal(f"version {command.to} is not in quarantine" if command.to else "nothing is in quarantine")
    return moves.changed(status, quarantine=kept)


def _still_away(turn: Turn, before: Status, after: Status) -> str | None:
    """Why the newest version that was let out is not tried all the same, and what does it."""
    version = next(one.version for one in before.quarantine if one not in after.quarantine)
    away = out_of_reach(turn.observed, version)
    if away is None:
        return None
    if turn.observed.spec.model.version != "auto":
        return f"{away}: name version {version} there"
    return f"{away}: the command rollback goes to version {version}"


def _rollback(turn: Turn, status: Status, command: Command) -> Status | Refusal:
    """The version `to` is what `auto` means until a newer one than there is now is approved."""
    observed, pinned = turn.observed, turn.observed.spec.model.version
    if pinned != "auto":
        return Refusal(f"spec.model.version names version {pinned}: change it there, or set it to auto")
    if status.candidate is not None and status.candidate.version == command.to and status.phase != "RollingBack":
        return Refusal(f"version {command.to} is being released: promote it, or abort it")
    unfit = pins.unfit(observed, command.to)
    if unfit is not None:
        return Refusal(unfit)
    if any(one.version == command.to and _locks(turn, one.revision) for one in status.quarantine):
        return Refusal(f"version {command.to} is in quarantine: give the command unquarantine first")
    return moves.changed(status, pin=pins.made(observed, command.to, command.by))


def _still_waits(turn: Turn, before: Status, after: Status) -> str | None:
    """What keeps a rollback to another version from beginning now."""
    wanted = choose(replace(turn.observed, status=after)).revision
    if wanted is None or (after.stable is not None and wanted.version == after.stable.version):
        return None
    found = gate.wait(turn.observed, after, wanted)
    return f"it did not serve here of late and waits as any release: {found.message}" if found else None


def _locks(turn: Turn, revision: str) -> bool:
    return is_quarantined(turn.observed.status, revision, turn.observed.spec.release.retry_token)


_DEEDS: Mapping[str, Callable[[Turn, Status, Command], Status | Refusal]] = {
    "promote": _promote,
    "abort": _abort,
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
    "unquarantine": _unquarantine,
    "rollback": _rollback,
}
#: What a person should know besides, given the status before and after.
_REMARKS: Mapping[str, Callable[[Turn, Status, Status], str | None]] = {
    "unquarantine": _still_away,
    "rollback": _still_waits,
}
_DONE: Mapping[str, str] = {
    "promote": "promoted",
    "abort": "aborted",
    "pause": "paused",
    "resume": "resumed",
    "retry": "let out of quarantine to try again",
    "unquarantine": "{version}let out of quarantine",
    "rollback": "rollback to {version}asked for",
}
