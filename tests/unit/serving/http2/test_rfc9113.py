"""What RFC 9113 asks of a server, section by section; the cases are those of h2spec and more."""

from __future__ import annotations

import struct

import pytest
from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.connection import Http2Connection
from plimsoll_serving.http2.events import DataReceived, RequestReceived, StreamReset
from plimsoll_serving.http2.frames import ErrorCode, Setting, frame
from plimsoll_serving.http2.limits import Http2Limits

from tests.unit.serving.http2.peer import Peer

DATA, HEADERS, SETTINGS, PING = frames.DATA, frames.HEADERS, frames.SETTINGS, frames.PING
END_HEADERS, END_STREAM, PADDED = frames.END_HEADERS, frames.END_STREAM, frames.PADDED


def setting(identifier: int, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, struct.pack(">HL", identifier, value))


def opened(end: bool = False) -> Peer:
    peer = Peer()
    peer.open(end=end)
    return peer


# 3.4 Preface


def test_3_4_the_server_begins_with_settings() -> None:
    peer = Peer(greet=False)
    assert peer.frames[0][0] == SETTINGS


@pytest.mark.parametrize("size", range(1, 24))
def test_3_4_a_preface_in_pieces_is_taken(size: int) -> None:
    peer = Peer(greet=False)
    data = frames.PREFACE + frames.settings({})
    for start in range(0, len(data), size):
        peer.send(data[start : start + size])
    assert peer.fault is None
    assert peer.received(SETTINGS)[1:] == [b""]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"\x16\x03\x01"])
def test_3_4_another_preface_fails(data: bytes) -> None:
    peer = Peer(greet=False)
    peer.send(data)
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("first", [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, frames.ACK, 0)])
def test_3_4_the_first_frame_is_settings(first: bytes) -> None:
    peer = Peer(greet=False)
    peer.send(frames.PREFACE + first)
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


# 4.1, 4.2 Frames


def test_4_1_an_unknown_frame_and_unknown_flags_are_ignored() -> None:
    peer = opened()
    peer.send(frame(0x42, 0xFF, 1, b"whatever") + frame(PING, 0xFE, 0, b"12345678"))
    assert peer.fault is None
    assert peer.received(PING) == [b"12345678"]


def test_4_1_the_reserved_bit_is_ignored() -> None:
    peer = Peer()
    (event,) = peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1 | 2**31, peer.block()))
    assert isinstance(event, RequestReceived)


def test_4_2_a_frame_of_the_largest_size_is_taken_and_a_larger_one_fails() -> None:
    peer = opened()
    peer.send(frame(DATA, 0, 1, bytes(16_384)))
    assert peer.fault is None
    peer.send(frame(DATA, 0, 1, bytes(16_385)))
    assert peer.fault is ErrorCode.FRAME_SIZE_ERROR


def test_4_2_a_frame_that_is_too_large_fails_before_it_has_come() -> None:
    peer = opened()
    peer.send(frame(DATA, 0, 1, bytes(20_000))[:9])
    assert peer.fault is ErrorCode.FRAME_SIZE_ERROR


# 4.3 Header blocks


def test_4_3_a_block_that_cannot_be_decompressed_fails() -> None:
    peer = Peer()
    peer.open(block=b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
    assert peer.fault is ErrorCode.COMPRESSION_ERROR


@pytest.mark.parametrize("index", [b"\x80", b"\xbf\x80\x01"])
def test_4_3_an_index_of_no_entry_fails(index: bytes) -> None:
    peer = Peer()
    peer.open(block=index)
    assert peer.fault is ErrorCode.COMPRESSION_ERROR


@pytest.mark.parametrize("update", [b"\x3f\xe2\x1f", b"\x20\x20\x20"])
def test_4_3_a_table_beyond_its_bound_or_resized_without_end_fails(update: bytes) -> None:
    peer = Peer()
    peer.open(block=update + peer.block())
    assert peer.fault is ErrorCode.COMPRESSION_ERROR


def test_4_3_what_is_in_the_table_is_used_and_a_change_of_it_is_seen() -> None:
    peer = Peer()
    first = peer.block({":path": "/one"})
    second = peer.block({":path": "/one"})
    for stream_id, block in ((1, first), (3, second), (5, second)):
        peer.open(stream_id, block=block)
    # Moves every entry of the table by one: the same block means something else now.
    peer.open(7, block=peer.block({":path": "/two"}))
    assert second != peer.block({":path": "/one"})
    peer.open(9, block=peer.block({":path": "/one"}))
    heads = [event.head.path for event in peer.events if isinstance(event, RequestReceived)]
    assert heads == [b"/one", b"/one", b"/one", b"/two", b"/one"]


def test_4_3_a_block_that_was_seen_before_the_table_changed_is_decoded_anew() -> None:
    peer = Peer()
    peer.open(1, block=peer.block(extra=[("x-name", "one")]))
    indexed = b"\x83\x86\x84\xbe"  # :method POST, :scheme http, :path /, and the newest entry
    peer.open(3, block=indexed)
    peer.open(5, block=indexed)
    peer.open(7, block=peer.block(extra=[("x-name", "two")]))
    peer.open(9, block=indexed)
    fields = [event.head.fields[-1] for event in peer.events if isinstance(event, RequestReceived)]
    assert fields == [
        (b"x-name", b"one"), (b"x-name", b"one"), (b"x-name", b"one"), (b"x-name", b"two"), (b"x-name", b"two")
    ]  # fmt: skip


# 5.1 Stream states


@pytest.mark.parametrize(
    "first",
    [
        frame(DATA, 0, 1, b"x"),
        frame(frames.RST_STREAM, 0, 1, bytes(4)),
        frame(frames.WINDOW_UPDATE, 0, 1, b"\0\0\0\1"),
    ],
)
def test_5_1_a_frame_on_an_idle_stream_fails(first: bytes) -> None:
    peer = Peer()
    peer.send(first)
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_5_1_a_half_closed_stream_takes_no_more_data_or_headers(kind: int) -> None:
    peer = opened(end=True)
    payload = peer.block() if kind == HEADERS else b"x"
    (event,) = peer.send(frame(kind, END_HEADERS if kind == HEADERS else 0, 1, payload))
    assert event == StreamReset(1, ErrorCode.STREAM_CLOSED)
    assert peer.reset() is ErrorCode.STREAM_CLOSED


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_5_1_a_stream_that_is_over_takes_no_more_data_or_headers(kind: int) -> None:
    peer = opened(end=True)
    peer.answer(1)
    payload = peer.block() if kind == HEADERS else b"x"
    peer.send(frame(kind, END_HEADERS if kind == HEADERS else 0, 1, payload))
    assert peer.fault is ErrorCode.STREAM_CLOSED


def test_5_1_what_was_under_way_when_a_stream_was_reset_is_ignored() -> None:
    peer = opened()
    peer.connection.reset(1, ErrorCode.CANCEL)
    peer.send(frame(DATA, 0, 1, b"x") + frame(HEADERS, END_HEADERS | END_STREAM, 1, peer.block()))
    peer.send(frames.window_update(1, 5) + frames.reset(1, 8))
    assert peer.fault is None
    assert [type(event) for event in peer.events] == [RequestReceived]


def test_5_1_window_updates_and_resets_after_the_end_are_ignored() -> None:
    peer = opened(end=True)
    peer.answer(1)
    peer.send(frames.window_update(1, 5) + frames.reset(1, 8))
    assert peer.fault is None


@pytest.mark.parametrize("stream_id", [0, 2])
def test_5_1_1_clients_open_odd_streams(stream_id: int) -> None:
    peer = Peer()
    peer.open(stream_id)
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


def test_5_1_1_identifiers_rise() -> None:
    peer = Peer()
    peer.open(5)
    peer.open(3)
    assert peer.fault is ErrorCode.STREAM_CLOSED


def test_5_1_2_streams_beyond_the_limit_are_refused_and_may_come_later() -> None:
    peer = Peer(Http2Limits(streams=2))
    for stream_id in (1, 3, 5):
        peer.open(stream_id, end=True)
    assert peer.reset(5) is ErrorCode.REFUSED_STREAM
    peer.answer(1)
    peer.open(7, end=True)
    assert peer.reset(7) is None
    assert [event.stream_id for event in peer.events if isinstance(event, RequestReceived)] == [1, 3, 7]


# 6.1 DATA


def test_6_1_data_belongs_to_a_stream() -> None:
    peer = opened()
    peer.send(frame(DATA, 0, 0, b"x"))
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


def test_6_1_padding_is_taken_off() -> None:
    peer = opened()
    (event,) = peer.send(frame(DATA, PADDED | END_STREAM, 1, b"\x03data\0\0\0"))
    assert event == DataReceived(1, b"data", True)


@pytest.mark.parametrize("payload", [b"", b"\x05data", b"\x04abc"])
def test_6_1_padding_beyond_the_frame_fails(payload: bytes) -> None:
    peer = opened()
    peer.send(frame(DATA, PADDED, 1, payload))
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


# 6.2 HEADERS, 6.10 CONTINUATION


def test_6_2_padding_and_priority_are_taken_off() -> None:
    peer = Peer()
    payload = b"\x02" + b"\0\0\0\0\x10" + peer.block() + b"\0\0"
    (event,) = peer.send(frame(HEADERS, PADDED | frames.PRIORITIZED | END_HEADERS, 1, payload))
    assert isinstance(event, RequestReceived)


@pytest.mark.parametrize(
    ("flags", "payload", "code"),
    [
        (PADDED, b"\xff\x00", ErrorCode.PROTOCOL_ERROR),
        (frames.PRIORITIZED, b"\0\0\0", ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_6_2_padding_and_priority_that_do_not_fit_fail(flags: int, payload: bytes, code: ErrorCode) -> None:
    peer = Peer()
    peer.send(frame(HEADERS, flags | END_HEADERS, 1, payload))
    assert peer.fault is code


def test_6_10_a_block_in_pieces_is_put_together() -> None:
    peer = Peer()
    block = peer.block()
    peer.send(frame(HEADERS, END_STREAM, 1, block[:5]) + frame(frames.CONTINUATION, 0, 1, block[5:9]))
    (event,) = peer.send(frame(frames.CONTINUATION, END_HEADERS, 1, block[9:]))
    assert isinstance(event, RequestReceived)
    assert event.ended


@pytest.mark.parametrize(
    "between",
    [frame(DATA, 0, 1, b"x"), frame(PING, 0, 0, bytes(8)), frame(frames.CONTINUATION, END_HEADERS, 3), frame(99, 0, 0)],
)
def test_6_10_nothing_comes_between_the_pieces_of_a_block(between: bytes) -> None:
    peer = Peer()
    peer.send(frame(HEADERS, 0, 1, peer.block()) + between)
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


def test_6_10_continuation_follows_headers() -> None:
    peer = opened()
    peer.send(frame(frames.CONTINUATION, END_HEADERS, 1, b""))
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("piece", [b"", b"x" * 16_000])
def test_6_10_a_block_without_end_fails_for_its_pieces_or_its_size(piece: bytes) -> None:
    peer = Peer()
    peer.send(frame(HEADERS, 0, 1, b"x"))
    for _ in range(20):
        peer.send(frame(frames.CONTINUATION, 0, 1, piece))
    assert peer.fault is ErrorCode.ENHANCE_YOUR_CALM


# 6.3 PRIORITY, 6.4 RST_STREAM


def test_6_3_priority_is_ignored_in_every_state() -> None:
    peer = opened(end=True)
    for stream_id in (1, 3, 99):
        peer.send(frame(frames.PRIORITY, 0, stream_id, b"\0\0\0\0\x10"))
    peer.answer(1)
    peer.send(frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\x10"))
    assert peer.fault is None


@pytest.mark.parametrize(
    ("stream_id", "payload", "code"),
    [(0, bytes(5), ErrorCode.PROTOCOL_ERROR), (1, bytes(4), ErrorCode.FRAME_SIZE_ERROR)],
)
def test_6_3_a_priority_that_is_none_fails(stream_id: int, payload: bytes, code: ErrorCode) -> None:
    peer = opened()
    peer.send(frame(frames.PRIORITY, 0, stream_id, payload))
    assert peer.fault is code


def test_6_4_a_reset_ends_the_stream() -> None:
    peer = opened()
    assert peer.send(frames.reset(1, ErrorCode.CANCEL)) == [StreamReset(1, ErrorCode.CANCEL)]
    peer.frames.clear()
    peer.answer(1)
    assert peer.frames == []


@pytest.mark.parametrize(
    ("stream_id", "payload", "code"),
    [(0, bytes(4), ErrorCode.PROTOCOL_ERROR), (1, bytes(3), ErrorCode.FRAME_SIZE_ERROR)],
)
def test_6_4_a_reset_that_is_none_fails(stream_id: int, payload: bytes, code: ErrorCode) -> None:
    peer = opened()
    peer.send(frame(frames.RST_STREAM, 0, stream_id, payload))
    assert peer.fault is code


# 6.5 SETTINGS


def test_6_5_settings_are_acknowledged() -> None:
    peer = Peer()
    peer.send(setting(Setting.MAX_CONCURRENT_STREAMS, 5))
    assert peer.frames == [(SETTINGS, frames.ACK, 0, b"")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(SETTINGS, frames.ACK, 0, b"x"), ErrorCode.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (setting(Setting.ENABLE_PUSH, 2), ErrorCode.PROTOCOL_ERROR),
        (setting(Setting.INITIAL_WINDOW_SIZE, 2**31), ErrorCode.FLOW_CONTROL_ERROR),
        (setting(Setting.MAX_FRAME_SIZE, 16_383), ErrorCode.PROTOCOL_ERROR),
        (setting(Setting.MAX_FRAME_SIZE, 2**24), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_6_5_settings_that_are_wrong_fail(data: bytes, code: ErrorCode) -> None:
    peer = Peer()
    peer.send(data)
    assert peer.fault is code


def test_6_5_2_unknown_settings_are_ignored() -> None:
    peer = Peer()
    peer.send(setting(0xFF, 1))
    assert peer.fault is None


def test_6_5_2_the_table_of_the_peer_is_never_used() -> None:
    peer = Peer()
    peer.send(setting(Setting.HEADER_TABLE_SIZE, 0))
    peer.open(1, end=True)
    peer.answer(1)
    assert peer.received(HEADERS)[0] == b"\x20\x88"  # the first block says that the table has no bytes


# 6.6 PUSH_PROMISE, 6.7 PING, 6.8 GOAWAY


def test_6_6_clients_do_not_push() -> None:
    peer = opened()
    peer.send(frame(frames.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"))
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


def test_6_7_a_ping_comes_back_and_its_answer_does_not() -> None:
    peer = Peer()
    peer.send(frame(PING, 0, 0, b"12345678") + frame(PING, frames.ACK, 0, b"87654321"))
    assert peer.frames == [(PING, frames.ACK, 0, b"12345678")]


@pytest.mark.parametrize(
    ("stream_id", "payload", "code"),
    [(1, bytes(8), ErrorCode.PROTOCOL_ERROR), (0, bytes(7), ErrorCode.FRAME_SIZE_ERROR)],
)
def test_6_7_a_ping_that_is_none_fails(stream_id: int, payload: bytes, code: ErrorCode) -> None:
    peer = opened()
    peer.send(frame(PING, 0, stream_id, payload))
    assert peer.fault is code


def test_6_8_the_end_is_announced_before_streams_are_refused() -> None:
    peer = opened()
    peer.connection.retire()
    peer.open(3)
    (announced,) = peer.received(frames.GOAWAY)
    assert frames.word(announced) == frames.MAX_STREAM_ID
    (ping,) = peer.received(PING)
    peer.send(frame(PING, frames.ACK, 0, ping))
    assert [frames.word(payload) for payload in peer.received(frames.GOAWAY)] == [frames.MAX_STREAM_ID, 3]
    peer.open(5)
    assert peer.reset(5) is ErrorCode.REFUSED_STREAM
    peer.answer(1)
    peer.answer(3)
    assert peer.connection.closing
    assert peer.connection.idle


def test_6_8_a_peer_that_says_goodbye_is_still_answered() -> None:
    peer = opened(end=True)
    peer.send(frames.go_away(0, ErrorCode.NO_ERROR))
    peer.answer(1)
    assert peer.received(DATA) == [b"answer"]
    assert peer.connection.closing


@pytest.mark.parametrize(
    ("stream_id", "payload", "code"),
    [(1, bytes(8), ErrorCode.PROTOCOL_ERROR), (0, bytes(7), ErrorCode.FRAME_SIZE_ERROR)],
)
def test_6_8_a_goodbye_that_is_none_fails(stream_id: int, payload: bytes, code: ErrorCode) -> None:
    peer = opened()
    peer.send(frame(frames.GOAWAY, 0, stream_id, payload))
    assert peer.fault is code


# 6.9 WINDOW_UPDATE and flow control


def test_6_9_a_window_of_nothing_is_a_fault_of_its_scope() -> None:
    peer = opened()
    peer.send(frames.window_update(1, 0))
    assert peer.reset() is ErrorCode.PROTOCOL_ERROR
    peer.send(frames.window_update(0, 0))
    assert peer.fault is ErrorCode.PROTOCOL_ERROR


def test_6_9_1_a_window_beyond_its_maximum_is_a_fault_of_its_scope() -> None:
    peer = opened()
    peer.send(frames.window_update(1, frames.MAX_WINDOW))
    assert peer.reset() is ErrorCode.FLOW_CONTROL_ERROR
    peer.send(frames.window_update(0, frames.MAX_WINDOW))
    assert peer.fault is ErrorCode.FLOW_CONTROL_ERROR


def test_6_9_a_window_update_of_another_size_fails() -> None:
    peer = opened()
    peer.send(frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)))
    assert peer.fault is ErrorCode.FRAME_SIZE_ERROR


def test_6_9_bodies_go_as_far_as_both_windows_allow_and_trailers_come_last() -> None:
    peer = Peer()
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 10))
    peer.open(1, end=True)
    peer.frames.clear()
    peer.answer(1, bytes(range(25)))
    assert b"".join(peer.received(DATA)) == bytes(range(10))
    assert peer.connection.unsent == 15
    peer.send(frames.window_update(1, 10))
    assert len(peer.received(HEADERS)) == 1
    peer.send(frames.window_update(1, 5))
    assert b"".join(peer.received(DATA)) == bytes(range(25))
    assert [kind for kind, *_ in peer.frames][-1] == HEADERS
    assert (peer.connection.unsent, peer.connection.idle) == (0, True)


def test_6_9_the_connections_window_is_shared_in_turns() -> None:
    peer = Peer()
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 2**20))
    for stream_id in (1, 3):
        peer.open(stream_id, end=True)
        peer.answer(stream_id, bytes(100_000))
    assert sum(map(len, peer.received(DATA))) == 65_535
    peer.send(frames.window_update(0, 60_000))
    sent = [sum(map(len, peer.received(DATA, stream_id))) for stream_id in (1, 3)]
    assert sum(sent) == 125_535
    assert min(sent) > 25_000


def test_6_9_2_a_change_of_the_initial_window_counts_for_open_streams_and_may_make_them_negative() -> None:
    peer = opened(end=True)
    peer.answer(1, bytes(65_535))
    peer.open(3, end=True)
    peer.send(frames.window_update(0, 1000))
    peer.connection.headers(3, b"\x88")
    peer.connection.data(3, b"x" * 10)
    peer.send(setting(Setting.INITIAL_WINDOW_SIZE, 5))  # 10 are sent of 5
    peer.connection.data(3, b"y" * 10)
    peer.send(frames.window_update(3, 5))
    assert peer.received(DATA, 3) == [b"x" * 10]
    peer.send(frames.window_update(3, 4))
    assert peer.received(DATA, 3) == [b"x" * 10, b"y" * 4]


def test_6_9_data_beyond_the_streams_window_resets_it() -> None:
    peer = Peer(Http2Limits(stream_window=20_000))
    peer.open()
    peer.send(frame(DATA, 0, 1, bytes(16_000)) + frame(DATA, 0, 1, bytes(5000)))
    assert peer.reset() is ErrorCode.FLOW_CONTROL_ERROR


def test_6_9_data_beyond_the_connections_window_fails() -> None:
    peer = Peer(Http2Limits(stream_window=2**20, connection_window=100_000))
    peer.open()
    peer.connection.take_output()
    # Half of the window is given back as soon as it is used, so one chunk alone must exceed the rest.
    for _ in range(200):
        peer.send(frame(DATA, 0, 1, bytes(16_384)))
    assert peer.reset() is ErrorCode.FLOW_CONTROL_ERROR
    small = Peer(Http2Limits(connection_window=frames.DEFAULT_WINDOW, frame_bytes=70_000))
    small.open()
    small.send(frame(DATA, 0, 1, bytes(66_000)))
    assert small.fault is ErrorCode.FLOW_CONTROL_ERROR


def test_6_9_windows_are_opened_again_by_what_is_consumed() -> None:
    peer = Peer(Http2Limits(stream_window=20_000))
    peer.open()
    peer.send(frame(DATA, 0, 1, bytes(12_000)))
    assert peer.received(frames.WINDOW_UPDATE, 1) == []
    peer.connection.consume(1, 12_000)
    peer.send(b"")
    assert [frames.word(payload) for payload in peer.received(frames.WINDOW_UPDATE, 1)] == [12_000]


# 8 Requests


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ({":method": None}, []),
        ({":scheme": None}, []),
        ({":path": None}, []),
        ({":path": ""}, []),
        ({}, [(":path", "/late")]),
        ({}, [("X-Upper", "1")]),
        ({}, [("bad name", "1")]),
        ({}, [("connection", "keep-alive")]),
        ({}, [("transfer-encoding", "chunked")]),
        ({}, [("te", "gzip")]),
        ({}, [("x", "a\r\nb")]),
        ({}, [("x", " padded")]),
        ({}, [("content-length", "1"), ("content-length", "2")]),
        ({}, [("content-length", "-1")]),
        ({":authority": None}, [(":authority", "late")]),
    ],
)
def test_8_2_and_8_3_a_malformed_request_is_reset(changes: dict[str, str | None], extra: list[tuple[str, str]]) -> None:
    peer = Peer()
    peer.open(block=peer.block(changes, extra))
    assert peer.reset() is ErrorCode.PROTOCOL_ERROR
    assert peer.fault is None
    assert not [event for event in peer.events if isinstance(event, RequestReceived)]


@pytest.mark.parametrize("pseudo", [":status", ":other", ":method"])
def test_8_3_a_pseudo_field_that_is_unknown_or_repeated_is_refused(pseudo: str) -> None:
    peer = Peer()
    peer.open(block=bytes(peer.encoder.encode([(pseudo, "POST")])) + peer.block())
    assert peer.reset() is ErrorCode.PROTOCOL_ERROR


def test_8_1_trailers_end_a_request() -> None:
    peer = opened()
    trailers = bytes(peer.encoder.encode([("x-checksum", "1")]))
    assert peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers)) == [DataReceived(1, b"", True)]


@pytest.mark.parametrize(("flags", "fields"), [(0, [("x", "1")]), (END_STREAM, [(":path", "/")])])
def test_8_1_trailers_end_the_stream_and_have_no_pseudo_fields(flags: int, fields: list[tuple[str, str]]) -> None:
    peer = opened()
    peer.send(frame(HEADERS, END_HEADERS | flags, 1, bytes(peer.encoder.encode(fields))))
    assert peer.reset() is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("body", [b"abc", b"abcde"])
def test_8_1_1_content_length_is_the_length_of_the_body(body: bytes) -> None:
    peer = Peer()
    peer.open(block=peer.block(extra=[("content-length", "4")]))
    peer.send(frame(DATA, END_STREAM, 1, body))
    assert peer.reset() is ErrorCode.PROTOCOL_ERROR


def test_8_1_an_early_answer_asks_for_no_more_of_the_request() -> None:
    peer = opened()
    peer.answer(1)
    assert peer.reset() is ErrorCode.NO_ERROR


# 10.5 Denial of service


@pytest.mark.parametrize(
    "idle",
    [
        frame(PING, 0, 0, bytes(8)),
        frame(SETTINGS, 0, 0),
        frame(frames.PRIORITY, 0, 1, bytes(5)),
        frame(DATA, 0, 1, b""),
        frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
        frame(0x50, 0, 0, b""),
    ],
)
def test_10_5_frames_that_carry_nothing_are_borne_only_so_long(idle: bytes) -> None:
    peer = opened()
    for _ in range(1900):
        peer.send(idle)
    assert peer.fault is None
    for _ in range(200):
        peer.send(idle)
    assert peer.fault is ErrorCode.ENHANCE_YOUR_CALM


def test_10_5_time_and_answers_give_patience_back() -> None:
    peer = opened()
    for _ in range(100):
        peer.send(frame(PING, 0, 0, bytes(8)) * 100)
        peer.connection.replenish()
    assert peer.fault is None


@pytest.mark.parametrize("provoked", [False, True])
def test_10_5_a_peer_that_resets_what_it_opens_or_provokes_resets_is_ended(provoked: bool) -> None:
    peer = Peer()
    for number in range(600):
        stream_id = 2 * number + 1
        peer.open(stream_id)
        peer.send(frames.window_update(stream_id, 0) if provoked else frames.reset(stream_id, 8))
    assert peer.fault is ErrorCode.ENHANCE_YOUR_CALM


def test_10_5_a_peer_that_resets_some_of_what_is_answered_is_not() -> None:
    peer = Peer()
    peer.send(frames.window_update(0, 2**30))
    for number in range(2000):
        stream_id = 2 * number + 1
        peer.open(stream_id, end=True)
        if number % 2:
            peer.send(frames.reset(stream_id, 8))
        else:
            peer.answer(stream_id)
    assert peer.fault is None


def test_10_5_1_a_header_list_beyond_the_limit_fails() -> None:
    peer = Peer(Http2Limits(header_bytes=4096))
    name = bytes(peer.encoder.encode([("x" * 30, "y" * 100)]))
    peer.open(block=peer.block() + name + b"\xbe" * 100)
    assert peer.fault is ErrorCode.COMPRESSION_ERROR


def test_a_peer_that_does_not_take_what_was_written_gets_no_more_of_a_body() -> None:
    peer = opened(end=True)
    peer.connection.hold(True)
    peer.answer(1)
    assert peer.received(DATA) == []
    peer.connection.hold(False)
    peer.send(b"")
    assert peer.received(DATA) == [b"answer"]


def test_nothing_is_read_after_a_fault() -> None:
    peer = Peer()
    peer.send(frame(PING, 0, 1, bytes(8)))
    assert peer.fault is ErrorCode.PROTOCOL_ERROR
    assert peer.open() == []
    assert isinstance(peer.connection, Http2Connection)
