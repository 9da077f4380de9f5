"""People's commands: an annotation `{"id", "verb", "by"}`; each id is obeyed once."""

from __future__ import annotations

import json
from dataclasses import dataclass

from plimsoll import names
from plimsoll.core.release import pace, stops
from plimsoll.core.release import turn as moves
from plimsoll.core.release.course import PROMOTION
from plimsoll.core.release.turn import Status, Turn
from plimsoll.facts import Manifest

VERBS = ("promote", "abort", "pause", "resume", "retry")
_KEPT = 20


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asked for."""

    id: str
    verb: str
    by: str


def read(owner: Manifest) -> Command | None:
    """The command in the annotation; None when there is none or it is not one: the admission policy says why."""
    try:
        written = json.loads((owner["metadata"].get("annotations") or {})[names.ANNOTATION_COMMAND])
        command = Command(str(written["id"])[:253], str(written["verb"]), str(written.get("by", ""))[:253])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return command if command.verb in VERBS and command.id else None


def obey(turn: Turn, status: Status) -> Status:
    """The status after the command, the id consumed; the same status when there is nothing new to obey."""
    command = read(turn.observed.owner)
    if command is None or command.id in status.commands:
        return status
    status = moves.changed(status, commands=(command.id, *status.commands)[:_KEPT])
    match command.verb:
        case "abort":
            return _abort(turn, status, command)
        case "promote":
            return _promote(turn, status, command)
        case "pause":
            return _pause(turn, status, command)
        case "resume" if status.phase == "Held":
            return moves.go_on(turn, _approved(turn, status))
        case "retry":
            return moves.changed(status, quarantine=status.quarantine[1:])
    return status


def _releasing(status: Status) -> bool:
    return status.candidate is not None and status.phase != "RollingBack"


def _abort(turn: Turn, status: Status, command: Command) -> Status:
    if not _releasing(status):
        return status
    said = f"aborted by {command.by or 'a command'}"
    if status.stable is None:
        return moves.hold(turn, status, "Aborted", f"{said}; there is nothing to go back to")
    return moves.roll_back(turn, status, "Aborted", said)


def _promote(turn: Turn, status: Status, command: Command) -> Status:
    """Evidence is waived, capacity is not. A rollback that has begun is not taken back."""
    phase = status.held_phase if status.phase == "Held" else status.phase
    if not _releasing(status) or phase not in {"Warming", "Shadowing", "Analyzing", "Promoting", "Probation"}:
        return status
    if phase == "Probation":
        return moves.succeed(
            turn, moves.recorded(turn, status, "Promoted", f"probation ended by {command.by or 'a command'}")
        )
    said = f"promoted by {command.by or 'a command'}"
    return moves.enter(turn, status, "Promoting", reason=said, paused_at=None, approved=PROMOTION)


def _approved(turn: Turn, status: Status) -> Status:
    """What waits for a person is approved by resuming it; what was paused by a command is only resumed."""
    asked = pace.awaits(turn.observed, status, status.held_phase) if status.held_reason in stops.FOR_A_PERSON else None
    return moves.changed(status, approved=asked) if asked else status


def _pause(turn: Turn, status: Status, command: Command) -> Status:
    return (
        moves.hold(turn, status, "Paused", f"paused by {command.by or 'a command'}") if _releasing(status) else status
    )
