"""Trace ids and log lines."""

from __future__ import annotations

import json
import logging
import re

import pytest
from plimsoll_serving.logs import JsonFormatter, TextFormatter, trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"00-{TRACE}-{PARENT}-01", TRACE),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", TRACE),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{PARENT}", None),
        (f"00-{TRACE}-{PARENT}-1", None),
        ("", None),
        (None, None),
    ],
)
def test_a_trace_id_is_read_only_from_a_valid_header(header: str | None, found: str | None) -> None:
    assert trace_id(None if header is None else header.encode()) == found


def record() -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": "listening on %s", "args": ("all",), "levelname": "INFO"})
    made.fields = {"public": 8080, "traceId": None}
    return made


def test_the_same_record_is_json_for_programs_and_text_for_people() -> None:
    line = json.loads(JsonFormatter(None).format(record()))
    assert {**line, "time": ""} == {
        "time": "",
        "level": "info",
        "message": "listening on all",
        "public": 8080,
        "traceId": None,
    }
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO listening on all public=8080", TextFormatter().format(record()))


def test_a_trace_of_the_program_follows_its_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        made = record()
        made.exc_info = (type(error), error, error.__traceback__)
    assert "ValueError: broken" in TextFormatter().format(made)
    assert "ValueError: broken" in json.loads(JsonFormatter(None).format(made))["trace"]
