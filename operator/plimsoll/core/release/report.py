"""What the status says to people: one sentence, the conditions, and the news of a transition."""

from __future__ import annotations

from dataclasses import replace

from plimsoll.core import gateway
from plimsoll.core.conditions import Finding, conditions, find, shortened, timestamp
from plimsoll.core.release import gate, inputs, order, pace, watching
from plimsoll.core.release import turn as moves
from plimsoll.core.release.observed import Trouble, trouble
from plimsoll.core.release.turn import Status, Turn
from plimsoll.facts import Notice

_WARNINGS = {"Held", "RollingBack", "RolledBack"}


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


# --- the sentence ---------------------------------------------------------------------------------------------------


def message(turn: Turn, status: Status) -> str:
    """What is going on."""
    if (missing := _without_pool(turn, status)) is not None and status.candidate is None:
        return missing.message
    stable = f"v{status.stable.version}" if status.stable else "nothing"
    candidate = f"v{status.candidate.version}" if status.candidate else ""
    match status.phase:
        case "Pending":
            return _waits(turn, status) or turn.choice.message or "waiting for a version"
        case "Idle":
            more = (_kept(turn, status), turn.choice.message, _waits(turn, status))
            return "; ".join([f"{stable} serves{_pinned(status)}{_worse(status)}", *(one for one in more if one)])
        case "RolledBack":
            waits = _waits(turn, status)
            return f"{stable} serves{_worse(status)}; {_taken_back(status)}{f'; {waits}' if waits else _unserved(turn)}"
        case "Preparing":
            return f"candidate {candidate}: recording the revision"
        case "Warming":
            return _warming(turn, status, (stable, candidate))
        case "Shadowing":
            return _shadowing(turn, status)
        case "Analyzing":
            return _analyzing(turn, status)
        case "Promoting":
            if status.primary == _name(status):
                return f"candidate {candidate} is becoming primary"
            ready, wanted = turn.observed.ready(_name(status)), pace.peak(turn.observed, status)
            return f"candidate {candidate} is scaling up to take over: {ready} of {wanted} pods are ready"
        case "Probation":
            said = f"{_evidence(turn, status)}{_queued(turn, status)}"
            return f"{candidate} serves {status.weight} %, {stable} stays warm; {said}"
        case "RollingBack":
            return f"taking {candidate} back: {status.reason or ''}"
    return f"{_held(turn, status)} ({status.held_phase} of {candidate} {_share(status)})"


def _warming(turn: Turn, status: Status, called: tuple[str, str]) -> str:
    observed, stable, candidate = turn.observed, called[0], f"candidate {called[1]}"
    ends = pace.pre_period_ends(observed, status, turn.evidence.windows)
    if ends is not None and observed.ready(_name(status)) >= pace.needed(observed, pace.steps(observed)[0].weight):
        return f"{candidate} is ready; {stable} serves and is watched until {timestamp(ends)} (analysis.prePeriod)"
    beside = " and so is a baseline" if status.baseline else ""
    return f"{candidate} is starting{beside}; {stable} serves"


def _without_pool(turn: Turn, status: Status) -> Trouble | None:
    """That the pool, whose pods answered users, is gone."""
    if turn.observed.pool is None or turn.observed.pool.exists or status.primary is None:
        return None
    found = trouble(turn.observed, status.primary)
    return None if found is None else replace(found, message=f"{found.message}. Until then nobody is answered")


def _share(status: Status) -> str:
    return f"with copies of {status.mirror} %" if status.mirror else f"at {status.weight or 0} %"


def _waits(turn: Turn, status: Status) -> str:
    """What the wanted version waits for before its release begins; empty when it does not."""
    wanted, found = turn.choice.revision, gate.wait(turn.observed, status, turn.choice.revision)
    return f"v{wanted.version} waits: {found.message}" if wanted is not None and found is not None else ""


def _kept(turn: Turn, status: Status) -> str:
    """The end of a test that was to keep the old version; empty when the last release was none, or is forgiven."""
    newest = status.history[0] if status.history else None
    if newest is None or newest.outcome != "Kept" or newest.revision not in turn.choice.passed_over:
        return ""
    found = f"; {status.effect.reason}" if status.effect else ""
    return f"v{newest.version} was tested: {newest.reason}{found}"


def _worse(status: Status) -> str:
    return f", degraded: {status.degraded.reason}" if status.degraded else ""


def _held(turn: Turn, status: Status) -> str:
    """A person's hold says nothing of crashes, and stays while there are some."""
    found = trouble(turn.observed, _name(status)) if status.held_reason in moves.BY_A_PERSON else None
    said = f"; {found.message}" if found is not None and found.fault else ""
    return f"held, {status.held_reason}: {status.reason or ''}{said}"


def _taken_back(status: Status) -> str:
    newest = status.history[0] if status.history else None
    took = f" in {status.rollback_seconds:g} s" if status.rollback_seconds is not None else ""
    return f"v{newest.version} was taken back{took}: {newest.reason}" if newest else "the last release was taken back"


def _asks_for_nothing(turn: Turn) -> bool:
    """Whether the spec asks for what cannot be served, for another reason than that it was taken back."""
    return turn.choice.revision is None and turn.choice.reason not in {"", "Quarantined"}


def _unserved(turn: Turn) -> str:
    """Why what the spec asks for is not served either, or how to try it again."""
    if turn.choice.message:
        return f"; {turn.choice.message}"
    return "; change spec.release.retryToken to try it again" if turn.choice.passed_over else ""


def _analyzing(turn: Turn, status: Status) -> str:
    number = pace.step_number(turn.observed, status)
    if not number:
        return f"candidate {_name(status)} at {status.weight} %"
    step = pace.steps(turn.observed)[number - 1]
    head = f"candidate v{status.candidate.version if status.candidate else ''} at {status.weight} %, step {status.step}"
    if status.weight != step.weight:
        return f"{head}: waiting for pods to carry {step.weight} %"
    if status.step_since is None:
        takes = " and the Gateway takes the weights" if gateway.reference(turn.observed) else ""
        return f"{head}: waiting until every pod reports epoch {status.epoch}{takes}"
    seen = sum(
        one.candidate.requests for one in turn.evidence.windows if (one.step, one.weight) == (number, status.weight)
    )
    if step.pauses:
        end = "a person resumes it" if step.manual else timestamp(pace.begin_of_stage(status) + step.stay)
        return f"{head}, a pause until {end}: {_evidence(turn, status)}"
    return f"{head}: {seen} of {step.requests} requests, {_evidence(turn, status)}"


def _shadowing(turn: Turn, status: Status) -> str:
    shadow = pace.course_of(turn.observed).shadow
    head = f"candidate v{status.candidate.version if status.candidate else ''} gets copies of {status.mirror} %"
    if shadow is None or status.step_since is None:
        return f"{head}: waiting until every pod reports epoch {status.epoch}"
    seen = sum(one.candidate.requests for one in turn.evidence.windows if one.step == 0)
    return f"{head}: {seen} of {shadow.requests} compared, {_evidence(turn, status)}"


def _evidence(turn: Turn, status: Status) -> str:
    if turn.evidence.outage is not None:
        return f"no evidence ({turn.evidence.outage}), holding"
    return status.verdict.reason if status.verdict else "waiting for evidence"


def _pinned(status: Status) -> str:
    pin = status.pin
    if pin is None or status.stable is None or status.stable.version != pin.version:
        return ""
    return f" since {pin.by or 'a command'} rolled back to it, until a version above {pin.above} is approved"


def _queued(turn: Turn, status: Status) -> str:
    wanted = turn.choice.revision
    waits = wanted is not None and wanted.name != _name(status)
    return f"; v{wanted.version} waits for the end of the probation" if wanted is not None and waits else ""


def _name(status: Status) -> str:
    return status.candidate.revision if status.candidate else ""


# --- conditions -----------------------------------------------------------------------------------------------------


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
    if (missing := _without_pool(turn, status)) is not None:
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
    if status.phase == "RolledBack" and _asks_for_nothing(turn):
        return Finding("Promoted", "False", turn.choice.reason, turn.choice.message)
    if status.phase in {"RolledBack", "RollingBack"}:
        return Finding("Promoted", "False", "RolledBack", f"{_taken_back(status)}{_unserved(turn)}")
    if status.candidate is not None:
        return Finding("Promoted", "False", "Releasing", f"version {status.candidate.version} is being released")
    if turn.choice.revision is None and turn.choice.reason:
        return Finding("Promoted", "False", turn.choice.reason, turn.choice.message)
    if (found := gate.wait(turn.observed, status, turn.choice.revision)) is not None:
        return Finding("Promoted", "False", found.reason, _waits(turn, status))
    if kept := _kept(turn, status):
        return Finding("Promoted", "False", "Kept", kept)
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
