"""When a freeze is on, and until when: in local time, across changes of clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from plimsoll.api.freeze import FreezeWindow
from plimsoll.core.release.calendar import frozen

BERLIN = "Europe/Berlin"


def at(text: str) -> float:
    """Unix seconds of a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def until(now: str, **window: Any) -> str | None:
    """The end in UTC of the freeze that is on, or None."""
    found = frozen([FreezeWindow.model_validate(window)], at(now))
    if found is None:
        return None
    assert found.until is not None, found.message
    return datetime.fromtimestamp(found.until, UTC).isoformat(timespec="minutes").removesuffix("+00:00")


WEEKEND = {"schedule": "0 18 * * FRI", "duration": "62h", "timeZone": BERLIN}


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-11-27T16:59", None),
        ("2026-11-27T17:00", "2026-11-30T07:00"),
        ("2026-11-29T12:00", "2026-11-30T07:00"),
        ("2026-11-30T06:59", "2026-11-30T07:00"),
        ("2026-11-30T07:00", None),
        ("2026-07-03T15:59", None),
        ("2026-07-03T16:00", "2026-07-06T06:00"),
    ],
)
def test_a_schedule_is_in_local_time_summer_and_winter(now: str, end: str | None) -> None:
    assert until(now, **WEEKEND) == end


def test_a_duration_is_elapsed_time_also_where_clocks_change() -> None:
    """Clocks go forward on Sunday 2026-03-29 at 01:00 UTC: 62 hours after Friday 18:00 it is Monday 09:00."""
    assert until("2026-03-29T12:00", **WEEKEND) == "2026-03-30T07:00"
    assert until("2026-03-27T17:00", **WEEKEND) == "2026-03-30T07:00"


def test_a_beginning_that_clocks_skip_is_when_they_go_on() -> None:
    night = {"schedule": "30 2 * * *", "duration": "1h", "timeZone": BERLIN}
    assert until("2026-03-29T00:59", **night) is None
    assert until("2026-03-29T01:30", **night) == "2026-03-29T02:00"


def test_a_beginning_that_clocks_repeat_is_one_each_time() -> None:
    night = {"schedule": "30 2 * * *", "duration": "30m", "timeZone": BERLIN}
    assert until("2026-10-25T01:45", **night) == "2026-10-25T02:00"
    assert until("2026-10-25T02:00", **night) is None


def test_windows_that_touch_are_told_as_one() -> None:
    """An hour in each of these hours: what follows without a gap is no end."""
    assert until("2026-11-27T09:30", schedule="0 9-11 * * *", duration="1h") == "2026-11-27T12:00"


def test_windows_that_never_end_are_told_to_the_end_that_can_be_seen() -> None:
    assert until("2026-11-27T09:30", schedule="* * * * *", duration="2m") is not None


def test_a_schedule_without_a_day_freezes_nothing() -> None:
    assert until("2026-11-27T09:30", schedule="0 0 30 2 *", duration="1h") is None


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-12-23T22:59", None),
        ("2026-12-23T23:00", "2027-01-03T23:00"),
        ("2027-01-03T22:59", "2027-01-03T23:00"),
        ("2027-01-03T23:00", None),
    ],
)
def test_days_of_a_holiday_are_days_of_the_zone(now: str, end: str | None) -> None:
    assert until(now, **{"from": "2026-12-24", "to": "2027-01-04"}, timeZone=BERLIN) == end


def test_the_window_that_ends_last_is_told_with_its_place() -> None:
    windows = [
        {"from": "2026-11-01", "to": "2026-11-02"},
        {"from": "2026-11-27", "to": "2026-11-28"},
        {"from": "2026-11-27", "to": "2026-11-29T06:30", "timeZone": BERLIN},
    ]
    found = frozen([FreezeWindow.model_validate(one) for one in windows], at("2026-11-27T12:00"))
    assert found is not None
    assert found.message == "frozen until 2026-11-29T06:30+01:00 (spec.release.freezeWindows[2])"


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (
            {"schedule": "0 18 * * FRI", "duration": "1h", "timeZone": "Europe/Berln"},
            ".timeZone: there is no time zone",
        ),
        ({"from": "2026-02-30", "to": "2026-03-01"}, " cannot be read: day"),
        ({"schedule": "5-1 * * * FRI-MON", "duration": "1h"}, None),
    ],
)
def test_a_window_that_cannot_be_read_freezes_and_says_what_to_correct(
    window: dict[str, str], said: str | None
) -> None:
    found = frozen([FreezeWindow.model_validate(window)], at("2026-11-27T12:00"))
    if said is None:
        assert found is None or found.until is not None
    else:
        assert found is not None and found.until is None
        assert f"spec.release.freezeWindows[0]{said}" in found.message
