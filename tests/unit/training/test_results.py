"""The termination message fits, and JSON is canonical."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_training.results import MESSAGE_BYTES, canonical_json, error_message, verdict_message, write_termination

from tests.unit.training.laws import law


@law
@given(st.text(max_size=3000))
def test_an_error_message_is_json_of_at_most_512_bytes_that_begins_as_the_error_does(message: str) -> None:
    content = error_message("InvalidParameters", message)
    assert len(content) <= MESSAGE_BYTES
    error = json.loads(content)["error"]
    assert error["reason"] == "InvalidParameters"
    told = message.encode("utf-8", errors="replace").decode()
    assert told == error["message"] or (error["message"].endswith("…") and told.startswith(error["message"][:-1]))


@law
@given(st.text(st.characters(codec="ascii", categories=["L", "N", "Zs"]), max_size=420))
def test_a_short_error_is_told_whole(message: str) -> None:
    assert json.loads(error_message("InvalidParameters", message))["error"]["message"] == message


def test_a_long_error_keeps_most_of_what_fits() -> None:
    for letter in ("a", "ü", "漢", '"', "\n"):
        assert len(error_message("InvalidParameters", letter * 5000)) > MESSAGE_BYTES - 100


@pytest.mark.parametrize("verdict", ["Passed", "GatesFailed", "Rejected"])
def test_a_verdict_fits_into_512_bytes(verdict: str) -> None:
    result = canonical_json({"verdict": verdict, "artifact": {"sha256": "a" * 64}, "reason": "x" * 4000})
    assert len(verdict_message(result)) <= MESSAGE_BYTES
    assert json.loads(verdict_message(canonical_json({"verdict": "Rejected", "artifact": None})))["digest"] is None


def test_json_is_the_same_whatever_the_order_and_never_nan() -> None:
    assert canonical_json({"b": 1, "a": "ü"}) == canonical_json({"a": "ü", "b": 1}) == '{"a":"ü","b":1}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


def test_the_message_goes_over_the_file_of_kubelet_and_makes_none(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("something longer than the message")
    write_termination(there, b"{}")
    assert there.read_bytes() == b"{}"
    write_termination(tmp_path / "absent", b"{}")
    assert not (tmp_path / "absent").exists()
