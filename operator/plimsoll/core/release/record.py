"""What the ConfigMap of an attempt holds: the ledger of its windows, and the sample that the next one starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from plimsoll import names
from plimsoll.core import ledger as ledgers
from plimsoll.core.ledger import Ledger
from plimsoll.core.recent import Recent
from plimsoll.core.release import cursor
from plimsoll.core.release.archive import ledger_name
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.turn import Status
from plimsoll.facts import Sample, Window


@dataclass(frozen=True, slots=True)
class Record:
    """`ledger` says by which policy its windows were judged last, and `text` is its encoding where that is known;
    `full` is why no window can be added."""

    ledger: Ledger | None = None
    cursor: Sample | None = None
    full: str | None = None
    text: str | None = None

    @property
    def windows(self) -> tuple[Window, ...]:
        """All windows, in order of time."""
        return self.ledger.windows if self.ledger else ()


def recorded(observed: Observed) -> Record:
    """The record of the attempt. One that is lost, cannot be read or is of other revisions is begun anew."""
    files = _stored(observed)
    try:
        found = _decoded(files[names.LEDGER_KEY]) if names.LEDGER_KEY in files else None
    except ledgers.LedgerError:
        return Record()
    if found is not None and not _is_of(found, observed.status):
        return Record()
    return Record(found, cursor.decode(files.get(cursor.CURSOR_KEY)))


#: What was read or written last: most passes find what the last one found or wrote, and to read a long ledger again
#: takes longer than to judge its new window.
_recent: Recent[str, Ledger] = Recent(64)


def _decoded(text: str) -> Ledger:
    return _recent.keep(text, _recent.get(text) or ledgers.decode(text))


def extended(ledger: Ledger, cursor: Sample) -> Record:
    """The record of a ledger that has a window more. Raises LedgerError when it cannot be kept."""
    text = ledgers.encode(ledger)
    return Record(_recent.keep(text, ledger), cursor, text=text)


def _is_of(found: Ledger, status: Status) -> bool:
    """A status that was lost or restored may come to a number that another attempt had."""
    if status.candidate is None:
        return True
    reference = status.baseline or status.stable
    stable = reference.revision if reference else ""
    return (found.stable, found.candidate) == (stable, status.candidate.revision)


def ledger_text(observed: Observed) -> str | None:
    """The ledger's text as the cluster has it."""
    return _stored(observed).get(names.LEDGER_KEY)


def digest(text: str) -> str:
    """What the status cites: SHA-256 of a ledger's text, in hex."""
    return sha256(text.encode()).hexdigest()


def is_unjudged(observed: Observed, record: Record) -> bool:
    """The ledger is ahead of the status: the write of the status that rests on it was lost."""
    text = ledger_text(observed)
    return bool(record.windows) and text is not None and observed.status.ledger != digest(text)


def files_of(before: Record, after: Record) -> Mapping[str, str] | None:
    """What has to be written; None when nothing new was recorded."""
    if after.cursor is None or after.ledger is None or after.cursor is before.cursor:
        return None
    return {
        names.LEDGER_KEY: after.text or ledgers.encode(after.ledger),
        cursor.CURSOR_KEY: cursor.encode(after.cursor),
    }


def _stored(observed: Observed) -> Mapping[str, str]:
    manifest = observed.config_maps.get(ledger_name(observed.name, observed.status.attempt)) or {}
    return manifest.get("data") or {}
