"""The news of a transition: Events, and the audit log."""

from __future__ import annotations

from plimsoll.core.conditions import find, shortened
from plimsoll.core.release import inputs
from plimsoll.core.release.turn import Status
from plimsoll.facts import Notice

_WARNINGS = {"Held", "RollingBack", "RolledBack"}


def notices(before: Status, after: Status) -> tuple[Notice, ...]:
    """One Event for what became of a command, and one for each transition: of the phase, the reason of a hold, the step
    or its share; of the health, too."""
    told = (_commanded, _moved, _health, _slow, _given, _pooled)
    return tuple(notice for one in told for notice in one(before, after))


def _pooled(before: Status, after: Status) -> tuple[Notice, ...]:
    """That the pool is gone is told when it happens, whatever the phase."""
    was, now = find(before.conditions, "Ready"), find(after.conditions, "Ready")
    if now is None or now.reason != "PoolNotFound" or (was is not None and was.reason == now.reason):
        return ()
    return (Notice("Warning", now.reason, now.message),)


def _commanded(before: Status, after: Status) -> tuple[Notice, ...]:
    done = after.last_command
    if done is None or done == before.last_command:
        return ()
    if done.outcome == "Obeyed":
        return (Notice("Normal", "CommandObeyed", f"{done.message} (id {done.id})"),)
    asked = f"{done.verb} {done.to}" if done.to else done.verb
    return (Notice("Warning", "CommandRefused", f"{asked} by {done.by or 'nobody'} (id {done.id}): {done.message}"),)


def _health(before: Status, after: Status) -> tuple[Notice, ...]:
    if after.degraded is not None and after.degraded != before.degraded:
        return (Notice("Warning", "Degraded", after.degraded.reason),)
    if before.degraded is not None and after.degraded is None and before.stable == after.stable:
        return (
            Notice("Normal", "Recovered", f"v{after.stable.version if after.stable else ''} is within bounds again"),
        )
    return ()


def _given(before: Status, after: Status) -> tuple[Notice, ...]:
    """Told once, when the requests begin to differ from those that the versions were judged by."""
    was, found = (find(one.conditions, inputs.TYPE) for one in (before, after))
    if found is None or found.status != "False" or (was is not None and was.status == "False"):
        return ()
    return (Notice("Warning", found.reason, found.message),)


def _slow(before: Status, after: Status) -> tuple[Notice, ...]:
    """Told as soon as it is known that a step cannot be decided in time."""
    if after.eta is None or after.eta.in_time or (before.eta is not None and not before.eta.in_time):
        return ()
    return (Notice("Warning", "NoVerdictInTime", after.eta.message),)


def _moved(before: Status, after: Status) -> tuple[Notice, ...]:
    here, there = (
        (one.phase, one.held_reason, one.step, one.attempt, one.weight, one.mirror) for one in (before, after)
    )
    if here == there or after.phase is None:
        return ()
    kind = "Warning" if after.phase in _WARNINGS else "Normal"
    return (Notice(kind, after.held_reason or after.phase, shortened(after.message or "", 1024)),)
