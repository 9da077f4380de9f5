"""The payload log of a real server: to a file, to an HTTP server, to one that hangs."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from plimsoll.api.runtime import PayloadLog
from plimsoll.core import serving_env

from tests.builders.certificates import self_signed
from tests.builders.s3_server import S3Server, running_s3_server
from tests.integration.serving.harness import RIGHT, Server, eventually, running, v2
from tests.integration.serving.test_counting import profiled

NAME = "plimsoll_payload_log_events_total"


def events_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_requests_and_answers_are_in_the_file_without_what_is_masked(tmp_path: Path) -> None:
    path = tmp_path / "payload.jsonl"
    log = {
        "PLIMSOLL_PAYLOAD_LOG": "1",
        "PLIMSOLL_PAYLOAD_LOG_SINK": f"file://{path}",
        "PLIMSOLL_PAYLOAD_LOG_MASK": "b, probabilities",
    }
    with running(profiled(tmp_path / "server", "digits-log", **log)) as (server,):
        answer = server.infer(v2([1.5, 77.25, 3, 4], id="mine"))
        eventually(lambda: server.counts(NAME, "outcome")["written"] == 2, "both events are written")
        server.infer(v2([1, 2, 3, 4], id="last"))
        assert server.stop() == 0
    asked, answered, *rest = events_of(path)
    assert (asked["type"], answered["type"]) == (
        "dev.plimsoll.inference.request", "dev.plimsoll.inference.response",
    )  # fmt: skip
    assert asked["data"]["inputs"][0]["data"] == [1.5, None, 3.0, 4.0]
    label = next(one["data"] for one in answer.json()["outputs"] if one["name"] == "label")
    assert [one["data"] for one in answered["data"]["outputs"]] == [label, []]
    assert asked["predictionid"] == answered["predictionid"] == answer.headers["plimsoll-prediction-id"]
    assert [event["data"]["id"] for event in (asked, *rest)] == ["mine", "last", "last"], "flushed at the end"
    assert "77.25" not in path.read_text()


def test_a_masked_prediction_is_not_in_the_id_of_its_event_either(tmp_path: Path) -> None:
    path = tmp_path / "payload.jsonl"
    log = {
        "PLIMSOLL_PAYLOAD_LOG": "1",
        "PLIMSOLL_PAYLOAD_LOG_SINK": f"file://{path}",
        "PLIMSOLL_PAYLOAD_LOG_MASK": "label,probabilities",
    }
    with running(profiled(tmp_path / "server", "digits-masked", **log)) as (server,):
        answer = server.infer(v2([1.5, 77.25, 3, 4]))
        assert server.stop() == 0
    assert len(events_of(path)) == 2
    assert answer.headers["plimsoll-prediction-id"], "who asked knows the prediction anyway"
    assert "predictionid" not in path.read_text() and answer.headers["plimsoll-prediction-id"] not in path.read_text()


def test_a_mask_of_what_the_model_does_not_have_is_refused_at_start(tmp_path: Path) -> None:
    log = {"PLIMSOLL_PAYLOAD_LOG": "1", "PLIMSOLL_PAYLOAD_LOG_SINK": "file:///tmp/x", "PLIMSOLL_PAYLOAD_LOG_MASK": "bb"}
    server = profiled(tmp_path, "digits-mask", **log).start()
    assert server.process is not None
    assert server.process.wait(60) == 2
    assert "PLIMSOLL_PAYLOAD_LOG_MASK names 'bb'" in server.log_path.read_text()


class Receiver:
    """An HTTP server that keeps what it is sent."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.events.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_events_reach_an_http_server(tmp_path: Path, receiver: Receiver) -> None:
    log = {
        "PLIMSOLL_PAYLOAD_LOG": "1",
        "PLIMSOLL_PAYLOAD_LOG_SINK": f"http://127.0.0.1:{receiver.server.server_port}/events",
        "PLIMSOLL_PAYLOAD_LOG_HTTP_BATCH": "50",
    }
    with running(Server(tmp_path, RIGHT, "digits-http", **log)) as (server,):
        for number in range(10):
            server.infer(v2([number, 2, 3, 4]))
        # The receiver has them a moment before the server knows that it has.
        eventually(lambda: server.counts(NAME, "outcome")["written"] == 20, "twenty events")
        assert server.counts(NAME, "outcome") == {"written": 20, "dropped": 0, "failed": 0}
    sent = [event for batch in receiver.events for event in batch]
    assert [event["data"]["inputs"][0]["data"][0] for event in sent[::2]] == list(range(10))
    assert {event["specversion"] for event in sent} == {"1.0"}


def test_a_sink_that_hangs_changes_no_answer_and_no_shutdown(tmp_path: Path) -> None:
    """It takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as mute:
        log = {
            "PLIMSOLL_PAYLOAD_LOG": "1",
            "PLIMSOLL_PAYLOAD_LOG_SINK": f"http://127.0.0.1:{mute.getsockname()[1]}/",
        }
        with running(Server(tmp_path, RIGHT, "digits-mute", **log)) as (server,), httpx.Client() as client:

            def dropped(more: int = 100) -> bool:
                """Of many more answers. What waits is bounded; the sink's timeouts make room for a few at a time."""
                answers = [client.post(server.url(), json=v2([1, 2, 3, 4])) for _ in range(more)]
                assert {answer.status_code for answer in answers} == {200}
                return server.counts(NAME, "outcome")["dropped"] >= 2 * 90

            dropped(1000)
            eventually(dropped, "events are dropped")
            assert server.counts(NAME, "outcome")["written"] == 0
            started = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started < 50, "the flush at the end is bounded"


def test_events_are_objects_of_a_store_where_the_process_is_given_credentials(tmp_path: Path) -> None:
    with running_s3_server(tmp_path / "s3") as store:
        bucket = store.make_bucket("events")
        log = {"PLIMSOLL_PAYLOAD_LOG": "1", "PLIMSOLL_PAYLOAD_LOG_SINK": f"s3://{bucket}/payload/"}
        log |= store.environment(bucket) | {"PLIMSOLL_NAMESPACE": "demo", "PLIMSOLL_SERVICE": "numbers"}
        with running(Server(tmp_path / "server", RIGHT, "digits-s3", **log)) as (server,):
            server.infer(v2([1, 2, 3, 4], id="mine"))
            assert server.stop() == 0
        (found,) = (store.root / bucket / "payload" / "demo" / "numbers").rglob("*.jsonl")
        assert [event["data"]["id"] for event in events_of(found)] == ["mine", "mine"]


def s3_log(store: S3Server, bucket: str, **more: str) -> dict[str, str]:
    """The variables that the operator's pod has for such a sink, with what its Secret holds."""
    log = PayloadLog.model_validate({"samplePercent": 100, "sink": f"s3://{bucket}/payload"})
    secret = {key: value for key, value in store.environment(bucket).items() if key.startswith("AWS_")} | more
    env = serving_env.payload_log(log)
    for one in serving_env.payload_store(log):
        asked = one["valueFrom"]["secretKeyRef"]
        if asked["key"] in secret or not asked.get("optional"):
            env[one["name"]] = secret[asked["key"]]
    return env | {"PLIMSOLL_NAMESPACE": "demo", "PLIMSOLL_SERVICE": "numbers"}


def test_a_stores_certificate_may_be_of_an_authority_in_the_secret(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path / "tls")
    with running_s3_server(tmp_path / "s3", certificate=(certificate, key)) as store:
        bucket = store.make_bucket("events")
        known = s3_log(store, bucket, **{"ca.crt": certificate.read_text()})
        with running(Server(tmp_path / "known", RIGHT, "digits-ca", **known)) as (server,):
            server.infer(v2([1, 2, 3, 4], id="mine"))
            assert server.stop() == 0
        (found,) = (store.root / bucket).rglob("*.jsonl")
        assert [event["data"]["id"] for event in events_of(found)] == ["mine", "mine"]
        with running(Server(tmp_path / "other", RIGHT, "digits-no-ca", **s3_log(store, bucket))) as (server,):
            server.infer(v2([1, 2, 3, 4]))
            eventually(lambda: server.counts(NAME, "outcome")["failed"] == 2, "a stranger's certificate")
    assert len([*(tmp_path / "s3").rglob("*.jsonl")]) == 1


def test_a_store_that_refuses_the_key_is_counted_and_its_secret_is_in_no_log(tmp_path: Path) -> None:
    with running_s3_server(tmp_path / "s3") as store:
        wrong = s3_log(store, store.make_bucket("events"), AWS_SECRET_ACCESS_KEY="nobody-may-read-this")
        with running(Server(tmp_path / "server", RIGHT, "digits-key", **wrong)) as (server,):
            assert server.infer(v2([1, 2, 3, 4])).status_code == 200
            eventually(lambda: server.counts(NAME, "outcome")["failed"] == 2, "the events are lost")
            log = server.log_path.read_text()
    assert "payload events were not written" in log and "403" in log
    assert "nobody-may-read-this" not in log


@pytest.mark.parametrize("ca", ["x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_that_is_none_is_refused_at_start(tmp_path: Path, ca: str) -> None:
    log = {"PLIMSOLL_PAYLOAD_LOG": "1", "PLIMSOLL_PAYLOAD_LOG_SINK": "s3://events/a", "PLIMSOLL_PAYLOAD_LOG_CA": ca}
    server = Server(tmp_path, RIGHT, "digits-bad-ca", **log).start()
    assert server.process is not None
    assert server.process.wait(60) == 2
    assert "PLIMSOLL_PAYLOAD_LOG_CA" in server.log()[-1]["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_ENDPOINT_URL", "minio:9000"), ("AWS_ACCESS_KEY_ID", "nobody-may-read\n"), ("AWS_REGION", "eu-central-1\n")],
)
def test_what_the_store_could_never_be_asked_with_is_refused_at_start_and_not_shown(
    tmp_path: Path, name: str, value: str
) -> None:
    log = {"PLIMSOLL_PAYLOAD_LOG": "1", "PLIMSOLL_PAYLOAD_LOG_SINK": "s3://events/a"}
    server = Server(tmp_path, RIGHT, "digits-bad-key", **log | {name: value}).start()
    assert server.process is not None
    assert server.process.wait(60) == 2
    told = server.log()[-1]["message"]
    assert name in told and "Secret plimsoll-payload-log" in told and value.strip() not in told


def test_nothing_is_logged_unless_asked_for(server: Server) -> None:
    server.infer(v2([1, 2, 3, 4]))
    assert set(server.counts(NAME, "outcome").values()) == {0}
