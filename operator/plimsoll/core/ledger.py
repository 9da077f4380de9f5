"""The recorded evidence of an attempt: canonical, bounded, and enough to reach every verdict again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from typing import Any, cast, get_args

from plimsoll.core.ledger_external import external_rows, with_external
from plimsoll.core.ledger_rows import Bins, read_window, written_window
from plimsoll.core.statistics.policy import Policy
from plimsoll.core.verdict import Mode, verdicts
from plimsoll.facts import Demand, Verdict, Window
from plimsoll.names import LATENCY_EDGES

FORMAT_VERSION = 4
#: Ledgers of 2 know errors and latency only, those of 3 no signed differences.
_READ_VERSIONS = (2, 3, 4)
MAX_BYTES = 512 * 1024
MAX_WINDOWS = 2000
#: After so many windows the next ones are twice as long.
_LENGTHEN_AFTER = 250


class LedgerError(ValueError):
    """A ledger that cannot be kept or read; the message names the field and the remedy."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """All windows of one attempt, in order of time, and what they were judged by."""

    stable: str
    candidate: str
    policy: Policy
    mode: Mode = "Sequential"
    windows: tuple[Window, ...] = ()


def append(ledger: Ledger, window: Window) -> Ledger:
    """The ledger with one window more. Raises LedgerError when it is full: nothing is dropped or merged, for either
    would change verdicts; the release has to be held or decided. `next_window_seconds` keeps it from filling up."""
    if len(ledger.windows) >= MAX_WINDOWS:
        raise LedgerError(
            f"windows: the ledger holds {MAX_WINDOWS:,}, the most it may; decide the release, or retry it"
        )
    if ledger.windows and window.index <= ledger.windows[-1].index:
        raise LedgerError(
            f"windows: index {window.index} does not follow {ledger.windows[-1].index}; append in order of time"
        )
    return replace(ledger, windows=(*ledger.windows, window))


def is_nearly_full(size: int, windows: int) -> bool:
    """Whether a ledger of so many bytes may have no room for a window more, be that four times as large as others."""
    return size + 4 * size // max(1, windows) > MAX_BYTES


def next_window_seconds(windows: int, base: float, size: int = 0) -> float:
    """Seconds of the next window: `base`, doubled every 250 windows, so that 2,000 windows of 10 s last a week.

    Windows of many pods take more room: it is doubled as well whenever another eighth of MAX_BYTES is full, of which
    the ledger takes `size`.
    """
    return base * 2.0 ** max(windows // _LENGTHEN_AFTER, 8 * size // MAX_BYTES)


def replay(ledger: Ledger) -> tuple[Verdict, ...]:
    """The verdict after each window, from nothing but the ledger."""
    return verdicts(ledger.windows, ledger.policy, mode=ledger.mode)


def digest(ledger: Ledger) -> str:
    """SHA-256 of the encoded ledger, in hex."""
    return sha256(encode(ledger).encode()).hexdigest()


def encode(ledger: Ledger) -> str:
    """Canonical JSON: sorted keys, no blanks, zeros at the end of `slower` left out. Raises LedgerError beyond
    MAX_BYTES."""
    bins = Bins()
    windows = [written_window(window, bins) for window in ledger.windows]
    document = {
        "formatVersion": FORMAT_VERSION,
        "edges": LATENCY_EDGES,
        "stable": ledger.stable,
        "candidate": ledger.candidate,
        "mode": ledger.mode,
        "policy": asdict(ledger.policy),
        "bins": bins.table(),
        "windows": windows,
    } | external_rows(ledger.windows)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    size = len(text.encode())
    if size > MAX_BYTES:
        raise LedgerError(
            f"windows: the ledger would take {size:,} bytes, more than {MAX_BYTES:,}; decide the release, or retry it"
        )
    return text


def decode(text: str) -> Ledger:
    """The ledger that `encode` wrote, of this format or those before. Raises LedgerError for anything else."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise LedgerError(f"the ledger is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("formatVersion") not in _READ_VERSIONS:
        raise LedgerError(
            f"formatVersion must be {FORMAT_VERSION}: read it with the release of the program that wrote it"
        )
    version = document["formatVersion"]
    if document.get("edges") != list(LATENCY_EDGES):
        raise LedgerError("edges differ from this program's: replay it with the release of the program that wrote it")
    if document.get("mode") not in get_args(Mode):
        raise LedgerError(f"mode must be one of {', '.join(get_args(Mode))}")
    try:
        bins = Bins.read(document["bins"]) if version > _READ_VERSIONS[0] else None
        rows = tuple(read_window(row, bins) for row in document["windows"])
        windows = with_external(rows, document.get("external"))
        return Ledger(
            str(document["stable"]),
            str(document["candidate"]),
            _read_policy(document["policy"], complete=version == FORMAT_VERSION),
            cast("Mode", document["mode"]),
            windows,
        )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise LedgerError(f"the ledger is damaged: {error!r}; fetch it again from the store") from error


def _read_policy(values: dict[str, Any], *, complete: bool) -> Policy:
    """What an earlier format does not name was not judged: the policy's own defaults."""
    known = {field.name for field in fields(Policy)}
    unfit = set(values) ^ known if complete else set(values) - known or ({"alpha"} - set(values))
    if unfit:
        raise LedgerError(f"policy: {', '.join(sorted(unfit))} missing or unknown")
    return Policy(**values | {"external": tuple(Demand(**one) for one in values.get("external", []))})
