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


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
@pytest.mark.parametrize("before", [b"", REQUEST, REQUEST * 20], ids=["first", "second", "later"])
def test_a_head_that_never_ends_is_refused(reader: RequestReader, size: int, before: bytes) -> None:
    stream = before + b"GET / HTTP/1.1\r\nx: " + b"y" * 3000
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    refusal = reader.ready[-1]
    assert isinstance(refusal, Response)
    assert refusal.status == 431
