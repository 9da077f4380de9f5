"""The forecast as the status tells it: how long until a verdict, or what would have to change for there to be one."""

from __future__ import annotations

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import Eta
from plimsoll.core.conditions import shortened, unix
from plimsoll.core.release import pace
from plimsoll.core.release.analysis import policy
from plimsoll.core.release.forecast import EFFECT, HORIZON, Outlook, outlook, remedies, step_under_way, traffic
from plimsoll.core.release.turn import Status, Turn
from plimsoll.core.release.windows import step_label


def forecast(turn: Turn, status: Status) -> Eta | None:
    """Made anew with each window of a step; None when no step is under way."""
    before = turn.observed.status
    if status.phase != "Analyzing" or status.step_since is None or not status.weight:
        return None
    stage = pace.stage(turn.observed, status)
    if stage is not None and stage.pauses:
        return None
    if not turn.evidence.fresh:
        return before.eta if before.attempt == status.attempt else None
    evidence, here = turn.evidence.windows, step_label(turn.observed, status)
    found = traffic([one for one in evidence if (one.step, one.weight) == (here, status.weight)])
    due = pace.deadline(turn.observed, status)
    if found is None or not found.rate or due is None:
        return None
    even = status.baseline is not None
    under_way = step_under_way(evidence, policy(turn.observed), status.weight or 0, here, even=even)
    if under_way is None:
        return None
    left, whole = max(due - turn.now, 0.0), seconds(turn.observed.spec.release.progress_deadline)
    seen = outlook(under_way, found, HORIZON)
    least = _least(turn, status)
    passes = None if seen.passes is None else max(seen.passes, least)
    in_time = passes is not None and passes <= left
    said = _sentence(found.rate, passes, seen)
    if not in_time:
        ways = (*((f"progressDeadline: {_minutes(passes)}",) if passes else ()), *remedies(under_way, found, whole))
        said += f"; not within progressDeadline, {_text(left)} are left"
        said += f": what would be in time is {' or '.join(ways)}" if ways else ": there is too little traffic"
    return Eta(in_time=in_time, pass_seconds=passes and round(passes), message=shortened(said, 1024))


def _least(turn: Turn, status: Status) -> float:
    """What is left of the step's minDuration, in seconds."""
    stage = pace.stage(turn.observed, status)
    if stage is None or status.step_since is None:
        return 0.0
    return max(0.0, unix(status.step_since) + stage.stay - turn.now)


def _sentence(rate: float, passes: float | None, seen: Outlook) -> str:
    def of(duration: float | None) -> str:
        if duration is None:
            return "not in sight"
        return f"in about {_text(duration)} ({duration * seen.requests:,.0f} requests of the candidate)"

    head = f"at {rate:,.2g} requests/s a healthy candidate passes this step {of(passes)}"
    return f"{head}; one with {EFFECT:g} × the failures fails {of(seen.fails)}"


def _text(duration: float) -> str:
    """Two digits are enough of what is a guess."""
    if duration < 90:
        return f"{duration:.0f} s"
    return f"{duration / 60:.0f} min" if duration < 5400 else f"{duration / 3600:.2g} h"


def _minutes(duration: float) -> str:
    """As a manifest has it, with a quarter to spare."""
    return f"{int(1.25 * duration / 60) + 1}m"
