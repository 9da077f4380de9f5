"""One gRPC connection with a clock and a transport of the test's: deadlines, memory, the polite end."""

from __future__ import annotations

import gc
import gzip
from collections.abc import Callable
from typing import Any, cast

import pytest
from hpack import Decoder, Encoder
from plimsoll_serving.grpc.call import Call
from plimsoll_serving.grpc.connection import GrpcConnection
from plimsoll_serving.grpc.framing import prefixed
from plimsoll_serving.grpc.listener import GrpcListener
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.grpc.services.inference import InferenceService
from plimsoll_serving.grpc.services.stream import StreamInfer
from plimsoll_serving.grpc.services.unary import Unary
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.message import Request, Response, error_response
from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.frames import ErrorCode, frame

INFER, STREAM = "/inference.GRPCInferenceService/ModelInfer", "/inference.GRPCInferenceService/ModelStreamInfer"
LIMITS = Limits(body_bytes=1000, buffered_bytes=10_000, read_seconds=30, idle_seconds=60)
BODY: bytes = message("inference.ModelInferRequest")(model_name="digits").SerializeToString()


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = self.aborted = self.reading_paused = False
        self.buffered = 0

    def write(self, data: bytes) -> None:
        self.data += data

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def get_write_buffer_size(self) -> int:
        return self.buffered


class Client:
    """A connection, its peer and its clock."""

    def __init__(self, limits: Limits = LIMITS, life: float = 1e9, greet: bool = True) -> None:
        self.asked: list[tuple[Request, Callable[[Response], None]]] = []
        handle = lambda request, respond: self.asked.append((request, respond))  # noqa: E731
        self.budget = Budget(limits.buffered_bytes)
        self.listener = GrpcListener(InferenceService(handle).methods(), limits, self.budget, life)
        self.now = 1000.0
        self.listener.now = lambda: self.now
        self.connection = GrpcConnection(self.listener)
        self.connection._loop = cast("Any", self)
        self.transport = Transport()
        self.due: list[Callable[[], None]] = []
        self.encoder, self.decoder = Encoder(), Decoder()
        self.connection.connection_made(cast("Any", self.transport))
        if greet:
            self.send(frames.PREFACE + frames.settings({}) + frame(frames.SETTINGS, frames.ACK, 0))

    # As much of an event loop as a connection needs.
    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)
        self.turn()

    def turn(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()

    def pass_time(self, seconds: float) -> None:
        """In steps as the listener takes them."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 0.25, end)
            self.connection.check(self.now)
            self.turn()

    def call(self, stream_id: int, body: bytes | None, path: str = INFER, end: bool = True, **headers: str) -> None:
        fields = [(":method", "POST"), (":scheme", "http"), (":path", path), ("content-type", "application/grpc")]
        fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
        data = frame(frames.HEADERS, frames.END_HEADERS, stream_id, bytes(self.encoder.encode(fields)))
        if body is not None:
            data += frame(frames.DATA, frames.END_STREAM if end else 0, stream_id, body)
        self.send(data)

    def answer(self, number: int, response: Response) -> None:
        self.asked[number][1](response)
        self.turn()

    def came(self) -> list[tuple[int, int, bytes]]:
        """Kind, stream and payload of every frame so far; header blocks as lists."""
        found, data = [], self.transport.data
        self.transport.data = b""
        while data:
            end = 9 + int.from_bytes(data[:3], "big")
            payload: Any = data[9:end]
            if data[3] == frames.HEADERS:
                payload = dict(self.decoder.decode(payload))
            found.append((data[3], int.from_bytes(data[5:9], "big"), payload))
            data = data[end:]
        return found

    def status(self, stream_id: int) -> tuple[str, str]:
        """grpc-status and grpc-message of a call that has ended."""
        (trailers,) = [p for k, s, p in self.came() if k == frames.HEADERS and s == stream_id and "grpc-status" in p]
        return trailers["grpc-status"], trailers.get("grpc-message", "")

    @property
    def free(self) -> int:
        """Bytes of the budget that are not taken."""
        return self.budget._free


async def test_a_call_becomes_a_request_with_its_metadata_and_its_deadline() -> None:
    client = Client()
    client.call(1, prefixed(BODY), grpc_timeout="250m", x_user="me", plimsoll_delegated="1", te="trailers")
    ((request, _),) = client.asked
    assert (request.method, request.path, request.body) == ("POST", "/v2/models/digits/infer", BODY)
    assert request.headers == [(b"content-type", b"application/x-protobuf"), (b"x-user", b"me")]
    assert request.deadline == 1000.25
    client.answer(0, Response(200, b"answer", headers=[(b"plimsoll-model-version", b"7")]))
    (_, _, headers), (_, _, body), (_, _, trailers) = [one for one in client.came() if one[1] == 1]
    assert (headers[":status"], headers["plimsoll-model-version"]) == ("200", "7")
    assert (body, trailers) == (prefixed(b"answer"), {"grpc-status": "0"})
    assert client.free == LIMITS.buffered_bytes


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "3"), (403, "7"), (404, "5"), (413, "8"), (429, "8"), (503, "14"), (504, "4"), (500, "13")],
)
async def test_an_error_becomes_a_status_whose_message_is_percent_encoded(status: int, code: str) -> None:
    client = Client()
    client.call(1, prefixed(BODY))
    client.answer(0, error_response(status, "100 % über"))
    assert client.status(1) == (code, "100 %25 %C3%BCber")


async def test_a_call_that_is_taken_back_is_not_computed_and_holds_nothing() -> None:
    client = Client()
    client.call(1, prefixed(BODY))
    client.send(frames.reset(1, ErrorCode.CANCEL))
    assert client.asked[0][0].cancelled
    assert client.free == LIMITS.buffered_bytes
    client.came()
    client.answer(0, Response(200, b"late"))
    assert client.came() == []


async def test_a_lost_connection_takes_back_every_call() -> None:
    client = Client()
    for stream_id in (1, 3):
        client.call(stream_id, prefixed(BODY))
    client.connection.connection_lost(None)
    assert [request.cancelled for request, _ in client.asked] == [True, True]
    assert client.free == LIMITS.buffered_bytes


async def test_a_deadline_ends_a_call() -> None:
    client = Client()
    client.call(1, prefixed(BODY), grpc_timeout="2S")
    client.pass_time(1.9)
    assert not client.asked[0][0].cancelled
    client.pass_time(0.5)
    assert client.status(1) == ("4", "the deadline of the call has passed")
    assert client.asked[0][0].cancelled


@pytest.mark.parametrize("body", [None, prefixed(BODY)[:4], prefixed(BODY)])
async def test_a_message_that_comes_too_slowly_ends_its_call(body: bytes | None) -> None:
    client = Client()
    client.call(1, body, end=False)
    client.pass_time(29)
    assert client.connection.calls
    client.pass_time(2)
    assert client.status(1) == ("4", "the message was not complete within 30 seconds")
    assert client.free == LIMITS.buffered_bytes


async def test_a_stream_may_be_silent_between_its_messages_but_not_within_one() -> None:
    client = Client()
    client.call(1, None, STREAM)
    client.pass_time(100)
    assert client.connection.calls
    client.send(frame(frames.DATA, 0, 1, prefixed(BODY)[:4]))
    client.pass_time(31)
    assert client.status(1) == ("4", "the message was not complete within 30 seconds")


@pytest.mark.parametrize("data", [b"", frames.PREFACE[:10], frames.PREFACE, frames.PREFACE + frames.settings({})])
async def test_a_peer_that_does_not_greet_is_closed(data: bytes) -> None:
    client = Client(greet=False)
    client.send(data)
    client.pass_time(29)
    assert not client.transport.closed
    client.pass_time(2)
    assert client.transport.closed


async def test_a_header_block_that_comes_too_slowly_ends_the_connection() -> None:
    client = Client()
    client.send(frame(frames.HEADERS, 0, 1, b"\x83"))
    client.pass_time(31)
    assert client.transport.closed


async def test_an_idle_connection_is_ended_politely() -> None:
    client = Client()
    client.pass_time(61)
    assert [kind for kind, *_ in client.came()].count(frames.GOAWAY) == 1
    client.send(frame(frames.PING, frames.ACK, 0, b"plimsoll"))
    client.pass_time(0.5)
    assert client.transport.closed


async def test_a_connection_past_its_life_finishes_what_it_has_and_closes() -> None:
    client = Client(life=10)
    client.call(1, prefixed(BODY))
    client.pass_time(13)  # 20 % more than its life, and the peer does not answer the PING
    client.pass_time(3)
    client.call(3, prefixed(BODY))
    refused = [payload for kind, stream_id, payload in client.came() if (kind, stream_id) == (frames.RST_STREAM, 3)]
    assert refused == [ErrorCode.REFUSED_STREAM.to_bytes(4, "big")]
    assert not client.transport.closed
    client.answer(0, Response(200, b"answer"))
    assert client.transport.closed


async def test_connections_of_a_pod_that_lost_its_role_are_retired_and_later_ones_are_not() -> None:
    client = Client()
    client.now += 1
    client.listener.retired_at = client.now
    client.pass_time(0.25)
    assert frames.GOAWAY in [kind for kind, *_ in client.came()]
    later = Client()
    later.listener.retired_at = later.now - 1
    later.pass_time(0.25)
    assert frames.GOAWAY not in [kind for kind, *_ in later.came()]


async def test_a_stream_without_end_is_ended_some_time_after_the_connections_life() -> None:
    client = Client(life=10)
    client.call(1, None, STREAM)
    client.pass_time(13)
    assert client.connection.calls
    client.pass_time(31)
    assert client.status(1) == ("14", "the server ends this connection; begin the call again")
    assert client.transport.closed


async def test_bodies_of_all_connections_are_bounded_together() -> None:
    client = Client(Limits(body_bytes=8000, buffered_bytes=10_000))
    client.budget.take(9000)
    client.call(1, prefixed(BODY + bytes(1000)), end=True)
    assert client.status(1)[0] == "14"
    assert client.asked == []
    client.budget.give_back(9000)
    assert client.free == 10_000


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (prefixed(bytes(1001)), "8", "the message has 1001 bytes and exceeds 1000 bytes"),
        (b"\x02\0\0\0\0", "13", "the message's compressed flag is 2, neither 0 nor 1"),
        (b"\x01\0\0\0\0", "13", "the message is compressed, but grpc-encoding names no compression"),
        (b"\0\0\0\0\x05abc", "13", "the call ended within a message"),
        (b"", "3", "the call has no message; this method takes one"),
        (prefixed(BODY) * 2, "3", "the call has more than one message; this method takes one"),
    ],
)
async def test_messages_that_are_not_framed_as_they_should_be_are_refused(data: bytes, code: str, text: str) -> None:
    client = Client()
    client.call(1, data)
    assert client.status(1) == (code, text)
    assert client.free == LIMITS.buffered_bytes


@pytest.mark.parametrize(
    "data",
    [b"no gzip at all", gzip.compress(BODY)[:-4], gzip.compress(BODY) + b"x"],
    # gzip writes the time into its head: as names of tests they would differ from one worker to the next.
    ids=["no gzip", "cut short", "a byte too many"],
)
async def test_a_message_that_is_not_one_whole_gzip_stream_is_refused(data: bytes) -> None:
    client = Client()
    client.call(1, b"\1" + len(data).to_bytes(4, "big") + data, grpc_encoding="gzip")
    assert client.status(1)[0] == "13"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"grpc_timeout": "1"}, "3"),
        ({"grpc_timeout": "123456789S"}, "3"),
        ({"grpc_timeout": "-1S"}, "3"),
        ({"grpc_encoding": "snappy"}, "12"),
        ({"path": "/inference.GRPCInferenceService/Nope"}, "12"),
    ],
)
async def test_headers_that_make_no_call_are_refused(headers: dict[str, str], code: str) -> None:
    client = Client()
    client.call(1, prefixed(BODY), **headers)
    assert client.status(1)[0] == code


async def test_what_is_no_grpc_is_told_so_in_the_way_of_http() -> None:
    client = Client()
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/")]
    client.send(frame(frames.HEADERS, 5, 1, bytes(client.encoder.encode(fields))))
    fields = [(":method", "POST"), (":scheme", "http"), (":path", INFER), ("content-type", "application/json")]
    client.send(frame(frames.HEADERS, 5, 3, bytes(client.encoder.encode(fields))))
    came = client.came()
    assert [payload[":status"] for kind, _, payload in came if kind == frames.HEADERS] == ["405", "415"]
    assert all(
        payload.startswith(b"this port speaks gRPC") for kind, _, payload in came if kind == frames.DATA and payload
    )


async def test_answers_that_the_peer_does_not_take_are_bounded_and_given_up() -> None:
    client = Client(Limits(body_bytes=40_000, buffered_bytes=1_000_000))
    for number in range(8):
        client.call(2 * number + 1, prefixed(BODY))
        client.answer(number, Response(200, bytes(40_000)))
    # 65,535 bytes went out; four bodies may wait, the others are reset.
    reset = [stream_id for kind, stream_id, _ in client.came() if kind == frames.RST_STREAM]
    assert reset == [11, 13, 15]
    assert client.connection.http2.unsent <= 4 * 40_000
    assert client.free == 1_000_000 - client.connection.http2.unsent
    client.pass_time(31)
    assert client.connection.http2.unsent == 0
    assert client.free == 1_000_000


async def test_a_peer_that_reads_nothing_is_asked_for_nothing_more_and_dropped() -> None:
    client = Client()
    client.call(1, prefixed(BODY))
    client.transport.buffered = 100_000
    client.connection.pause_writing()
    assert client.transport.reading_paused
    client.came()
    client.answer(0, Response(200, b"answer"))
    assert client.came() == []
    client.transport.buffered = 50_000
    client.pass_time(29)
    assert not client.transport.aborted
    client.pass_time(2.5)
    assert client.transport.aborted


async def test_a_peer_that_reads_again_gets_what_waited() -> None:
    client = Client()
    client.call(1, prefixed(BODY))
    client.connection.pause_writing()
    client.answer(0, Response(200, b"answer"))
    client.came()
    client.connection.resume_writing()
    assert [kind for kind, *_ in client.came()] == [frames.HEADERS, frames.DATA, frames.HEADERS]
    assert not client.transport.reading_paused


async def test_a_stream_takes_only_so_many_requests_at_once_and_opens_its_window_as_it_answers() -> None:
    client = Client()
    client.call(1, None, STREAM)
    for _ in range(40):
        client.send(frame(frames.DATA, 0, 1, prefixed(BODY)))
    assert len(client.asked) == 16
    for number in range(40):
        client.answer(number, Response(200, b"answer"))
    assert len(client.asked) == 40
    client.send(frame(frames.DATA, frames.END_STREAM, 1, b""))
    assert client.status(1) == ("0", "")
    assert client.free == LIMITS.buffered_bytes


async def test_a_peer_that_takes_no_answers_is_held_back_and_loses_none() -> None:
    client = Client()
    client.send(frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: 100}))
    client.call(1, None, STREAM)
    client.send(frame(frames.DATA, 0, 1, prefixed(BODY) * 60))
    answered = 0
    while answered < len(client.asked):
        client.answer(answered, Response(200, b"x" * 100))
        answered += 1
    assert answered < 20
    for _ in range(200):
        client.send(frames.window_update(1, 100) + frames.window_update(0, 100))
        while answered < len(client.asked):
            client.answer(answered, Response(200, b"x" * 100))
            answered += 1
    client.send(frame(frames.DATA, frames.END_STREAM, 1, b""))
    came = client.came()
    assert sum(len(payload) for kind, _, payload in came if kind == frames.DATA) == 60 * (100 + 2 + 5)
    assert frames.RST_STREAM not in {kind for kind, *_ in came}
    assert (answered, client.free) == (60, LIMITS.buffered_bytes)


async def test_a_stream_that_never_pauses_holds_only_what_is_under_way() -> None:
    client = Client()
    client.call(1, None, STREAM)
    client.send(frame(frames.DATA, 0, 1, prefixed(BODY)))
    for number in range(2000):
        client.send(
            frame(frames.DATA, 0, 1, prefixed(BODY)) + frames.window_update(0, 100) + frames.window_update(1, 100)
        )
        client.answer(number, Response(200, b"answer"))
    assert len(client.asked) == 2001
    assert client.free >= LIMITS.buffered_bytes - 2 * len(prefixed(BODY))


async def test_a_handler_that_fails_ends_its_call_only(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    client.listener.methods = InferenceService(broken).methods()
    client.call(1, prefixed(BODY))
    assert client.status(1) == ("13", "the server failed on this request; its log has the trace")
    assert "a handler failed" in caplog.text
    assert not client.transport.closed


@pytest.mark.parametrize("path", [INFER, STREAM], ids=["unary", "stream"])
async def test_calls_that_are_over_leave_nothing_for_the_collector(path: str) -> None:
    client = Client()
    gc.collect()
    gc.disable()
    try:
        for number in range(5):
            stream_id = 1 + 2 * number
            client.call(stream_id, prefixed(BODY), path)
            client.answer(0, Response(200, b"", b"application/x-protobuf"))
            assert client.status(stream_id) == ("0", "")
            client.asked.clear()
        left = [type(one).__name__ for one in gc.get_objects() if type(one) in (Call, Unary, StreamInfer)]
    finally:
        gc.enable()
    assert left == []
