"""The one sentence of a service's status: what is going on."""

from __future__ import annotations

from dataclasses import replace

from plimsoll.core import gateway
from plimsoll.core.conditions import timestamp
from plimsoll.core.release import gate, pace
from plimsoll.core.release import turn as moves
from plimsoll.core.release.observed import Trouble, trouble
from plimsoll.core.release.turn import Status, Turn


def message(turn: Turn, status: Status) -> str:
    """What is going on."""
    if (missing := without_pool(turn, status)) is not None and status.candidate is None:
        return missing.message
    stable = f"v{status.stable.version}" if status.stable else "nothing"
    candidate = f"v{status.candidate.version}" if status.candidate else ""
    match status.phase:
        case "Pending":
            return waits(turn, status) or turn.choice.message or "waiting for a version"
        case "Idle":
            others = (kept(turn, status), turn.choice.message, waits(turn, status))
            return "; ".join([f"{stable} serves{_pinned(status)}{_worse(status)}", *(one for one in others if one)])
        case "RolledBack":
            awaited = waits(turn, status)
            more = f"; {awaited}" if awaited else unserved(turn)
            return f"{stable} serves{_worse(status)}; {taken_back(status)}{more}"
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


def without_pool(turn: Turn, status: Status) -> Trouble | None:
    """That the pool, whose pods answered users, is gone."""
    if turn.observed.pool is None or turn.observed.pool.exists or status.primary is None:
        return None
    found = trouble(turn.observed, status.primary)
    return None if found is None else replace(found, message=f"{found.message}. Until then nobody is answered")


def _share(status: Status) -> str:
    return f"with copies of {status.mirror} %" if status.mirror else f"at {status.weight or 0} %"


def waits(turn: Turn, status: Status) -> str:
    """What the wanted version waits for before its release begins; empty when it does not."""
    wanted, found = turn.choice.revision, gate.wait(turn.observed, status, turn.choice.revision)
    return f"v{wanted.version} waits: {found.message}" if wanted is not None and found is not None else ""


def kept(turn: Turn, status: Status) -> str:
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


def taken_back(status: Status) -> str:
    newest = status.history[0] if status.history else None
    took = f" in {status.rollback_seconds:g} s" if status.rollback_seconds is not None else ""
    return f"v{newest.version} was taken back{took}: {newest.reason}" if newest else "the last release was taken back"


def asks_for_nothing(turn: Turn) -> bool:
    """Whether the spec asks for what cannot be served, for another reason than that it was taken back."""
    return turn.choice.revision is None and turn.choice.reason not in {"", "Quarantined"}


def unserved(turn: Turn) -> str:
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
    behind = wanted is not None and wanted.name != _name(status)
    return f"; v{wanted.version} waits for the end of the probation" if wanted is not None and behind else ""


def _name(status: Status) -> str:
    return status.candidate.revision if status.candidate else ""
