"""Freeze windows: when nothing new may reach users. The moment is passed in; time zones are those of the IANA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter

from plimsoll.api.common import seconds
from plimsoll.api.freeze import FreezeWindow

#: Windows of one schedule that follow each other without a gap are told as one, up to so many.
_JOINED = 500
_FIELD = "spec.release.freezeWindows"


@dataclass(frozen=True, slots=True)
class Frozen:
    """Why nothing may move, as a sentence, and until when in Unix seconds; None: until the spec is corrected."""

    message: str
    until: float | None


def frozen(windows: Sequence[FreezeWindow], now: float) -> Frozen | None:
    """The freeze that is on at `now` (Unix seconds) and ends last, or None.

    A schedule names the beginnings in local time, as cron does; a duration is elapsed time, also where clocks change.
    What a change of clocks skips begins when the clock goes on; what it repeats begins twice. A window that cannot be
    read freezes: nobody knows what it was to protect.
    """
    found = [_read(f"{_FIELD}[{i}]", window, now) for i, window in enumerate(windows)]
    return max((one for one in found if one is not None), key=lambda one: one.until or float("inf"), default=None)


def _read(field: str, window: FreezeWindow, now: float) -> Frozen | None:
    try:
        zone = ZoneInfo(window.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        remedy = "use a name of the IANA time zone database, such as Europe/Berlin or UTC"
        return Frozen(f"{field}.timeZone: there is no time zone {window.time_zone}; {remedy}", None)
    try:
        end = _until(window, now, zone)
    except ValueError as error:
        return Frozen(f"{field} cannot be read: {error}; correct it", None)
    if end is None:
        return None
    local = datetime.fromtimestamp(end, zone).isoformat(timespec="minutes")
    return Frozen(f"frozen until {local} ({field})", end)


def _until(window: FreezeWindow, now: float, zone: ZoneInfo) -> float | None:
    """When the window that is on at `now` ends, or None when none is on."""
    if window.schedule is None:
        begin, end = (_moment(text, zone) for text in (window.begin or "", window.end or ""))
        return end if begin <= now < end else None
    length = seconds(window.duration or "0s")
    # A beginning at this very second is one.
    last = _fired(croniter(window.schedule, datetime.fromtimestamp(int(now) + 1, zone)))
    if last is None or now >= last + length:
        return None
    later = croniter(window.schedule, datetime.fromtimestamp(last, zone))
    for begun in islice(later.all_next(datetime), _JOINED):
        if begun.timestamp() > last + length:
            break
        last = begun.timestamp()
    return last + length


def _fired(schedule: croniter) -> float | None:
    """The last beginning; None for a schedule without one in the last fifty years, such as the 30th of February."""
    try:
        found: datetime = schedule.get_prev(datetime)
    except ValueError:
        return None
    return found.timestamp()


def _moment(text: str, zone: ZoneInfo) -> float:
    """`2026-12-24` or `2026-12-24T18:00` in the zone; a time that clocks skip is the moment at which they do."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
