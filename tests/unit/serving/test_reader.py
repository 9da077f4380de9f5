"""Requests out of bytes, however the network cuts them."""

from __future__ import annotations

import pytest
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.message import Request, Response
from plimsoll_serving.http.reader import RequestReader

REQUEST = b"POST /v2 HTTP/1.1\r\nhost: t\r\ncontent-length: 3\r\n\r\nabc"
HEADER_BYTES = 200


@pytest.fixture
def reader() -> RequestReader:
    return RequestReader(Limits(header_bytes=HEADER_BYTES), Budget(1 << 20), lambda: None)


@pytest.mark.parametrize("cut", [0, 1, 10, 30, len(REQUEST) - 4, len(REQUEST) - 2])
def test_pipelined_requests_are_not_taken_for_one_long_head(reader: RequestReader, cut: int) -> None:
    stream = REQUEST * 100
    pieces = [stream[:cut], stream[cut : cut + 50 * len(REQUEST)], stream[cut + 50 * len(REQUEST) :]]
    for piece in pieces:
        reader.feed(piece)
    assert [type(item) for item in reader.ready] == [Request] * 100


def test_known_heads_of_several_lengths_in_one_piece_may_be_cut_anywhere(reader: RequestReader) -> None:
    longer = REQUEST.replace(b"host: t", b"host: longer")
    stream = REQUEST + longer + longer + REQUEST
    fed(reader, stream, len(REQUEST))  # neither is known before
    for cut in range(1, len(stream)):
        reader.ready.clear()
        reader.feed(stream[:cut])
        reader.feed(stream[cut:])
        hosts = [item.header(b"host") for item in reader.ready if isinstance(item, Request)]
        assert hosts == [b"t", b"longer", b"longer", b"t"]
        assert not reader.in_message


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
@pytest.mark.parametrize("before", [b"", REQUEST, REQUEST * 20], ids=["first", "second", "later"])
def test_a_head_that_never_ends_is_refused(reader: RequestReader, size: int, before: bytes) -> None:
    stream = before + b"GET / HTTP/1.1\r\nx: " + b"y" * 3000
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    refusal = reader.ready[-1]
    assert isinstance(refusal, Response)
    assert refusal.status == 431


def fed(reader: RequestReader, stream: bytes, size: int) -> list[Request | Response]:
    """What comes of a stream in pieces of ``size`` bytes."""
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    return list(reader.ready)


CHUNKED = b"POST /v2 HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
OFFER = b"connection: Upgrade\r\nupgrade: h2c\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("message", [REQUEST, CHUNKED + b"\r\n"], ids=["length", "chunked"])
def test_a_declined_upgrade_leaves_its_body_and_what_follows(reader: RequestReader, message: bytes, size: int) -> None:
    offered = message.replace(b"host: t\r\n", b"host: t\r\n" + OFFER)
    requests = fed(reader, offered + offered + REQUEST, size)
    assert [item.body for item in requests if isinstance(item, Request) and item.keep_alive] == [b"abc"] * 3
    assert reader.messages == 3


@pytest.mark.parametrize("size", [1, 1000])
def test_nothing_after_connect_is_read(reader: RequestReader, size: int) -> None:
    (only,) = fed(reader, b"CONNECT t:1 HTTP/1.1\r\nhost: t\r\n\r\n" + REQUEST, size)
    assert isinstance(only, Request)
    assert not only.keep_alive


@pytest.mark.parametrize("size", [1, 1000])
def test_trailers_are_no_headers(reader: RequestReader, size: int) -> None:
    requests = fed(reader, CHUNKED + b"plimsoll-delegated: 1\r\nhost: u\r\n\r\n" + REQUEST, size)
    heads = [dict(item.headers) for item in requests if isinstance(item, Request)]
    assert [head.keys() - {b"content-length", b"transfer-encoding"} for head in heads] == [{b"host"}, {b"host"}]


ENDLESS = {
    "trailer": b"0\r\nx: " + b"y" * 3000,
    "trailers": b"0\r\n" + b"x: y\r\n" * 1000,
    "chunk extension": b"3;x=" + b"y" * 3000,
}


@pytest.mark.parametrize("size", [1, 50, 190])
@pytest.mark.parametrize("end", ENDLESS.values(), ids=ENDLESS)
def test_what_is_between_and_after_chunks_is_bounded(reader: RequestReader, end: bytes, size: int) -> None:
    *_, refusal = fed(reader, CHUNKED.removesuffix(b"0\r\n") + end, size)
    assert isinstance(refusal, Response)
    assert refusal.status == 431


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
def test_a_body_of_many_small_chunks_is_as_long_as_it_may(reader: RequestReader, size: int) -> None:
    head, _, _ = CHUNKED.partition(b"3\r\nabc")
    (request,) = fed(reader, head + b"3;x=y\r\nabc\r\n" * 500 + b"0\r\n\r\n", size)
    assert isinstance(request, Request)
    assert request.body == b"abc" * 500


HOSTS = {
    b"GET / HTTP/1.1\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nhost: t\r\nHost: t\r\n\r\n": 400,
    b"GET / HTTP/1.0\r\nhost: t\r\nhost: u\r\n\r\n": 400,
    b"GET http://t/ HTTP/1.1\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\ncontent-length: 3\r\n" + OFFER + b"\r\nabc": 400,
    b"GET / HTTP/1.1\r\nHost: t\r\n\r\n": None,
    b"GET / HTTP/1.1\r\nhost:\r\n\r\n": None,
    b"GET / HTTP/1.0\r\n\r\n": None,
}


@pytest.mark.parametrize(("stream", "status"), HOSTS.items())
def test_a_request_names_one_host(reader: RequestReader, stream: bytes, status: int | None) -> None:
    (item,) = fed(reader, stream, 1000)
    assert (item.status if isinstance(item, Response) else None) == status


def test_chunks_are_not_of_http_10(reader: RequestReader) -> None:
    stream = CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"host: t", b"host: t\r\nconnection: keep-alive")
    (refusal,) = fed(reader, stream + b"\r\n" + REQUEST, 1000)
    assert isinstance(refusal, Response)
    assert (refusal.status, refusal.close) == (400, True)


def test_the_body_is_asked_for_until_it_is_there_and_of_http_11_only() -> None:
    asked: list[str] = []
    reader = RequestReader(Limits(), Budget(1 << 20), lambda: asked.append("asked"))
    expecting = REQUEST.replace(b"host: t", b"host: t\r\nexpect: 100-continue")
    reader.feed(expecting[:-3])
    assert (asked, reader.expecting) == (["asked"], True)
    reader.feed(b"abc" + REQUEST[:-3])
    assert (asked, reader.expecting) == (["asked"], False)
    reader.feed(b"abc" + expecting.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (asked, reader.expecting) == (["asked"], False)
    assert [type(item) for item in reader.ready] == [Request] * 3


def test_a_refusal_for_want_of_room_says_when_to_come_again() -> None:
    reader = RequestReader(Limits(), Budget(2), lambda: None)
    (refusal,) = fed(reader, REQUEST, 1000)
    assert isinstance(refusal, Response)
    assert (refusal.status, dict(refusal.headers)) == (503, {b"retry-after": b"1"})
