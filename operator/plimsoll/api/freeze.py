"""Calendar times in which no release goes on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from plimsoll.api.cel import Rule, between, matching
from plimsoll.api.common import Duration, Part

_MOMENT = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9])?$"
_Moment = Annotated[
    str,
    Field(
        max_length=16,
        json_schema_extra=matching(_MOMENT, "must be a day or a time of it, such as 2026-12-24 or 2026-12-24T18:00"),
    ),
]


def _cron(low: str, names: str = "") -> str:
    """One field of cron: *, numbers, ranges, steps and lists of them."""
    one = f"({low}{names})"
    part = rf"(\*|{one}(-{one})?)(/[0-9]{{1,2}})?"
    return f"{part}(,{part})*"


_MONTHS = "|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_DAYS = "|MON|TUE|WED|THU|FRI|SAT|SUN"
_CRON = " ".join((
    f"^{_cron('[0-5]?[0-9]')}",
    _cron("1?[0-9]|2[0-3]"),
    _cron("[1-9]|[12][0-9]|3[01]"),
    _cron("[1-9]|1[0-2]", _MONTHS),
    f"{_cron('[0-7]', _DAYS)}$",
))  # fmt: skip
_Schedule = Annotated[
    str,
    Field(
        max_length=100,
        json_schema_extra=matching(
            _CRON, "must be a cron schedule of five fields: minute, hour, day, month, weekday, such as 0 18 * * FRI"
        ),
    ),
]
_Zone = Annotated[
    str,
    Field(
        max_length=64,
        json_schema_extra=matching(
            "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$",
            "must be a name of the IANA time zone database, such as Europe/Berlin or UTC",
        ),
    ),
]


class FreezeWindow(Part):
    """A time in which no release begins and none goes on; what fails is taken back all the same."""

    rules = (
        Rule("has(self.schedule) != has(self.from)", "a window needs schedule or from, and not both"),
        Rule("has(self.schedule) == has(self.duration)", "schedule and duration belong together", ".duration"),
        Rule("has(self.from) == has(self.to)", "from and to belong together", ".to"),
        Rule("!has(self.from) || !has(self.to) || self.from < self.to", "to must be after from", ".to"),
    )
    schedule: _Schedule | None = Field(
        default=None, description="When it begins, each time: minute, hour, day, month and weekday, as cron has them."
    )
    duration: Annotated[Duration, Field(json_schema_extra=between("1m", "744h"))] | None = Field(
        default=None, description="How long it lasts after each beginning."
    )
    begin: _Moment | None = Field(
        default=None, alias="from", description="When it begins, once: a day, or a time such as 2026-12-24T18:00."
    )
    end: _Moment | None = Field(default=None, alias="to", description="When it ends.")
    time_zone: _Zone = Field(default="UTC", description="Where these times are local.")
