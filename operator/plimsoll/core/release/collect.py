"""Evidence of a running release: a sample becomes a window, the windows a verdict, and all of it the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plimsoll.core.conditions import timestamp
from plimsoll.core.release import pace, sources, windows
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.record import Record, files_of, is_unjudged
from plimsoll.core.release.turn import Evidence
from plimsoll.core.release.windows import Taken
from plimsoll.core.verdict import judge
from plimsoll.facts import Verdict, Window

#: What could not be written is tried again so much later, when nothing happens before.
_UNRECORDED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Collected:
    """The evidence; `files` has to be written before the status that rests on it; `next_at` ends the next window."""

    evidence: Evidence
    files: Mapping[str, str] | None = None
    next_at: float | None = None


def collect(observed: Observed, found: Taken | None = None) -> Collected:
    """What the sample of this pass adds; `found` is what `windows.taken` says of it, where that is known.

    Without a candidate that has a share there is nothing but epochs to see.
    """
    status, sample = observed.status, observed.sample
    followed, preceding = windows.is_followed(observed), pace.precedes(observed, status)
    found = found or windows.taken(observed)
    record = found.record
    if status.stable is None or not (preceding or pace.measured(status)):
        return Collected(Evidence(record.windows, followed=followed))
    grown = windows.grown(observed, found, sample) if sample is not None else record
    fresh = len(grown.windows) > len(record.windows) or is_unjudged(observed, record)
    verdict = judged(grown) if fresh and not preceding else None
    if observed.unrecorded is not None:
        return _unrecorded(observed.unrecorded, record, verdict, followed=followed, now=observed.now)
    outage = None if preceding else _outage(observed, grown, followed=followed)
    evidence = Evidence(
        grown.windows, verdict, verdict is not None, followed, outage=outage,
        full=grown.full, seen_at=sample.at if sample and sample.epochs is None else None,
    )  # fmt: skip
    return Collected(evidence, files_of(record, grown), None if grown.full else windows.next_at(observed, grown))


def _unrecorded(why: str, record: Record, verdict: Verdict | None, *, followed: bool, now: float) -> Collected:
    """Of what cannot be recorded only a failure counts: nobody keeps a bad version for want of a place to write."""
    if verdict is None or verdict.outcome != "Fail":
        return Collected(Evidence(record.windows, followed=followed, outage=why), None, now + _UNRECORDED_SECONDS)
    told = replace(verdict, reason=f"{verdict.reason}; its last window is not in the ledger ({why})")
    return Collected(Evidence(record.windows, told, True, followed, outage=why), None, now + _UNRECORDED_SECONDS)


def judged(record: Record) -> Verdict | None:
    """The verdict on all windows, from nothing but the ledger: so a replay reaches the same."""
    if record.ledger is None or not record.windows:
        return None
    return judge(record.windows, record.ledger.policy, mode=record.ledger.mode)


def _outage(observed: Observed, record: Record, *, followed: bool) -> str | None:
    """Why nothing can be known for now, or None. Before the share is in force silent pods keep it from being seen."""
    if observed.status.step_since is not None:
        return _gap_since(record.windows) or _external_gap_since(record.windows)
    absent = observed.sample.absent if observed.sample else {}
    if followed or not absent:
        return None
    why = "; ".join(f"{pod}: {reason}" for pod, reason in sorted(absent.items())[:3])
    return f"down: {len(absent)} pods did not say which route they follow ({why})"


def _gap_since(windows: Sequence[Window]) -> str | None:
    """The gap of the last window, and since when there has been nothing but gaps."""
    if not windows or windows[-1].gap is None:
        return None
    counted = [number for number, one in enumerate(windows) if one.gap is None]
    return f"{windows[-1].gap}; since {timestamp(windows[counted[-1] + 1 if counted else 0].start)}"


def _external_gap_since(windows: Sequence[Window]) -> str | None:
    """The same of custom metrics and judges: those without an answer are nobody's doubt."""
    if not windows:
        return None
    for name, said in sorted(windows[-1].external.items()):
        if said.gap is not None:
            given = [n for n, one in enumerate(windows) if name in one.external and one.external[name].gap is None]
            asked = [one for one in windows[given[-1] + 1 if given else 0 :] if name in one.external]
            return f"{sources.called(name)}: {said.gap}; since {timestamp(asked[0].start)}"
    return None
