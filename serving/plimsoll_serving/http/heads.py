"""Heads that were parsed before: clients send the same one with each request, and its bytes mean the same again."""

from typing import Final

from plimsoll_serving.http.message import Kept, Request, fields_of

KEPT = 512
LONGEST = 2048
END: Final = b"\r\n\r\n"
# Whoever uses these is read by the parser itself each time.
_OWN_WAY = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer"})


class Head:
    """What the parser made of a head, its bytes, and the length of the body it announces."""

    __slots__ = ("_fields", "_headers", "_kept", "_method", "_path", "_query", "data", "length")

    def __init__(self, data: bytes, request: Request) -> None:
        self.data = data
        self._method = request.method
        self._path = request.path
        self._query = request.query
        self._headers = request.headers
        self._fields = fields_of(request.headers)
        self._kept = Kept()
        self.length = int(self._fields.get(b"content-length", 0))

    def request(self, body: bytes) -> Request:
        request = Request(self._method, self._path, self._query, self._headers, body, True)
        request.fields, request.kept = self._fields, self._kept
        return request


class KnownHeads:
    """Heads by their bytes. Bounded: 512 of at most 2 KiB."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self.get = self._known.get

    def learn(self, data: bytes, request: Request) -> None:
        """Remember the head at the start of ``data``, which the parser has read as ``request``.

        Only of plain HTTP/1.1 requests that keep the connection; a head whose lines do not count up to what the parser
        saw is left alone.
        """
        end = data.find(END)
        if not 0 < end <= LONGEST or not request.keep_alive or request.http10:
            return
        head = data[: end + len(END)]
        names = {name for name, _ in request.headers}
        if (request.header(b"connection") or b"keep-alive").lower() != b"keep-alive" or names & _OWN_WAY:
            return
        if head.count(b"\n") != len(request.headers) + 2 or len(names) != len(request.headers):
            return
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[head] = Head(head, request)
