"""After the release: what serves is watched, reported when it gets worse, and taken back where the spec says so.

What is known between two looks at the pods is kept in memory, so that a healthy service costs no write at all. Only
suspicion is written down, and outlives the operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import RevisionRef, VerdictStatus
from plimsoll.api.monitoring import Degraded
from plimsoll.core.conditions import Finding, find, precise, timestamp, unix
from plimsoll.core.evidence import window_between
from plimsoll.core.release import degradation, pace
from plimsoll.core.release import turn as moves
from plimsoll.core.release.observed import Observed, Watched, Weighed
from plimsoll.core.release.turn import Status, Turn
from plimsoll.core.statistics.change import RUN_LENGTH
from plimsoll.facts import Sample

#: From this e-value on suspicion is written down. Below, chance alone would cause writes.
_SUSPICIOUS = 100.0
#: The evidence that it takes to believe that it is well again.
_RECOVERED = 100.0
#: After so many looks in a row that showed nothing, nobody knows how it is.
_BLIND = 3


# --- looking ----------------------------------------------------------------------------------------------------------


def applies(observed: Observed) -> bool:
    """Whether there is something to watch now. During a release the release watches."""
    status = observed.status
    at_rest = status.phase in {"Idle", "RolledBack"} and status.candidate is None
    return observed.spec.monitoring is not None and status.stable is not None and at_rest


def next_look(observed: Observed, watched: Watched | None) -> float | None:
    """When to ask the pods next, in Unix seconds; None when nothing is watched."""
    if not applies(observed) or observed.spec.monitoring is None:
        return None
    if watched is None or watched.revision != _stable(observed) or watched.looked_at > observed.now:
        return observed.now  # nothing is known of it, or the clock was set back
    return watched.looked_at + seconds(observed.spec.monitoring.interval)


def is_due(observed: Observed, watched: Watched | None) -> bool:
    """Whether the pods have to be asked in this pass."""
    at = next_look(observed, watched)
    return at is not None and observed.now >= at - pace.EARLY_SECONDS


def look(observed: Observed, watched: Watched | None) -> Watched | None:
    """What is known after the sample of this pass. The same sample again changes nothing."""
    if not applies(observed):
        return None
    sample = observed.sample
    if sample is None or not is_due(replace(observed, now=sample.at), watched):
        return watched
    if watched is None or watched.revision != _stable(observed):
        return Watched(_stable(observed), sample.at, sample, _suspected(observed))
    counts = _counted(observed, watched, sample)
    if counts is None:
        cursor = sample if sample.pods else watched.cursor
        return replace(watched, looked_at=sample.at, cursor=cursor, blind=watched.blind + 1)
    return _weighed(observed, replace(watched, looked_at=sample.at, cursor=sample, blind=0, measured=True), counts)


def _stable(observed: Observed) -> str:
    assert observed.status.stable is not None
    return observed.status.stable.revision


def _suspected(observed: Observed) -> dict[str, Weighed]:
    """What was written down of each metric, one after the other."""
    known, size = tuple(observed.status.suspicion), degradation.BETS
    return {
        metric: degradation.unweighed(metric, known[place * size : (place + 1) * size])
        for place, metric in enumerate(degradation.WEIGHTS)
    }


def _counted(observed: Observed, watched: Watched, sample: Sample) -> degradation.Counts | None:
    """What the arm counted since the last look; None when that cannot be known."""
    if sample.at <= watched.cursor.at:
        return None
    arm = watched.revision
    window = window_between(watched.cursor, sample, index=1, step=0, weight=0, stable=arm, candidate=arm)
    if window.gap:
        return None
    assert observed.status.stable is not None
    return degradation.counts(window, (watched.cursor, sample), observed.status.stable.version)


def _weighed(observed: Observed, watched: Watched, counts: degradation.Counts) -> Watched:
    """With what came to light of each metric."""
    assert observed.spec.monitoring is not None
    degraded, rates = observed.status.degraded, dict(watched.rates)
    for metric, limit in degradation.limits(observed.spec.monitoring).items():
        worse = degraded is not None and degraded.metric == metric
        rates[metric] = degradation.weighed(metric, watched.rates[metric], counts[metric], limit, worse=worse)
    return replace(watched, rates=rates)


# --- what it means for the status -------------------------------------------------------------------------------------


def noted(turn: Turn, status: Status) -> Status:
    """With what was noticed, and without what is over."""
    status = _cooled(turn, status)
    monitoring, watched = turn.observed.spec.monitoring, turn.observed.watched
    revision = status.stable.revision if status.stable else None
    if status.degraded is not None and (monitoring is None or status.degraded.revision != revision):
        status = moves.changed(status, degraded=None)
    if monitoring is None or watched is None:
        return status if monitoring is not None or not status.suspicion else moves.changed(status, suspicion=())
    limits = degradation.limits(monitoring)
    if status.degraded is not None:
        metric = status.degraded.metric
        rate = watched.rates.get(metric) if metric in limits else None
        well = rate is None or degradation.health_of(metric, rate) >= np.log(_RECOVERED)
        return moves.changed(status, degraded=None) if well else status
    for metric in limits:
        if degradation.harm_of(metric, watched.rates[metric]) >= np.log(RUN_LENGTH):
            reason = degradation.sentence(metric, limits[metric], watched.rates[metric])
            found = Degraded(revision=watched.revision, metric=metric, reason=reason, at=timestamp(turn.now))
            return moves.changed(status, degraded=found, suspicion=())
    suspicion = _suspicion(watched, limits)
    return status if suspicion == tuple(status.suspicion) else moves.changed(status, suspicion=suspicion)


def _suspicion(watched: Watched, limits: Mapping[str, float]) -> tuple[float, ...]:
    """What is worth writing down; nothing of the last metrics that are not suspicious."""
    found: tuple[float, ...] = ()
    rates, least = watched.rates, np.log(_SUSPICIOUS)
    metrics = tuple(degradation.WEIGHTS)
    kept = [metric in limits and degradation.harm_of(metric, rates[metric]) >= least for metric in metrics]
    for place, metric in enumerate(metrics):
        harm = rates[metric].harm
        if any(kept[place:]):
            found += tuple(round(one, 3) for one in harm) if kept[place] else (0.0,) * len(harm)
    return found


def _cooled(turn: Turn, status: Status) -> Status:
    """Without the warm revision once its time is over, or once it has another part to play."""
    named = {one.revision for one in (status.stable, status.candidate) if one is not None}
    due = cold_at(turn.observed, status)
    if status.warm is None or (status.warm.revision not in named and due is not None and turn.now < due):
        return status
    return moves.changed(status, warm=None)


def cold_at(observed: Observed, status: Status) -> float | None:
    """When the warm revision loses its pods, in Unix seconds."""
    monitoring = observed.spec.monitoring
    if status.warm is None or monitoring is None or monitoring.keep_warm is None:
        return None
    return unix(status.warm.since) + seconds(monitoring.keep_warm)


# --- going back -------------------------------------------------------------------------------------------------------


def taken_back(turn: Turn, status: Status) -> Status | None:
    """Back to the warm revision, when what serves is degraded and the spec says so; None when there is nothing to do.

    It is told first and done in the next pass: the intent is written before the effect.
    """
    if turn.observed.status.degraded is None or status.degraded is None or why_not_back(turn, status) is not None:
        return None
    warm, worse = status.warm, status.stable
    assert warm is not None and worse is not None
    old = RevisionRef(revision=warm.revision, version=warm.version, digest=warm.digest)
    reason = status.degraded.reason
    verdict = VerdictStatus(
        outcome="Fail", mode="Absolute", metric=status.degraded.metric, reason=reason, at=precise(turn.now)
    )
    status = moves.changed(
        status, stable=old, candidate=worse, last_proven=old, warm=None, degraded=None, attempt=status.attempt + 1,
        revision_attempt=None, started_at=timestamp(turn.now), step=None, step_since=None, verdict=verdict,
        ledger=None, windows=(), rollback_seconds=None,
        retiring=tuple(one for one in status.retiring if one.revision != old.revision),
    )  # fmt: skip
    return moves.roll_back(turn, status, "RolledBack", reason)


def why_not_back(turn: Turn, status: Status) -> str | None:
    """Why a degraded service is left as it is, or None when it can go back."""
    monitoring, observed = turn.observed.spec.monitoring, turn.observed
    if monitoring is None or monitoring.on_degraded == "Alert":
        return "onDegraded is Alert"
    if status.candidate is not None:
        return "a release is under way"
    if status.warm is None:
        return "no version is kept warm to go back to"
    ready = observed.ready(status.warm.revision)
    if ready < observed.replicas:
        return f"{ready} of {observed.replicas} pods of v{status.warm.version} are ready"
    return None


# --- what is said of it -----------------------------------------------------------------------------------------------


def healthy(turn: Turn, status: Status) -> Finding | None:
    """The condition Healthy. Its sentences have no number that changes from look to look: each would be a write."""
    monitoring, watched = turn.observed.spec.monitoring, turn.observed.watched
    if monitoring is None or status.stable is None:
        return None
    if status.degraded is not None:
        why = why_not_back(turn, status)
        said = status.degraded.reason + (f"; not taken back: {why}" if why else "")
        return Finding("Healthy", "False", "Degraded", said)
    if watched is not None and watched.blind >= _BLIND:
        return Finding("Healthy", "Unknown", "EvidenceUnavailable", "the metrics of the pods cannot be read")
    if watched is not None and watched.measured:
        return Finding("Healthy", "True", "WithinBounds", degradation.within(monitoring))
    before, same = find(turn.observed.status.conditions, "Healthy"), turn.observed.status.stable == status.stable
    if before is not None and same and before.status != "False":
        # A new operator has not looked twice yet: what the last one saw holds.
        return Finding("Healthy", before.status, before.reason, before.message)
    return Finding("Healthy", "Unknown", "NotYetMeasured", "the pods have not been asked twice yet")
