"""The client of a fixed rate accounts for every request, whatever the server does with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.serving.open_loop import OpenLoop, Paced
from bench.serving.payloads import Payload

PAYLOAD = Payload(b'{"inputs": []}', {"content-type": "application/json"})


class Answers(BaseHTTPRequestHandler):
    """Reads a request and does with it what the server's script says."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        server = self.server
        assert isinstance(server, Scripted)
        with server.lock:
            action = server.script[server.asked % len(server.script)]
            server.asked += 1
        if action == "drop":
            self.close_connection = True
            return
        if action == "slow":
            time.sleep(0.2)
        self.send_response(503 if action == "refuse" else 200)
        self.send_header("content-length", "2")
        if action == "close":
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        """Nothing is said."""


class Scripted(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, script: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.script, self.asked, self.lock = script, 0, threading.Lock()


@contextmanager
def scripted(*script: str) -> Iterator[int]:
    server = Scripted(list(script))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run(port: int, connections: int = 8) -> Paced:
    return OpenLoop(port, PAYLOAD, rate=200, connections=connections, seconds=0.3, settle=60).run()


def test_every_request_is_sent_and_answered() -> None:
    with scripted("answer") as port:
        found = run(port)
    assert found.sent > 0
    assert (found.accepted, found.broken, found.unsent) == (found.sent, 0, 0)
    assert len(found.took) == found.accepted


@pytest.mark.parametrize(("action", "status"), [("refuse", 503), ("close", 200)])
def test_refusals_and_closed_connections_are_answers(action: str, status: int) -> None:
    with scripted(action) as port:
        found = run(port)
    assert (found.statuses, found.broken) == ({status: found.sent}, 0)


def test_refused_requests_do_not_count_in_the_latency() -> None:
    with scripted("answer", "refuse") as port:
        found = run(port)
    assert len(found.took) == found.accepted == found.sent - found.statuses[503]


def test_a_dropped_connection_is_a_broken_request_and_the_run_goes_on() -> None:
    with scripted("answer", "drop", "answer") as port:
        found = run(port)
    assert found.broken > 0
    assert found.accepted + found.broken == found.sent


def test_a_request_that_was_sent_late_has_as_long_to_be_answered_as_any_other() -> None:
    with scripted("slow") as port:
        found = OpenLoop(port, PAYLOAD, rate=200, connections=1, seconds=0.2, settle=2).run()
    assert found.broken == 0
    assert found.accepted == found.sent
    assert found.unsent > 0


def test_pieces_of_a_run_add_up_to_one() -> None:
    with scripted("answer", "refuse") as port:
        pieces = [
            OpenLoop(port, PAYLOAD, rate=200, connections=8, seconds=0.2, settle=60, seed=n).run() for n in (0, 1)
        ]
    whole = Paced(200)
    for piece in pieces:
        whole.add(piece)
    assert (whole.sent, whole.accepted) == tuple(
        sum(x) for x in zip(*((p.sent, p.accepted) for p in pieces), strict=True)
    )
    assert whole.took == pieces[0].took + pieces[1].took
    assert whole.statuses[503] == sum(one.statuses[503] for one in pieces)
    assert whole.seconds == sum(one.seconds for one in pieces)
    assert pieces[0].sent != pieces[1].sent, "another seed, other times"
