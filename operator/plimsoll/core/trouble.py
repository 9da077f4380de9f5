"""Conditions of an object that is held up by something outside it: the store, a name that is taken, a refusal."""

from __future__ import annotations

from collections.abc import Sequence

from plimsoll.api.common import Condition
from plimsoll.core.conditions import Finding, conditions

_STORE = "StoreAvailable"


def held_up(
    observed: Sequence[Condition], ready: Finding, *, now: float, generation: int | None
) -> tuple[Condition, ...]:
    """`ready` says what is in the way; every other condition stays as it is.

    While the store does not answer, the transition time of StoreAvailable says since when.
    """
    findings = [ready]
    if ready.reason == "StoreUnavailable":
        findings.append(Finding(_STORE, "False", ready.reason, ready.message))
    given = {finding.type for finding in findings} | {_STORE}
    kept = [Finding(one.type, one.status, one.reason, one.message) for one in observed if one.type not in given]
    return conditions(observed, [*findings, *kept], now=now, generation=generation)
