"""`result.json` is believed only when it is the one that was vouched for and holds together."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll.core.result import Message, Refusal, Result, accept, parse_accepted, parse_message
from plimsoll.core.run import digest

from tests.builders.training import DIGEST, OTHER_DIGEST, body_of, gates_failed, message_of, rejected, result

RUN = "0123456789abcdef"
KEY = f"runs/{RUN}/result.json"


def message(document: dict[str, Any], **changes: Any) -> Message:
    parsed = parse_message(message_of(document))
    assert parsed is not None
    return parsed.model_copy(update=changes)


@pytest.mark.parametrize("modifiers", [(), (gates_failed,), (rejected,)], ids=["passed", "gates failed", "rejected"])
def test_the_very_result_is_accepted(modifiers: tuple[Any, ...]) -> None:
    document = result(RUN, *modifiers)
    found = accept(body_of(document), message(document), run=RUN, key=KEY)
    assert isinstance(found, Result)
    assert found.verdict == document["verdict"]


def _with(**fields: Any) -> dict[str, Any]:
    return result(RUN) | fields


def _changed(**changes: Any) -> Any:
    return lambda: accept(body_of(result(RUN)), message(result(RUN), **changes), run=RUN, key=KEY)


def _document(document: dict[str, Any]) -> Any:
    return lambda: accept(body_of(document), message(document), run=RUN, key=KEY)


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        (lambda: accept(None, message(result(RUN)), run=RUN, key=KEY), "is not in the store"),
        (_changed(result=OTHER_DIGEST), f"but {OTHER_DIGEST[:12]}… was reported"),
        (_changed(verdict="GatesFailed"), "says Passed, but GatesFailed was reported"),
        (_changed(digest=OTHER_DIGEST), "or of another model"),
        (_document(result("f" * 16)), "is of run ffffffffffffffff"),
        (_document(_with(formatVersion=2)), "formatVersion"),
        (_document(_with(metrics={"accuracy": "high"})), "metrics.accuracy"),
        (_document(_with(signature=None)), "names no model or no signature"),
        (_document(_with(artifact={"uri": None, "sha256": DIGEST})), "names no model or no signature"),
        (_document(_with(gates=[result(RUN)["gates"][0] | {"passed": False}])), "not every gate passed"),
    ],
    ids=["missing", "sha256", "verdict", "digest", "run", "format", "metric", "signature", "place", "gate"],
)
def test_any_other_result_is_refused(attempt: Any, says: str) -> None:
    refusal = attempt()
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "ResultMismatch"
    assert KEY in refusal.message and says in refusal.message and refusal.message.endswith(".")


def test_a_metric_that_is_no_number_is_refused() -> None:
    body = body_of(result(RUN)).replace(b"0.97111", b"NaN")
    reported = Message(verdict="Passed", digest=DIGEST, result=digest(body))
    assert isinstance(accept(body, reported, run=RUN, key=KEY), Refusal)


@pytest.mark.parametrize("body", [None, b"", b"{}", b"not JSON", b'{"result": "x", "provenance": {}}'])
def test_a_note_that_cannot_be_read_is_no_note(body: bytes | None) -> None:
    assert parse_accepted(body) is None
