"""Peers of the gRPC port that do wrong, over real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
from hpack import Encoder
from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.frames import ErrorCode, Setting, frame

from tests.integration.serving.grpc_client import channel, infer, raw, stream
from tests.integration.serving.harness import HOST, Raw, Server, eventually

GREETING = frames.PREFACE + frames.settings({}) + frame(frames.SETTINGS, frames.ACK, 0)
CALL = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/inference.GRPCInferenceService/ModelInfer"),
    ("content-type", "application/grpc"),
]


def kinds(data: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, stream and payload of the frames in ``data``."""
    found = []
    while len(data) >= 9:
        end = 9 + int.from_bytes(data[:3], "big")
        found.append((data[3], int.from_bytes(data[5:9], "big"), data[9:end]))
        data = data[end:]
    return found


def goodbye(data: bytes) -> ErrorCode:
    """The code of the last GOAWAY."""
    return ErrorCode(frames.word([payload for kind, _, payload in kinds(data) if kind == frames.GOAWAY][-1][4:8]))


def call(rows: int = 1) -> bytes:
    body = raw([[1, 2, 3, 4]] * rows).SerializeToString()
    return b"\0" + len(body).to_bytes(4, "big") + body


def test_http_1_is_ended_with_goodbye(server: Server) -> None:
    with Raw(server, "grpc") as peer:
        assert goodbye(peer.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").read_all()) is ErrorCode.PROTOCOL_ERROR


def test_a_peer_that_says_nothing_is_ended_in_time(server: Server) -> None:
    began = time.monotonic()
    with Raw(server, "grpc") as peer:
        assert goodbye(peer.read_all()) is ErrorCode.SETTINGS_TIMEOUT
    assert time.monotonic() - began >= 2


def test_a_flood_of_resets_ends_its_connection_and_no_other(server: Server) -> None:
    encoder = Encoder()
    with Raw(server, "grpc") as peer, channel(server) as other:
        peer.send(GREETING)
        for number in range(700):
            stream_id = 2 * number + 1
            block = bytes(encoder.encode(CALL))
            try:
                peer.send(frame(frames.HEADERS, frames.END_HEADERS, stream_id, block) + frames.reset(stream_id, 8))
            except OSError:
                break
        assert infer(other)(raw([[1, 2, 3, 4]])).model_version == "1"
    with channel(server) as after:
        assert infer(after)(raw([[1, 2, 3, 4]])).model_version == "1"


def test_a_peer_that_opens_no_window_loses_its_answer_and_holds_nothing(server: Server) -> None:
    with Raw(server, "grpc") as peer:
        closed = frames.settings({Setting.INITIAL_WINDOW_SIZE: 0})
        peer.send(frames.PREFACE + closed + frame(frames.SETTINGS, frames.ACK, 0))
        peer.send(frame(frames.HEADERS, frames.END_HEADERS, 1, bytes(Encoder().encode(CALL))))
        peer.send(frame(frames.DATA, frames.END_STREAM, 1, call()))
        reset = frames.reset(1, ErrorCode.CANCEL)
        assert reset in peer.read_until(reset)


def test_a_peer_that_reads_nothing_is_dropped_while_others_are_served(server: Server) -> None:
    greedy = socket.create_connection((HOST, server.ports["grpc_direct"]), timeout=60)
    encoder = Encoder()
    greedy.sendall(frames.PREFACE + frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**30}) + frame(4, 1, 0))
    greedy.sendall(frames.window_update(0, 2**30))
    body, dropped = call(6000), False
    end = time.monotonic() + 120
    stream_id = 1
    greedy.settimeout(0.2)
    while not dropped and time.monotonic() < end:
        data = frame(frames.HEADERS, frames.END_HEADERS, stream_id, bytes(encoder.encode(CALL)))
        for start in range(0, len(body), 16_384):
            piece = body[start : start + 16_384]
            data += frame(frames.DATA, frames.END_STREAM if start + 16_384 >= len(body) else 0, stream_id, piece)
        stream_id += 2
        while data and not dropped and time.monotonic() < end:
            try:
                data = data[greedy.send(data) :]
            except TimeoutError:
                with channel(server) as opened:
                    assert infer(opened)(raw([[1, 2, 3, 4]]), timeout=60).model_version == "1"
            except OSError:
                dropped = True
    greedy.close()
    assert dropped


def test_a_consumer_that_is_slower_than_the_model_is_held_back_and_gets_every_answer(server: Server) -> None:
    requests = [raw([[1, 2, 3, 4]] * 800, id=str(number)) for number in range(300)]
    sent: list[str] = []

    def stream_of() -> Iterator[Any]:
        for request in requests:
            sent.append(request.id)
            yield request

    with channel(server, grpc__http2__bdp_probe=0) as opened:
        answers = stream(opened)(stream_of())
        first = next(answers)
        time.sleep(1)
        waited = len(sent)
        told = [answer.infer_response.id for answer in (first, *answers)]
    assert told == [request.id for request in requests]
    assert waited < len(requests), "nothing held the sender back: the test has too few requests"


def test_http_and_grpc_go_on_side_by_side(server: Server) -> None:
    with channel(server) as opened:
        assert infer(opened)(raw([[1, 2, 3, 4]])).model_version == "1"
        assert eventually(lambda: httpx.get(server.url("/v2/health/ready")).status_code == 200, "HTTP answers")
