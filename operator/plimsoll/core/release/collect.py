"""Evidence of a running release: a sample becomes a window, the windows a verdict, and all of it the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import WindowStatus
from plimsoll.core import gateway, ledger, route
from plimsoll.core.conditions import shortened, timestamp
from plimsoll.core.copies import paired
from plimsoll.core.evidence import window_between
from plimsoll.core.predictions import pruned
from plimsoll.core.release import pace
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.record import Record, files_of, is_unjudged, ledger_text, recorded
from plimsoll.core.release.turn import Evidence, Status
from plimsoll.core.verdict import Mode, Policy, judge
from plimsoll.facts import Sample, Verdict, Window

#: Scrapes are not punctual: a window may be this much shorter than the spec says.
_EARLY_SECONDS = 0.05
_SHOWN = 10
#: How far the split may be from the one that was asked, as a part of the smaller arm's share.
_SPLIT_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Collected:
    """The evidence; `files` has to be written before the status that rests on it; `next_at` ends the next window."""

    evidence: Evidence
    files: Mapping[str, str] | None = None
    next_at: float | None = None


def collect(observed: Observed) -> Collected:
    """What the sample of this pass adds. Without a candidate that has a share there is nothing but epochs to see."""
    status, sample = observed.status, observed.sample
    followed = sample is not None and route.followed(observed, status) and gateway.followed(observed, status)
    record = recorded(observed)
    if status.stable is None or not pace.measured(status):
        return Collected(Evidence(record.windows, followed=followed))
    grown = _grown(observed, record, sample, followed) if sample is not None else record
    fresh = len(grown.windows) > len(record.windows) or is_unjudged(observed, record)
    verdict = judged(grown) if fresh else None
    evidence = Evidence(
        grown.windows, verdict, verdict is not None, followed, outage=_outage(observed, grown, followed=followed),
        full=grown.full, seen_at=sample.at if sample else None,
    )  # fmt: skip
    return Collected(evidence, files_of(record, grown), None if grown.full else _due(observed, grown))


def judged(record: Record) -> Verdict | None:
    """The verdict on all windows, from nothing but the ledger: so a replay reaches the same."""
    if record.ledger is None or not record.windows:
        return None
    return judge(record.windows, record.ledger.policy, mode=record.ledger.mode)


def _outage(observed: Observed, record: Record, *, followed: bool) -> str | None:
    """Why nothing can be known for now, or None. Before the share is in force silent pods keep it from being seen."""
    if observed.status.step_since is not None:
        return record.windows[-1].gap if record.windows else None
    absent = observed.sample.absent if observed.sample else {}
    if followed or not absent:
        return None
    why = "; ".join(f"{pod}: {reason}" for pod, reason in sorted(absent.items())[:3])
    return f"down: {len(absent)} pods did not say which route they follow ({why})"


# --- the next window ------------------------------------------------------------------------------------------------


def _grown(observed: Observed, record: Record, sample: Sample, followed: bool) -> Record:
    """The record with this sample: the base of the first window of a share, or the end of a window that is due."""
    if observed.status.step_since is None:
        # Until every pod reports the share, nobody knows which one the counts are of.
        return _based(observed, record, sample) if followed else record
    if record.cursor is None or sample.at < record.cursor.at:
        # The record was lost, or the clock was set back.
        return _based(observed, record, sample)
    due = _due(observed, record)
    if due is None or sample.at < due - _EARLY_SECONDS:
        return record
    window = _window(observed, record, record.cursor, sample)
    try:
        grown = ledger.append(_ledger(observed, record.windows), window)
        ledger.encode(grown)
    except ledger.LedgerError as error:
        return replace(record, full=str(error))
    return Record(grown, _kept(observed, sample))


def _based(observed: Observed, record: Record, sample: Sample) -> Record:
    """The next window starts here. What was judged keeps the policy that it was judged by."""
    return replace(record, ledger=record.ledger or _ledger(observed, ()), cursor=_kept(observed, sample))


def _kept(observed: Observed, sample: Sample) -> Sample:
    """What of a sample the next window needs."""
    stable, candidate = observed.status.stable, observed.status.candidate
    assert stable is not None and candidate is not None
    arms, versions = (stable.revision, candidate.revision), (stable.version, candidate.version)
    return replace(sample, pods=tuple(pruned(pod, arms, versions) for pod in sample.pods))


def _ledger(observed: Observed, windows: tuple[Window, ...]) -> ledger.Ledger:
    status = observed.status
    assert status.stable is not None and status.candidate is not None
    return ledger.Ledger(status.stable.revision, status.candidate.revision, policy(observed), mode(observed), windows)


def _due(observed: Observed, record: Record) -> float | None:
    if record.cursor is None:
        return None
    size, base = len(ledger_text(observed) or ""), seconds(observed.spec.release.analysis.window)
    return record.cursor.at + ledger.next_window_seconds(len(record.windows), base, size)


def _window(observed: Observed, record: Record, previous: Sample, sample: Sample) -> Window:
    status = observed.status
    assert status.stable is not None and status.candidate is not None
    last = max([one.index for one in record.windows[-1:]] + [one.index for one in status.windows[-1:]], default=0)
    arms = status.stable.revision, status.candidate.revision
    window = window_between(
        previous, sample, index=last + 1, step=step_label(observed, status), weight=status.weight or 0,
        stable=arms[0], candidate=arms[1],
    )  # fmt: skip
    return paired(window, previous, sample, arms) if status.mirror else window


def step_label(observed: Observed, status: Status) -> int:
    """The step that a window belongs to: 0 for copies, one after the last for what comes after the steps."""
    return 0 if status.mirror else pace.step_number(observed, status) or len(pace.steps(observed)) + 1


# --- what it is judged by -------------------------------------------------------------------------------------------


def mode(observed: Observed) -> Mode:
    """Without two arms that take requests there is nothing to compare."""
    two = observed.status.mirror or 0 < (observed.status.weight or 0) < 100
    return "Sequential" if two else "Absolute"


def policy(observed: Observed) -> Policy:
    """The spec's analysis in the verdict's terms."""
    analysis = observed.spec.release.analysis
    errors, latency, shift = analysis.error_rate, analysis.latency, analysis.prediction_shift
    labels = analysis.accuracy
    # No user got the answers to copies, and nobody can say what would have been right.
    labelled = labels.enabled and not observed.status.mirror
    # With a sticky header users are split, not requests, and nobody counts users; with an armHeader callers choose.
    traffic = observed.spec.traffic
    chosen = traffic.gateway_ref is not None and traffic.gateway_ref.arm_header is not None
    by_request = traffic.sticky_header is None and not chosen
    return Policy(
        alpha=analysis.alpha,
        error_margin=errors.margin if errors.enabled else None,
        error_max=errors.max if errors.max is not None and errors.max < 1 else None,
        latency_margin=latency.margin if latency.enabled else None,
        latency_max_p99_seconds=seconds(latency.max_p99) if latency.max_p99 else None,
        min_requests=pace.least_requests(observed, observed.status),
        shift_psi=shift.max_psi if shift.enabled else None,
        shift_fails=shift.enabled and shift.on_shift == "Rollback",
        split_tolerance=_SPLIT_TOLERANCE if by_request else None,
        accuracy_drop=labels.max_drop if labelled else None,
        error_rise=labels.max_error_rise if labelled else None,
        min_labels=labels.min_labels,
        oldest_label=labels.max_label_age,
        disagreement_max=analysis.shadow.max_disagreement if analysis.shadow else None,
    )


def shown(windows: tuple[Window, ...]) -> tuple[WindowStatus, ...]:
    """The last windows as the status has them."""
    return tuple(
        WindowStatus(
            index=one.index, end=timestamp(one.end), weight=one.weight,
            stable=f"{one.stable.failures}/{one.stable.requests}",
            candidate=f"{one.candidate.failures}/{one.candidate.requests}",
            gap=shortened(one.gap, 256) if one.gap else None,
        )
        for one in windows[-_SHOWN:]
    )  # fmt: skip
