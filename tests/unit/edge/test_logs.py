from __future__ import annotations

import json
import logging
import sys

from plimsoll.logs import JsonLines


def a_record(message: str, **more: object) -> logging.LogRecord:
    record = logging.LogRecord("plimsoll.audit", logging.INFO, __file__, 1, message, None, None)
    for key, value in more.items():
        setattr(record, key, value)
    return record


def test_a_record_is_one_line_even_with_line_breaks() -> None:
    line = JsonLines().format(a_record("two\nlines", audit={"reason": "Tested"}))

    assert "\n" not in line
    assert json.loads(line)["message"] == "two\nlines"
    assert json.loads(line)["audit"] == {"reason": "Tested"}


def test_a_trace_is_a_field_of_the_line() -> None:
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        line = JsonLines().format(a_record("it failed", exc_info=sys.exc_info()))

    assert "ZeroDivisionError: a bug" in json.loads(line)["trace"]
