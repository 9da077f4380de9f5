"""What keeps a release from beginning or from going on although its evidence would let it: the calendar and the order.

Nothing here ever keeps a candidate from being taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.core.release import order, pace, pins
from plimsoll.core.release.calendar import Frozen, frozen
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.turn import Status, Turn
from plimsoll.core.revision import Revision


@dataclass(frozen=True, slots=True)
class Wait:
    """Why what the spec asks for is not released yet: FreezeWindow or WaitsForOthers, and a sentence."""

    reason: str
    message: str


def freeze(observed: Observed, status: Status) -> Frozen | None:
    """The freeze that holds for this service; none while nothing serves, for then there is nothing to protect."""
    if status.stable is None or pace.stable_is_down(observed, status):
        return None
    return frozen(observed.spec.release.freeze_windows, observed.now)


def wait(observed: Observed, status: Status, wanted: Revision | None) -> Wait | None:
    """What the release of `wanted` has to wait for before it begins; a rollback to what is proven here, for nothing."""
    if wanted is None or (status.stable is not None and wanted.name == status.stable.revision):
        return None
    if pins.goes_back(status, wanted.version):
        return None
    found = freeze(observed, status)
    if found is not None:
        return Wait(reason="FreezeWindow", message=found.message)
    whom = order.waits_for(observed, wanted)
    return Wait(reason="WaitsForOthers", message=whom) if whom else None


def stopped(turn: Turn, before: Status, after: Status) -> Frozen | None:
    """The freeze that forbids this move; a person's promote is above it, and so is a rollback to what is proven."""
    if before.candidate is not None and pins.goes_back(before, before.candidate.version):
        return None
    return None if before.waiver is not None or not _advances(before, after) else freeze(turn.observed, before)


def _advances(before: Status, after: Status) -> bool:
    """Whether the candidate comes nearer to users, or loses the old version behind it."""
    if before.candidate is None or before.attempt != after.attempt or after.phase == "RollingBack":
        return False
    phase = pace.phase_of(before)
    ended = phase == "Probation" and after.phase == "Idle"
    more = (after.weight or 0) > (before.weight or 0) or (after.mirror or 0) > (before.mirror or 0)
    on = after.phase == "Promoting" and phase in {"Shadowing", "Analyzing"}
    return ended or more or on or _number(after) > _number(before) > 0


def _number(status: Status) -> int:
    return int(status.step.partition("/")[0]) if status.step else 0
