"""Events sent to a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from plimsoll_serving.payload.sinks import HttpSink, SinkError


class Receiver:
    """What was received, by connection, content type and body; ``status`` is what it answers."""

    def __init__(self) -> None:
        self.requests: list[tuple[Any, str, str, Any]] = []
        self.status = 202
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver.requests.append((self.client_address, self.path, self.headers["content-type"], body))
                self.send_response(receiver.status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/events?from=here"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_events_go_one_by_one_over_one_connection(receiver: Receiver) -> None:
    sink = HttpSink(urlsplit(receiver.url), most=1)
    for number in range(3):
        sink.write([b'{"number": %d}' % number])
    assert [body for *_, body in receiver.requests] == [{"number": number} for number in range(3)]
    assert {(path, kind) for _, path, kind, _ in receiver.requests} == {
        ("/events?from=here", "application/cloudevents+json; charset=utf-8")
    }
    assert len({address for address, *_ in receiver.requests}) == 1


def test_events_go_together_when_the_sink_takes_batches(receiver: Receiver) -> None:
    HttpSink(urlsplit(receiver.url), most=10).write([b'{"number": 1}', b'{"number": 2}'])
    ((_, _, kind, body),) = receiver.requests
    assert (kind, body) == ("application/cloudevents-batch+json; charset=utf-8", [{"number": 1}, {"number": 2}])


def test_a_refusal_of_the_sink_is_an_error_and_the_next_event_goes(receiver: Receiver) -> None:
    sink = HttpSink(urlsplit(receiver.url), most=1)
    receiver.status = 503
    with pytest.raises(SinkError, match="the sink answers 503"):
        sink.write([b"{}"])
    receiver.status = 200
    sink.write([b"{}"])
    assert len(receiver.requests) == 2


def test_a_sink_that_is_away_is_an_error(receiver: Receiver) -> None:
    sink = HttpSink(urlsplit(receiver.url), most=1)
    receiver.server.shutdown()
    receiver.server.server_close()
    with pytest.raises(OSError, match="refused"):
        sink.write([b"{}"])
