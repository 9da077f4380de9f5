"""The windows of a release: what the sample of a pass is to those before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import WindowStatus
from plimsoll.core import external, following, gateway, ledger, route
from plimsoll.core.conditions import shortened, timestamp, unix
from plimsoll.core.copies import paired
from plimsoll.core.evidence import uncompared, window_between
from plimsoll.core.predictions import pruned
from plimsoll.core.release import analysis, pace, sources
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.record import Record, extended, ledger_text, recorded
from plimsoll.core.release.turn import Status
from plimsoll.facts import ArmCounts, External, Sample, Window

#: A Prometheus that has no newer scrape yet is not asked again sooner.
_POLL_SECONDS = 2.0
_SHOWN = 10
#: More windows before the first share teach nothing that is worth their place.
_PRECEDING = 60


@dataclass(frozen=True, slots=True)
class Taken:
    """What the sample of a pass is to the `record` before it: nothing, the `base` of the next window, or the end of
    `window`, which lacks what custom metrics and judges say of it. `full` is why the record takes no window more."""

    record: Record
    base: bool = False
    window: Window | None = None
    full: str | None = None


def taken(observed: Observed) -> Taken:
    """What the sample of this pass is to the record: computed once a pass, for it takes a whole window."""
    status, sample, record = observed.status, observed.sample, recorded(observed)
    preceding = pace.precedes(observed, status)
    if sample is None or status.stable is None or not (preceding or pace.measured(status)):
        return Taken(record)
    if preceding and _has_preceding(record):
        return Taken(record)
    if not preceding and status.step_since is None:
        # Until every pod reports the share, nobody knows which one the counts are of.
        return Taken(record, base=is_followed(observed))
    if record.cursor is None or record.cursor.at > observed.now:
        # The record was lost, or the clock was set back.
        return Taken(record, base=True)
    if sample.at <= (record.cursor.until or record.cursor.at):
        # Some of it was counted already: replicas of a Prometheus know different scrapes.
        return Taken(record)
    if record.cursor.outage and not sample.outage:
        # The pods that were there in the outage would decide alone.
        return Taken(record, base=True)
    if sources.from_prometheus(observed) and _precedes_share(observed, record.cursor):
        # Scrapes are older than the pass that reads them: these may be of the share before.
        return Taken(record, base=True)
    due = _due(observed, record)
    if due is None or sample.at < due - pace.EARLY_SECONDS:
        return Taken(record)
    window = _window(observed, record, record.cursor, sample)
    return Taken(record, window=window, full=_full(observed, record, window))


def is_followed(observed: Observed) -> bool:
    status = observed.status
    return observed.sample is not None and following.followed(observed, status) and gateway.followed(observed, status)


def _has_preceding(record: Record) -> bool:
    """Whether enough windows precede the first share."""
    return len(record.windows) >= _PRECEDING


def _full(observed: Observed, record: Record, window: Window) -> str | None:
    """Why the ledger has no room for this window, so that nobody is asked about it in vain; None where it has. Its
    bytes are counted only where they may be too many."""
    try:
        longer = ledger.append(_ledger(observed, record.windows), window)
        if ledger.is_nearly_full(len(ledger_text(observed) or ""), len(record.windows)):
            ledger.encode(longer)
    except ledger.LedgerError as error:
        return str(error)
    return None


def grown(observed: Observed, found: Taken, sample: Sample) -> Record:
    """The record with this sample: the base of the first window of a share, or the end of a window that is due."""
    if found.full is not None:
        return replace(found.record, full=found.full)
    if found.window is None:
        return _based(observed, found.record, sample) if found.base else found.record
    try:
        longer = ledger.append(_ledger(observed, found.record.windows), whole(observed, found.record, found.window))
        return extended(longer, _kept(observed, found.record, sample))
    except ledger.LedgerError as error:
        return replace(found.record, full=str(error))


def whole(observed: Observed, record: Record, window: Window) -> Window:
    """The window with what custom metrics and judges have said of it; before the first share none is asked."""
    if record.cursor is None or observed.sample is None or pace.precedes(observed, observed.status):
        return window
    return replace(window, external=_external(observed, record.cursor, observed.sample, window))


def _precedes_share(observed: Observed, base: Sample) -> bool:
    since = observed.status.step_since
    return since is not None and not base.outage and base.at < unix(since)


def _based(observed: Observed, record: Record, sample: Sample) -> Record:
    """The next window starts here. What was judged keeps the policy that it was judged by."""
    return Record(record.ledger or _ledger(observed, ()), _kept(observed, record, sample), record.full)


def _kept(observed: Observed, record: Record, sample: Sample) -> Sample:
    """What of a sample the next window needs."""
    stable, candidate = route.compared(observed.status), observed.status.candidate
    assert stable is not None and candidate is not None
    arms, versions = (stable.revision, candidate.revision), (stable.version, candidate.version)
    known = record.cursor.external if record.cursor else {}
    return replace(
        sample,
        pods=tuple(pruned(pod, arms, versions) for pod in sample.pods),
        external={name: external.remembered(known.get(name), one) for name, one in sample.external.items()},
    )


def _ledger(observed: Observed, windows: tuple[Window, ...]) -> ledger.Ledger:
    status = observed.status
    assert status.stable is not None and status.candidate is not None
    stable = (status.baseline or status.stable).revision
    return ledger.Ledger(stable, status.candidate.revision, analysis.policy(observed), analysis.mode(observed), windows)


def _due(observed: Observed, record: Record) -> float | None:
    if record.cursor is None:
        return None
    size, base = len(ledger_text(observed) or ""), seconds(observed.spec.release.analysis.window)
    return record.cursor.at + ledger.next_window_seconds(len(record.windows), base, size)


def next_at(observed: Observed, record: Record) -> float | None:
    due = _due(observed, record)
    if pace.precedes(observed, observed.status) and _has_preceding(record):
        return None
    return due if due is None or not sources.from_prometheus(observed) else max(due, observed.now + _POLL_SECONDS)


def _window(observed: Observed, record: Record, previous: Sample, sample: Sample) -> Window:
    status, compared = observed.status, route.compared(observed.status)
    assert status.stable is not None and compared is not None and status.candidate is not None
    last = max([one.index for one in record.windows[-1:]] + [one.index for one in status.windows[-1:]], default=0)
    if pace.precedes(observed, status):
        return _preceding(previous, sample, last + 1, compared.revision)
    arms = compared.revision, status.candidate.revision
    window = window_between(
        previous, sample, index=last + 1, step=step_label(observed, status), weight=status.weight or 0,
        stable=arms[0], candidate=arms[1], rest=status.stable.revision if compared == status.baseline else None,
        gap=sample.outage,
    )  # fmt: skip
    if _lacks_baseline(observed):
        window = uncompared(window)
    return paired(window, previous, sample, arms) if status.mirror else window


def _preceding(previous: Sample, sample: Sample, index: int, stable: str) -> Window:
    """A window before the first share: nothing can be compared, and the stable pods tell how noisy they are."""
    window = window_between(
        previous, sample, index=index, step=0, weight=0, stable=stable, candidate=stable, gap=sample.outage
    )
    return replace(
        window, candidate=ArmCounts(), outputs=(), cohorts=(), pairs=None, differences=(), turned_away=(0, 0)
    )


def _lacks_baseline(observed: Observed) -> bool:
    """Whether too few of its pods are there to bear its share: one that fails would make any candidate look well."""
    share = route.baseline_share(observed.status)
    baseline = observed.status.baseline if share else None
    return baseline is not None and observed.ready(baseline.revision) < pace.needed(observed, share)


def _external(observed: Observed, previous: Sample, sample: Sample, window: Window) -> Mapping[str, External]:
    """What custom metrics and judges say of a window; of one that does not count they are not asked."""
    demands = sources.demands(observed.spec.release.analysis) if window.gap is None else ()
    answers = sample.answers if sample.judged == window.index else {}
    return {
        demand.name: answers.get(demand.name, sources.UNASKED)
        if demand.kind == "Judge"
        else external.between(demand, previous.external.get(demand.name), sample.external.get(demand.name))
        for demand in demands
    }


def step_label(observed: Observed, status: Status) -> int:
    """The step that a window belongs to: 0 for copies, one after the last for what comes after the steps."""
    return 0 if status.mirror else pace.step_number(observed, status) or len(pace.steps(observed)) + 1


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
