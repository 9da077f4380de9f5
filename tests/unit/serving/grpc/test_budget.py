"""Whatever a client does, and whenever it goes: what its calls held is given back."""

from __future__ import annotations

import asyncio
import gzip

from hypothesis import given, seed, settings
from hypothesis import strategies as st
from plimsoll_serving.grpc.framing import prefixed
from plimsoll_serving.http.message import Response, error_response
from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.frames import Setting, frame

from tests.unit.serving.grpc.test_connection import BODY, INFER, LIMITS, STREAM, Client

ZIPPED = gzip.compress(BODY * 3)
PIECES = [
    b"",
    prefixed(BODY),
    prefixed(BODY)[:3],
    prefixed(BODY)[3:],
    prefixed(BODY) * 3,
    b"\1" + len(ZIPPED).to_bytes(4, "big") + ZIPPED,
    b"\0\0\0\x03\xe8" + bytes(500),
    prefixed(bytes(1001)),
    b"\xff" * 9,
]
STEPS = st.one_of(
    st.tuples(st.just("call"), st.sampled_from([INFER, STREAM]), st.booleans()),
    st.tuples(st.just("data"), st.integers(0, 7), st.sampled_from(PIECES), st.booleans()),
    st.tuples(st.just("whole"), st.sampled_from([0, 50, 900, 3000])),
    st.tuples(st.just("reset"), st.integers(0, 7)),
    st.tuples(st.just("answer"), st.integers(0, 7), st.sampled_from([0, 50, 3000])),
    st.tuples(st.just("window"), st.sampled_from([0, 100, 2**20])),
    st.tuples(st.just("time"), st.sampled_from([0.3, 3, 31, 61])),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
)


def take(client: Client, step: tuple[object, ...], opened: list[int]) -> None:
    match step:
        case ("call", str(path), bool(gzipped)):
            opened.append(2 * len(opened) + 1)
            headers = {"grpc_encoding": "gzip", "grpc_accept_encoding": "gzip"} if gzipped else {}
            client.call(opened[-1], None, path, grpc_timeout="20S", **headers)
        case ("whole", int(size)):
            opened.append(2 * len(opened) + 1)
            asked = len(client.asked)
            client.call(opened[-1], prefixed(BODY))
            if len(client.asked) > asked:
                client.answer(asked, Response(200, bytes(size)))
        case ("data", int(at), bytes(piece), bool(end)) if at < len(opened):
            client.send(frame(frames.DATA, frames.END_STREAM if end else 0, opened[at], piece))
        case ("reset", int(at)) if at < len(opened):
            client.send(frames.reset(opened[at], 8))
        case ("answer", int(at), int(size)) if at < len(client.asked):
            client.answer(at, Response(200, bytes(size)) if size else error_response(500, "failed"))
        case ("window", int(size)):
            client.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: size}))
        case ("time", float(seconds) | int(seconds)):
            client.pass_time(seconds)
        case ("pause",) if client.connection._paused_at is None:
            client.connection.pause_writing()
        case ("resume",) if client.connection._paused_at is not None:
            client.connection.resume_writing()


@seed(8081)
@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_the_budget_is_whole_again_when_the_connection_is_gone(steps: list[tuple[object, ...]]) -> None:
    async def story() -> Client:
        client = Client()
        opened: list[int] = []
        for step in steps:
            take(client, step, opened)
            assert 0 <= client.free <= LIMITS.buffered_bytes
        client.connection.connection_lost(None)
        for _, respond in client.asked:
            respond(Response(200, b"late"))
        return client

    client = asyncio.run(story())
    assert client.free == LIMITS.buffered_bytes
    assert client.connection.calls == {}
