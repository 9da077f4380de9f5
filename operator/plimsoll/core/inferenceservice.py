"""The plan of one pass over an InferenceService: status first, everything else follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceStatus
from plimsoll.core import following, gateway, route
from plimsoll.core.conditions import Finding, conditions, shortened, unix
from plimsoll.core.release import children, gate, judge_jobs, notices, pace, report, watching
from plimsoll.core.release.archive import archive
from plimsoll.core.release.choice import choose
from plimsoll.core.release.collect import Collected, collect
from plimsoll.core.release.eta import forecast
from plimsoll.core.release.machine import DRAIN_SECONDS, decide
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.record import digest, ledger_text
from plimsoll.core.release.turn import Status, Turn, changed
from plimsoll.core.release.windows import Taken, shown
from plimsoll.facts import Action, Manifest, Notice, Plan

SOON_SECONDS = 0.2
EPOCH_SECONDS = 0.25
OUTAGE_SECONDS = 5.0
#: No event tells that a pod of a pool has loaded a model: in these phases it is asked again after so many seconds.
_POOL_WAITS = {"Warming": 1.0, "Promoting": 1.0, "Held": 5.0}
_TROUBLES = {"Accepted", "StoreAvailable"}
_AT_REST = {None, "Pending", "Idle", "RolledBack"}


def plan(observed: Observed, taken: Taken | None = None) -> Plan:
    """What this pass wants of the world. Empty when the world is as the spec asks. `taken` is what its sample becomes,
    where that is known."""
    collected = collect(observed, taken)
    turn = Turn(observed, choose(observed), collected.evidence)
    status = decide(turn)
    if status.quarantine != observed.status.quarantine:
        # What was taken back in this pass is not what the spec asks for any more: else the first sentence lacked that.
        turn = replace(turn, choice=choose(replace(observed, status=status)))
    status = _with_ledger(observed, status, collected)
    status = report.reported(turn, changed(status, eta=forecast(turn, status)))
    jobs = judge_jobs.actions(observed, status, collected.evidence.windows)
    after = (*children.actions(observed, status, turn.choice), *jobs)
    status = _acted(observed, status) if not after else _with_troubles(observed, status)
    old, new = observed.status.to_manifest(), status.to_manifest()
    before = _before(observed, collected)
    moved = bool(after or before) or old != new
    return Plan(
        before=before,
        status=new if old != new else None,
        after=(*after, *_archived(observed, status, collected)),
        notices=notices.notices(observed.status, status),
        requeue_after=_requeue(observed, status, collected, moved=moved),
    )


def needs_sample(status: InferenceServiceStatus) -> bool:
    """Whether the pods have to be asked: while a candidate is measured, and until all of them follow the route."""
    return status.followed_epoch < status.epoch or (status.candidate is not None and status.phase != "Preparing")


def troubled(owner: Manifest, status: InferenceServiceStatus, finding: Finding, now: float) -> Plan:
    """The status with one more finding beside the conditions that it has, and an Event when it is news."""
    kept = [
        Finding(one.type, one.status, one.reason, one.message) for one in status.conditions if one.type != finding.type
    ]
    found = conditions(status.conditions, [*kept, finding], now=now, generation=owner["metadata"].get("generation"))
    told = any(
        (one.type, one.reason, one.message) == (finding.type, finding.reason, finding.message)
        for one in status.conditions
    )
    if told:
        return Plan()
    notice = Notice("Warning", finding.reason, finding.message)
    said = changed(status, message=_headline(finding.message), conditions=found)
    return Plan(status=said.to_manifest(), notices=(notice,))


# --- the parts of the plan ------------------------------------------------------------------------------------------


def _with_ledger(observed: Observed, status: Status, collected: Collected) -> Status:
    """The status cites the ledger that it rests on; a new attempt has none."""
    text = _text(observed, collected)
    if status.attempt != observed.status.attempt or text is None:
        return status
    return changed(status, ledger=digest(text), windows=shown(collected.evidence.windows))


def _text(observed: Observed, collected: Collected) -> str | None:
    return collected.files[names.LEDGER_KEY] if collected.files else ledger_text(observed)


def _before(observed: Observed, collected: Collected) -> tuple[Action, ...]:
    return (children.record(observed, collected.files),) if collected.files else ()


def _archived(observed: Observed, status: Status, collected: Collected) -> tuple[Action, ...]:
    """At the end of a release its ledger goes to the store; should this be lost, it goes there before it is deleted."""
    ended = status.phase in _AT_REST and observed.status.phase not in _AT_REST
    text = _text(observed, collected)
    return (archive(observed, observed.status.attempt, text),) if ended and text else ()


def _acted(observed: Observed, status: Status) -> Status:
    """A generation counts as acted on when nothing is left to be done for it."""
    return changed(status, observed_generation=observed.generation)


def _with_troubles(observed: Observed, status: Status) -> Status:
    """What kept us from doing this stays in the conditions until it is done."""
    troubles = [one for one in observed.status.conditions if one.type in _TROUBLES]
    if not troubles:
        return status
    return changed(status, message=_headline(troubles[0].message), conditions=(*status.conditions, *troubles))


def _headline(text: str) -> str:
    """What stops us is what the printer column shows."""
    return shortened(text, 1024)


def _requeue(observed: Observed, status: Status, collected: Collected, *, moved: bool) -> float | None:
    times = [SOON_SECONDS] if moved else []
    times += [max(at - observed.now, SOON_SECONDS) for at in _deadlines(observed, status, collected)]
    return round(min(times), 3) if times else None


def _deadlines(observed: Observed, status: Status, collected: Collected) -> Iterator[float]:
    """When something may have to be done that no event tells of, in Unix seconds."""
    now = observed.now
    if status.followed_epoch < status.epoch:
        late = status.routed_at is not None and now - unix(status.routed_at) > 2 * following.LAG_SECONDS
        yield now + (OUTAGE_SECONDS if late else EPOCH_SECONDS)
    else:
        yield from (unix(one.since) + DRAIN_SECONDS for one in status.retiring)
    if observed.pool is not None and observed.pool.config_map is not None and status.phase in _POOL_WAITS:
        yield now + _POOL_WAITS[status.phase]
    if (look := watching.next_look(replace(observed, status=status), observed.watched)) is not None:
        yield look
    if (cold := watching.cold_at(observed, status)) is not None:
        yield cold
    if gateway.missing(observed) is not None:
        yield now + gateway.MISSING_SECONDS
    if (frozen := gate.freeze(observed, status)) is not None and frozen.until is not None:
        yield frozen.until
    measured = pace.measured(status)
    counts = pace.precedes(observed, status) or (measured and status.step_since is not None)
    if counts and collected.next_at is not None:
        yield collected.next_at
    ends = pace.pre_period_ends(observed, status, collected.evidence.windows)
    if ends is not None and ends > now:
        yield ends
    if measured and (renewal := route.renewal_due(observed)) is not None:
        yield renewal
    if status.candidate is not None and (due := pace.deadline(observed, status)) is not None and due > now:
        yield due
