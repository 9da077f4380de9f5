"""Evidence of a running release: a sample becomes a window, the windows a verdict, and all of it the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from plimsoll import names
from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import WindowStatus
from plimsoll.core import ledger, route
from plimsoll.core.conditions import shortened, timestamp
from plimsoll.core.evidence import window_between
from plimsoll.core.release import cursor, pace
from plimsoll.core.release.archive import ledger_name
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.turn import Evidence, Status
from plimsoll.core.verdict import Mode, Policy, judge
from plimsoll.facts import Sample, Verdict, Window

#: Scrapes are not punctual: a window may be this much shorter than the spec says.
_EARLY_SECONDS = 0.05
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Record:
    """What the ConfigMap of an attempt holds: the windows, and the sample that the next one starts from."""

    windows: tuple[Window, ...] = ()
    cursor: Sample | None = None
    full: str | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """The evidence; `files` has to be written before the status that rests on it; `next_at` ends the next window."""

    evidence: Evidence
    files: Mapping[str, str] | None = None
    next_at: float | None = None


def collect(observed: Observed) -> Collected:
    """What the sample of this pass adds. Without a candidate that has a share there is nothing but epochs to see."""
    status, sample = observed.status, observed.sample
    followed = sample is not None and route.followed(observed, status)
    record = recorded(observed)
    if status.candidate is None or status.stable is None or not status.weight:
        return Collected(Evidence(record.windows, followed=followed))
    grown = _grown(observed, record, sample, followed) if sample is not None else record
    fresh = len(grown.windows) > len(record.windows) or _is_unjudged(observed, record)
    verdict = judged(observed, grown.windows) if fresh and grown.windows else None
    outage = grown.full or (grown.windows[-1].gap if grown.windows else None)
    evidence = Evidence(
        grown.windows, verdict, verdict is not None, followed, outage=outage, seen_at=sample.at if sample else None
    )
    return Collected(evidence, _files(observed, record, grown), _due(observed, grown))


# --- the record -----------------------------------------------------------------------------------------------------


def recorded(observed: Observed) -> Record:
    """The record of the attempt. One that is lost or cannot be read is begun anew: the evidence is gathered again."""
    files = _stored(observed)
    try:
        windows = ledger.decode(files[names.LEDGER_KEY]).windows if names.LEDGER_KEY in files else ()
    except ledger.LedgerError:
        return Record()
    return Record(windows, cursor.decode(files.get(cursor.CURSOR_KEY)))


def ledger_text(observed: Observed) -> str | None:
    """The ledger's text as the cluster has it."""
    return _stored(observed).get(names.LEDGER_KEY)


def digest(text: str) -> str:
    """What the status cites: SHA-256 of a ledger's text, in hex."""
    return sha256(text.encode()).hexdigest()


def _stored(observed: Observed) -> Mapping[str, str]:
    manifest = observed.config_maps.get(ledger_name(observed.name, observed.status.attempt)) or {}
    return manifest.get("data") or {}


def _is_unjudged(observed: Observed, record: Record) -> bool:
    """The ledger is ahead of the status: the write of the status that rests on it was lost."""
    text = ledger_text(observed)
    return bool(record.windows) and text is not None and observed.status.ledger != digest(text)


def _files(observed: Observed, record: Record, grown: Record) -> Mapping[str, str] | None:
    if grown.cursor is None or grown.cursor is record.cursor:
        return None
    return {
        names.LEDGER_KEY: ledger.encode(_ledger(observed, grown.windows)),
        cursor.CURSOR_KEY: cursor.encode(grown.cursor),
    }


def _ledger(observed: Observed, windows: tuple[Window, ...]) -> ledger.Ledger:
    status = observed.status
    assert status.stable is not None and status.candidate is not None
    return ledger.Ledger(status.stable.revision, status.candidate.revision, policy(observed), mode(observed), windows)


# --- the next window ------------------------------------------------------------------------------------------------


def _grown(observed: Observed, record: Record, sample: Sample, followed: bool) -> Record:
    """The record with this sample: the base of the first window of a share, or the end of a window that is due."""
    if observed.status.step_since is None:
        # Until every pod reports the share, nobody knows which one the counts are of.
        return replace(record, cursor=sample) if followed else record
    if record.cursor is None:
        return replace(record, cursor=sample)
    due = _due(observed, record)
    if due is None or sample.at < due - _EARLY_SECONDS:
        return record
    window = _window(observed, record, record.cursor, sample)
    try:
        grown = ledger.append(_ledger(observed, record.windows), window)
        ledger.encode(grown)
    except ledger.LedgerError as error:
        return replace(record, full=str(error))
    return Record(grown.windows, sample)


def _due(observed: Observed, record: Record) -> float | None:
    if record.cursor is None:
        return None
    return record.cursor.at + ledger.next_window_seconds(
        len(record.windows), seconds(observed.spec.release.analysis.window)
    )


def _window(observed: Observed, record: Record, previous: Sample, sample: Sample) -> Window:
    status = observed.status
    assert status.stable is not None and status.candidate is not None
    last = max([one.index for one in record.windows[-1:]] + [one.index for one in status.windows[-1:]], default=0)
    return window_between(
        previous, sample, index=last + 1, step=step_label(observed, status), weight=status.weight or 0,
        stable=status.stable.revision, candidate=status.candidate.revision,
    )  # fmt: skip


def step_label(observed: Observed, status: Status) -> int:
    """The step that a window belongs to: one after the last for what comes after the steps."""
    return pace.step_number(observed, status) or len(pace.steps(observed)) + 1


# --- the verdict ----------------------------------------------------------------------------------------------------


def judged(observed: Observed, windows: tuple[Window, ...]) -> Verdict:
    """The verdict on all windows of the attempt."""
    return judge(windows, policy(observed), mode=mode(observed))


def mode(observed: Observed) -> Mode:
    """Without two arms that take requests there is nothing to compare."""
    return "Sequential" if 0 < (observed.status.weight or 0) < 100 else "Absolute"


def policy(observed: Observed) -> Policy:
    """The spec's analysis in the verdict's terms."""
    analysis, number = observed.spec.release.analysis, pace.step_number(observed, observed.status)
    errors, latency = analysis.error_rate, analysis.latency
    return Policy(
        alpha=analysis.alpha,
        error_margin=errors.margin if errors.enabled else None,
        error_max=errors.max if errors.max is not None and errors.max < 1 else None,
        latency_margin=latency.margin if latency.enabled else None,
        latency_max_p99_seconds=seconds(latency.max_p99) if latency.max_p99 else None,
        min_requests=pace.steps(observed)[number - 1].min_requests if number else 0,
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
