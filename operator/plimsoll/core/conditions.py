"""Conditions as the Kubernetes API conventions have them, and times as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from plimsoll.api.common import Condition

_MESSAGE_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """What a condition should say now; when it last changed is worked out by `conditions`."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""


def conditions(
    observed: Sequence[Condition], findings: Sequence[Finding], *, now: float, generation: int | None
) -> tuple[Condition, ...]:
    """All conditions of an object, in the order of `findings`; one that is not among them is removed.

    The transition time stays while the status stays, whatever happens to reason and message.
    `now` is in Unix seconds, `generation` the generation of the spec that the findings speak of.
    """
    before = {condition.type: condition for condition in observed}
    return tuple(_replaced(before.get(finding.type), finding, now, generation) for finding in findings)


def _replaced(before: Condition | None, finding: Finding, now: float, generation: int | None) -> Condition:
    unchanged = before is not None and before.status == finding.status
    return Condition(
        type=finding.type,
        status=finding.status,
        reason=finding.reason,
        message=shortened(finding.message, _MESSAGE_LIMIT),
        last_transition_time=before.last_transition_time if before is not None and unchanged else timestamp(now),
        observed_generation=generation,
    )


def find(observed: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of this type, or None."""
    return next((condition for condition in observed if condition.type == type_), None)


def shortened(text: str, limit: int) -> str:
    """`text` in at most `limit` characters; what was cut is shown as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def timestamp(at: float) -> str:
    """Unix seconds → `2026-11-22T12:00:00Z`, whole seconds, as metav1.Time has it."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise(at: float) -> str:
    """Unix seconds → `2026-11-22T12:00:00.250Z`, for durations below a second."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix(text: str) -> float:
    """A timestamp as `timestamp`, `precise` or the API server write it → Unix seconds. Raises ValueError otherwise."""
    return datetime.fromisoformat(text).timestamp()
