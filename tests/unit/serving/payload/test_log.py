"""The queue is bounded, a slow or broken sink costs nothing but its events, and each event is accounted for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
from plimsoll_serving.errors import SettingsError
from plimsoll_serving.payload import log as module
from plimsoll_serving.payload.events import EventWriter, mask_of
from plimsoll_serving.payload.log import PayloadCounts, PayloadLog
from plimsoll_serving.payload.options import PayloadOptions
from plimsoll_serving.payload.sinks import FileSink, SinkError, open_sink
from plimsoll_serving.settings import Environment

from tests.integration.serving.harness import eventually
from tests.unit.serving.payload.test_events import FEATURES, IDENTITY, INPUTS, MATRIX, OUTPUTS


class Kept:
    """A sink that does as it is told."""

    most = 20
    linger = 0.0

    def __init__(self, act: Callable[[int], None] = lambda _: None) -> None:
        self.batches: list[list[bytes]] = []
        self.calls = 0
        self._act = act

    def write(self, events: list[bytes]) -> None:
        self.calls += 1
        self._act(self.calls)
        self.batches.append(events)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(event) for batch in self.batches for event in batch]


def log_to(sink: Any) -> PayloadLog:
    writer = EventWriter(IDENTITY, MATRIX, mask_of((), MATRIX, FEATURES))
    return PayloadLog(PayloadCounts(IDENTITY), writer, sink, share=1.0)


def offer(log: PayloadLog, count: int = 1) -> None:
    for number in range(count):
        log.offer(str(number), INPUTS, OUTPUTS, None)


def outcomes(log: PayloadLog) -> dict[str, float]:
    (family,) = log._counts.collect()
    return {sample.labels["outcome"]: sample.value for sample in family.samples}


def test_what_waits_is_written_when_the_log_is_closed() -> None:
    sink = Kept()
    log = log_to(sink)
    offer(log, 25)
    log.close()
    assert [event["data"]["id"] for event in sink.events[::2]] == [str(number) for number in range(25)]
    assert max(map(len, sink.batches)) <= Kept.most
    assert outcomes(log) == {"written": 50, "dropped": 0, "failed": 0}


def test_a_sink_that_hangs_holds_up_nobody_and_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_RECORDS", 30)
    hanging = threading.Event()
    entered = threading.Event()

    def hang(_: int) -> None:
        entered.set()
        hanging.wait(60)

    log = log_to(Kept(hang))
    offer(log)
    assert entered.wait(60)
    offer(log, 100)
    assert outcomes(log)["dropped"] == 2 * 70
    log.close(0.05)
    assert outcomes(log) == {"written": 0, "dropped": 2 * 100, "failed": 0}
    hanging.set()


def test_bytes_that_wait_are_bounded_and_so_is_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_RECORD", 50)
    sink = Kept()
    log = log_to(sink)
    offer(log)
    log.offer(None, {"input": np.ones((1, 3), np.float32)}, {}, None)
    log.close()
    assert outcomes(log) == {"written": 2, "dropped": 2, "failed": 0}


def test_a_failure_is_tried_again_once_and_then_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)

    def fail(call: int) -> None:
        if call in (1, 3, 4):
            raise SinkError("the sink answers 503")

    sink = Kept(fail)
    sink.most = 2
    log = log_to(sink)
    offer(log, 3)
    eventually(lambda: sum(outcomes(log).values()) == 6, "every event is accounted for")
    log.close()
    assert outcomes(log) == {"written": 4, "dropped": 0, "failed": 2}


def test_the_arrays_of_an_event_are_its_own() -> None:
    sink = Kept()
    started = threading.Event()
    log = log_to(sink)
    shared = {"input": np.zeros((1, 3), np.float32)}
    with log._changed:
        log.offer("a", shared, {}, None)
        shared["input"][:] = 9
        started.set()
    log.close()
    assert sink.events[0]["data"]["inputs"][0]["data"] == [0, 0, 0]


def test_a_share_of_the_answers_is_chosen() -> None:
    draws = iter([0.0, 0.24, 0.25, 0.9])
    writer = EventWriter(IDENTITY, MATRIX, mask_of((), MATRIX, FEATURES))
    log = PayloadLog(PayloadCounts(IDENTITY), writer, Kept(), 0.25, lambda: next(draws))
    assert [log.chosen() for _ in range(4)] == [True, True, False, False]
    log.close()


def test_a_file_is_rotated_within_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "payload.jsonl"
    sink = FileSink(path, most_bytes=100)
    for number in range(10):
        sink.write([b'{"number": %02d}' % number] * 3)
    old = path.with_name("payload.jsonl.1")
    assert path.stat().st_size <= 100
    assert old.stat().st_size <= 100
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["payload.jsonl", "payload.jsonl.1"]
    assert path.read_text().splitlines()[-1] == '{"number": 09}'


def test_a_store_whose_client_gives_up_loses_a_batch_and_not_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As of pyo3, whose libraries panic."""

    def panics(*_: object) -> None:
        raise PanicException("called `Result::unwrap()` on an `Err` value")

    sink = open_sink(PayloadOptions(1.0, "s3://events/a"), IDENTITY)
    monkeypatch.setattr(obstore, "put", panics)
    with pytest.raises(SinkError, match=r"called `Result::unwrap"):
        sink.write([b"{}"])


def options(**values: str) -> PayloadOptions:
    return PayloadOptions.read(Environment({f"PLIMSOLL_PAYLOAD_LOG{name}": value for name, value in values.items()}))


@pytest.mark.parametrize(
    "sink", ["kafka://x/y", "file:relative", "file://host/x", "http:///x", "http://user:pass@x/", "s3:///x", "/tmp/x"]
)
def test_an_unknown_sink_is_refused(sink: str) -> None:
    with pytest.raises(SettingsError, match=r"PLIMSOLL_PAYLOAD_LOG_SINK is .*, not file:///path"):
        open_sink(PayloadOptions(1.0, sink), IDENTITY)


def test_a_log_without_a_sink_is_refused() -> None:
    with pytest.raises(SettingsError, match="PLIMSOLL_PAYLOAD_LOG_SINK does not say where to"):
        options(**{"": "0.5"})
    with pytest.raises(SettingsError, match="PLIMSOLL_PAYLOAD_LOG is '2', not a share of requests from 0 to 1"):
        options(**{"": "2"})


def test_settings_are_read() -> None:
    read = options(**{"": "0.1", "_SINK": "file:///tmp/x", "_MASK": " age, income,", "_FILE_BYTES": "5000"})
    assert read == PayloadOptions(0.1, "file:///tmp/x", ("age", "income"), 5000, 1)
