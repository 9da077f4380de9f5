"""What a client accepts."""

from __future__ import annotations

import pytest
from plimsoll_serving.http.media import accepts, accepts_coding, parse_media_type

OFFERED = ("application/json", "text/csv")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "application/json"),
        (b"", "application/json"),
        (b"*/*", "application/json"),
        (b"text/csv", "text/csv"),
        (b"text/*", "text/csv"),
        (b"application/json;q=0.5, text/csv", "text/csv"),
        (b"text/csv;q=0, */*;q=0.1", "application/json"),
        (b"text/html", None),
        (b"text/csv;q=nonsense", None),
    ],
)
def test_the_best_of_what_is_offered_is_chosen(header: bytes | None, chosen: str | None) -> None:
    assert accepts(header, OFFERED) == chosen


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (b"gzip", True),
        (b"br, GZIP;q=0.3", True),
        (b"gzip;q=0", False),
        (b"*", True),
        (b"identity", False),
        (b"", False),
    ],
)
def test_a_coding_is_used_only_when_it_is_accepted(header: bytes, allowed: bool) -> None:
    assert accepts_coding(header, "gzip") is allowed


def test_media_types_are_read_with_their_parameters() -> None:
    assert parse_media_type(b'Text/CSV; Charset="UTF-8" ;header=present') == (
        "text/csv",
        {"charset": "UTF-8", "header": "present"},
    )
