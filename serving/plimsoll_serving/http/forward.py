"""Requests as they are sent on: the same target and end-to-end headers."""

import re
from collections.abc import Iterable

from plimsoll_serving.http.message import HOP_BY_HOP, Header, Request

CACHED_HEADS = 256
CACHED_HEAD_BYTES = 4096

# No parser lets these through; other front ends may not be parsers.
_UNSAFE = re.compile(rb"[\r\n\0]")

Key = tuple[str, str, str, tuple[Header, ...]]


class ForwardedHeads:
    """Builds the heads of requests to one host, and remembers some: a client's head is the same each time.

    Args:
        host: value of the ``host`` header.
        extra: headers added to each request.
        without: further headers that are not sent on, in lower case.
    """

    def __init__(self, host: str, extra: Iterable[Header], without: frozenset[bytes] = frozenset()) -> None:
        self._host = host
        self._extra = tuple(extra)
        self._without = HOP_BY_HOP | without | {name for name, _ in self._extra}
        self._known: dict[Key, bytes] = {}

    def head(self, request: Request) -> bytes:
        """Request line, headers and the empty line."""
        kept = request.kept
        if kept is None:
            return self._head(request)
        if kept.sent_by is not self:
            kept.sent_by, kept.sent = self, self._head(request)
        return kept.sent

    def _head(self, request: Request) -> bytes:
        key = (request.method, request.path, request.query, tuple(request.headers))
        begin = self._known.get(key)
        if begin is None:
            begin = self._build(request)
            if len(begin) <= CACHED_HEAD_BYTES:
                if len(self._known) >= CACHED_HEADS:
                    self._known.clear()
                self._known[key] = begin
        return b"%bcontent-length: %d\r\n\r\n" % (begin, len(request.body))

    def _build(self, request: Request) -> bytes:
        target = f"{request.path}?{request.query}" if request.query else request.path
        # The answer to a GET has the same head as that to a HEAD, and its end can be told without knowing the question.
        method = "GET" if request.method == "HEAD" else request.method
        parts = [f"{method} {target} HTTP/1.1\r\nhost: {self._host}\r\n".encode("latin-1")]
        without = self._without | _nominated(request)
        parts += [
            b"%b: %b\r\n" % header
            for header in request.headers
            if header[0] not in without and not _UNSAFE.search(b"".join(header))
        ]
        parts += [b"%b: %b\r\n" % header for header in self._extra]
        return b"".join(parts)


def _nominated(request: Request) -> set[bytes]:
    """Headers that the client meant for this connection only (RFC 9110, section 7.6.1)."""
    value = request.header(b"connection") or b""
    return {name.strip().lower() for name in value.split(b",")}
