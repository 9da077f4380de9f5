"""What the status says to people: the sentence and the conditions."""

from __future__ import annotations

from plimsoll.core import gateway
from plimsoll.core.conditions import Finding, conditions, shortened
from plimsoll.core.release import gate, inputs, order, watching
from plimsoll.core.release import turn as moves
from plimsoll.core.release.message import asks_for_nothing, kept, message, taken_back, unserved, waits, without_pool
from plimsoll.core.release.observed import trouble
from plimsoll.core.release.turn import Status, Turn


def reported(turn: Turn, status: Status) -> Status:
    """The status with url, pods, message and conditions."""
    observed = turn.observed
    ready = observed.ready(status.stable.revision) if status.stable else None
    said = (
        _ready(turn, status), _promoted(turn, status), _progressing(turn, status), _ordered(turn),
        watching.healthy(turn, status), gateway.finding(observed, status),
        inputs.finding(observed.inputs, observed.status, status) if inputs.matter(observed, status) else None,
    )  # fmt: skip
    findings = [one for one in said if one is not None]
    return moves.changed(
        status,
        url=f"http://{observed.name}.{observed.namespace}.svc" if status.attempt else None,
        replicas=None if ready is None else f"{ready}/{observed.replicas}",
        message=shortened(message(turn, status), 1024),
        conditions=conditions(status.conditions, findings, now=turn.now, generation=observed.generation),
    )


def _ready(turn: Turn, status: Status) -> Finding:
    """Of what receives public requests. Never True while it crashes."""
    observed = turn.observed
    serving = status.primary or (status.stable.revision if status.stable else None)
    if serving is None:
        return Finding("Ready", "False", turn.choice.reason or "NothingServing", message(turn, status))
    ready, wanted = observed.ready(serving), observed.replicas
    found = trouble(observed, serving)
    if found is not None and found.fault:
        return Finding("Ready", "False", found.reason, found.message)
    if (missing := without_pool(turn, status)) is not None:
        return Finding("Ready", "False", missing.reason, missing.message)
    if ready == 0:
        return Finding("Ready", "False", "NoPodReady", f"none of {wanted} pods of {serving} is ready")
    refused = gateway.refusal(observed, status)
    if refused is not None:
        return Finding("Ready", "False", refused.reason, refused.message)
    return Finding("Ready", "True", "Serving", f"{ready} of {wanted} pods of {serving} are ready")


def _promoted(turn: Turn, status: Status) -> Finding | None:
    """Whether what the spec asks for is what serves."""
    if status.attempt == 0:
        return None
    if status.phase == "RolledBack" and asks_for_nothing(turn):
        return Finding("Promoted", "False", turn.choice.reason, turn.choice.message)
    if status.phase in {"RolledBack", "RollingBack"}:
        return Finding("Promoted", "False", "RolledBack", f"{taken_back(status)}{unserved(turn)}")
    if status.candidate is not None:
        return Finding("Promoted", "False", "Releasing", f"version {status.candidate.version} is being released")
    if turn.choice.revision is None and turn.choice.reason:
        return Finding("Promoted", "False", turn.choice.reason, turn.choice.message)
    if (found := gate.wait(turn.observed, status, turn.choice.revision)) is not None:
        return Finding("Promoted", "False", found.reason, waits(turn, status))
    if why := kept(turn, status):
        return Finding("Promoted", "False", "Kept", why)
    version = status.stable.version if status.stable else ""
    return Finding("Promoted", "True", "Promoted", f"version {version} takes all requests")


def _ordered(turn: Turn) -> Finding | None:
    """Only when the services wait for each other in a circle: nobody of them would ever begin."""
    circle = order.cycle(turn.observed)
    if circle is None:
        return None
    return Finding("Ordered", "False", "Cycle", f"spec.release.after: {circle}; take one of them out")


def _progressing(turn: Turn, status: Status) -> Finding | None:
    """Only during a release; False says why it does not go on, and since when."""
    if status.candidate is None or status.phase is None:
        return None
    if status.phase == "Held":
        return Finding("Progressing", "False", status.held_reason or "Held", status.reason or "")
    if turn.evidence.outage is not None:
        return Finding("Progressing", "False", "EvidenceUnavailable", turn.evidence.outage)
    return Finding("Progressing", "True", status.phase, message(turn, status))
