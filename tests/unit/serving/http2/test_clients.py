"""The connection against the h2 library's client, and against noise."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.connection import Http2Connection
from plimsoll_serving.http2.events import ConnectionFailed, DataReceived, RequestReceived
from plimsoll_serving.http2.frames import frame
from plimsoll_serving.http2.headers import encode
from plimsoll_serving.http2.limits import Http2Limits

from tests.unit.serving.http2.peer import HEADERS, Peer


class Echo:
    """A server that answers each request with its body."""

    def __init__(self, long: int = 300) -> None:
        self._long = long
        self.connection = Http2Connection(Http2Limits(stream_window=2**18))
        self._bodies: dict[int, bytes] = {}

    def exchange(self, data: bytes) -> bytes:
        for event in self.connection.receive(data):
            if isinstance(event, RequestReceived):
                self._bodies[event.stream_id] = b""
            elif isinstance(event, DataReceived):
                self._bodies[event.stream_id] += event.data
                self.connection.consume(event.stream_id, len(event.data))
                if event.ended:
                    self._answer(event.stream_id)
        return self.connection.take_output()

    def _answer(self, stream_id: int) -> None:
        self.connection.headers(stream_id, encode([(b":status", b"200"), (b"x-long", b"v" * self._long)]))
        self.connection.data(stream_id, self._bodies.pop(stream_id))
        self.connection.finish(stream_id, encode([(b"grpc-status", b"0")]))


@seed(9113)
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=6), st.booleans())
def test_bodies_of_any_size_come_back_whole_and_streams_do_not_mix(sizes: list[int], small_table: bool) -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    server, answers, ended = Echo(), {}, set()
    client.receive_data(server.exchange(client.data_to_send()))
    if small_table:
        client.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0})
    bodies = {2 * n + 1: bytes([n + 1]) * size for n, size in enumerate(sizes)}
    left = dict(bodies)
    for stream_id in bodies:
        client.send_headers(stream_id, [*HEADERS, ("x-stream", str(stream_id))])
        answers[stream_id] = b""
    while len(ended) < len(bodies):
        for stream_id in list(left):
            size = min(client.local_flow_control_window(stream_id), client.max_outbound_frame_size)
            client.send_data(stream_id, left[stream_id][:size])
            left[stream_id] = left[stream_id][size:]
            if not left[stream_id]:
                client.end_stream(stream_id)
                del left[stream_id]
        for event in client.receive_data(server.exchange(client.data_to_send())):
            if isinstance(event, h2.events.DataReceived):
                answers[event.stream_id] += event.data
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                assert dict(event.headers)[b"grpc-status"] == b"0"
            elif isinstance(event, h2.events.StreamEnded):
                ended.add(event.stream_id)
    assert answers == bodies
    assert server.connection.idle
    assert server.connection.unsent == 0


def test_a_long_header_block_goes_in_pieces() -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    server = Echo(long=50_000)
    client.receive_data(server.exchange(client.data_to_send()))
    client.send_headers(1, HEADERS, end_stream=False)
    client.send_data(1, b"body", end_stream=True)
    events = client.receive_data(server.exchange(client.data_to_send()))
    (answer,) = [event for event in events if isinstance(event, h2.events.ResponseReceived)]
    assert dict(answer.headers)[b"x-long"] == b"v" * 50_000


KINDS = st.one_of(st.integers(0, 10), st.integers(0, 255))
STREAMS = st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1))
WORDS = st.sampled_from([0, 1, 5, 65_535, 2**30, 2**31 - 1, 2**32 - 1]).map(lambda value: value.to_bytes(4, "big"))
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    WORDS,
    st.tuples(st.sampled_from([b"\0\4", b"\0\5", b"\0\1", b"\0\2"]), WORDS).map(b"".join),
    st.sampled_from([Peer().block(), Peer().block()[:9], b"\x83\x86\x84", bytes(8), bytes(16_384)]),
)
FRAMES = st.builds(
    lambda kind, flags, stream_id, payload: frame(kind, flags, stream_id, payload),
    KINDS,
    st.one_of(st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D]), st.integers(0, 255)),
    STREAMS,
    PAYLOADS,
)


@seed(9113)
@settings(max_examples=400, deadline=None)
@given(st.lists(FRAMES, max_size=60), st.integers(1, 5000), st.booleans())
def test_no_frames_raise_and_none_make_it_hold_more_than_its_limits(sent: list[bytes], cut: int, answer: bool) -> None:
    limits = Http2Limits(streams=4)
    peer = Peer(limits)
    data = b"".join(sent)
    for start in range(0, len(data), cut):
        for event in peer.send(data[start : start + cut]):
            if isinstance(event, RequestReceived) and answer:
                peer.answer(event.stream_id, bytes(100_000))
        assert len(peer.connection._streams.open) <= limits.streams
        assert peer.connection.unsent <= limits.streams * 100_000
        assert len(peer.connection._reader._rest) <= limits.frame_bytes + 9
        assert peer.connection._reader._block_bytes <= limits.header_bytes + limits.frame_bytes
    assert peer.connection.failed == any(isinstance(event, ConnectionFailed) for event in peer.events)


@seed(7541)
@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_header_block_raises(block: bytes) -> None:
    peer = Peer()
    peer.open(1, block=block)
    peer.open(3, block=block)
    assert not peer.connection.take_output()


@seed(9113)
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    for begin in (b"", frames.PREFACE, frames.PREFACE + frames.settings({})):
        connection = Http2Connection(Http2Limits())
        connection.receive(begin + data)
        assert connection.take_output()
