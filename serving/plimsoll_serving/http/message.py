"""Requests and responses as values, and how a response looks on the wire."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

METHODS: Final = b"GET, HEAD, POST"
STATUS_LINES: Final = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_OK: Final = STATUS_LINES[200]
_OK_JSON: Final = b"%bcontent-type: application/json\r\ncontent-length: " % _OK
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"host",
        b"content-length",
    }
)

Header = tuple[bytes, bytes]
# A request that another pod sends on; it is answered by whoever gets it.
DELEGATED_NAME: Final = b"plimsoll-delegated"
DELEGATED: Header = (DELEGATED_NAME, b"1")
# A copy of one, whose answer nobody gets.
MIRRORED_NAME: Final = b"plimsoll-mirrored"
MIRRORED: Header = (MIRRORED_NAME, b"1")
# On a 504: the time that its caller gave it was over, which says nothing about who was asked.
EXPIRED: Header = (b"plimsoll-deadline", b"exceeded")
# Says to that pod that requests which it sends on one connection without waiting are worked on together.
TOGETHER: Header = (b"plimsoll-together", b"1")
# Says that they are not. An answer without any header of this prefix is of somebody else: while kube-proxy writes the
# rules of a Service, a connection to its address may leave the cluster.
APART: Header = (b"plimsoll-together", b"0")
PREFIX = b"plimsoll-"


class SharedHeaders:
    """Headers that many responses have.

    Attributes:
        lines: how they look on the wire.
    """

    __slots__ = ("headers", "lines")

    def __init__(self, headers: list[Header]) -> None:
        self.headers = headers
        self.lines = b"".join([b"%b: %b\r\n" % header for header in headers])


class Kept:
    """What is kept with a head that was met before, for all requests that have it.

    Attributes:
        sent_by, sent: the head with which it is sent on, and whose work that is.
        json_bytes: of the JSON before binary tensors; negative as long as nobody has read it.
        without: what is left of it by the header that was left out: clients name the codings they accept each time.
    """

    __slots__ = ("json_bytes", "sent", "sent_by", "without")

    def __init__(self) -> None:
        self.json_bytes = -1
        self.without: dict[bytes, tuple[list[Header], dict[bytes, bytes], Kept]] = {}
        self.sent_by: object = None
        self.sent = b""


class Request:
    """One request, complete. Header names are lower case; ``path`` is raw, without the query.

    Attributes:
        deadline: loop time in seconds after which nobody waits for the answer; None when the caller named none.
        cancelled: nobody waits any more.
        delayed: what is to be called once the answer has been handed to the transport. None where that has happened
            when ``respond`` returns; whoever lets it return earlier sets a list before.
        fields: the first value by name, made from ``headers`` when first asked for.
        kept: of a request as it came, with a head and a length that were met before.
    """

    http10: bool = False
    deadline: float | None = None
    cancelled: bool = False
    delayed: list[Callable[[], None]] | None = None
    fields: dict[bytes, bytes] | None = None
    kept: Kept | None = None

    def __init__(
        self, method: str, path: str, query: str, headers: list[Header], body: bytes, keep_alive: bool
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header named in lower case."""
        if self.fields is None:
            self.fields = fields_of(self.headers)
        return self.fields.get(name)

    def copy(self) -> "Request":
        """Another request with the same head and body, which may have a deadline of its own."""
        twin = Request(self.method, self.path, self.query, self.headers, self.body, self.keep_alive)
        twin.http10, twin.deadline, twin.cancelled = self.http10, self.deadline, self.cancelled
        twin.fields = self.fields
        return twin

    def drop(self, name: bytes) -> None:
        """Leave a header out from now on."""
        less = None if self.kept is None else self.kept.without.get(name)
        if less is None:
            headers = [header for header in self.headers if header[0] != name]
            less = (headers, fields_of(headers), Kept())
            if self.kept is not None:
                self.kept.without[name] = less
        self.headers, self.fields, self.kept = less

    def decompressed(self, body: bytes) -> None:
        """Have another body than the one that came; what is kept with the head is of that one."""
        self.body, self.kept = body, None


def fields_of(headers: list[Header]) -> dict[bytes, bytes]:
    """The first value of each header."""
    return dict(reversed(headers))


class Response:
    """One response; ``close`` asks for the connection to end after it.

    Attributes:
        head: of an answer of another pod, the head as `render` writes it for a connection that goes on; empty of any
            other, and once anybody has had the headers, who may change them.
        own, shared: what its headers are made of; ``shared`` is None once anybody has had them all.
    """

    __slots__ = ("body", "close", "content_type", "head", "own", "shared", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        content_type: bytes = b"application/json",
        headers: list[Header] | None = None,
        close: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.own: list[Header] = [] if headers is None else headers
        self.close = close
        self.head = b""
        self.shared: SharedHeaders | None = None

    @property
    def headers(self) -> list[Header]:
        if self.head:
            self.own, self.head = headers_of(self.head), b""
        if self.shared is not None:
            self.own, self.shared = [*self.shared.headers, *self.own], None
        return self.own

    @headers.setter
    def headers(self, headers: list[Header]) -> None:
        self.own, self.head, self.shared = headers, b"", None


def headers_of(head: bytes) -> list[Header]:
    """The headers in a head as `render` writes it, but for those that it makes itself."""
    lines = [line.partition(b": ") for line in head.split(b"\r\n")[1:-2]]
    return [(name, value) for name, _, value in lines if name not in (b"content-type", b"content-length")]


Respond = Callable[[Response], None]
Handler = Callable[[Request, Respond], None]


def json_response(status: int, value: object) -> Response:
    # Half of a surrogate pair, given back from what a caller sent, is no UTF-8: it stays the escape that it was.
    return Response(status, json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def error_response(status: int, message: str) -> Response:
    """An error in the protocol's form: ``{"error": "sentence"}``. A 503 asks to come again after a second."""
    response = json_response(status, {"error": message})
    if status == 503:
        response.headers.append((b"retry-after", b"1"))
    return response


def method_not_allowed(method: str, path: str, allowed: str) -> Response:
    response = error_response(405, f"{method} is not allowed on {path}; allowed: {allowed}")
    response.headers.append((b"allow", allowed.encode()))
    return response


def only_get(request: Request) -> Response | None:
    """The refusal of a method other than GET and HEAD."""
    if request.method in ("GET", "HEAD"):
        return None
    return method_not_allowed(request.method, request.path, "GET, HEAD")


def whole_server(request: Request) -> Response | None:
    """The answer to ``OPTIONS *`` (RFC 9110, section 9.3.7), which asks about no path."""
    if request.method != "OPTIONS" or request.path != "*":
        return None
    return Response(204, headers=[(b"allow", METHODS)])


def split_target(target: bytes) -> tuple[str, str]:
    """Path and query of a request target, also in absolute form (``http://host/path?query``)."""
    text = target.decode("latin-1")
    if not text.startswith("/") and "://" in text:
        text = "/" + text.split("://", 1)[1].partition("/")[2]
    path, _, query = text.partition("?")
    return path, query


def render(response: Response, close: bool, request: Request | None, line: bytes = b"") -> bytes:
    """The bytes of a response.

    Args:
        request: what it answers, None when that could not be read.
        line: of a header that is not among its headers.
    """
    body = response.body
    head = response.head
    if head and not (close or request is None or request.http10 or request.method == "HEAD"):
        return b"%b%b\r\n%b" % (head[:-2], line, body) if line else head + body
    pieces = [_start(response)]
    shared = response.shared
    if shared is not None:
        pieces.append(shared.lines)
    for name, value in response.own if shared is not None else response.headers:
        pieces.append(b"%b: %b\r\n" % (name, value))
    if line:
        pieces.append(line)
    if close:
        pieces.append(b"connection: close\r\n")
    elif request is not None and request.http10:
        pieces.append(b"connection: keep-alive\r\n")
    pieces.append(b"\r\n")
    if request is None or request.method != "HEAD":
        pieces.append(body)
    return b"".join(pieces)


def _start(response: Response) -> bytes:
    """Status, type and length."""
    status, kind, size = response.status, response.content_type, len(response.body)
    if status == 200 and kind == b"application/json":
        return b"%b%d\r\n" % (_OK_JSON, size)
    if not size and status == 204:
        return status_line(status)
    return b"%bcontent-type: %b\r\ncontent-length: %d\r\n" % (status_line(status), kind, size)


def status_line(status: int) -> bytes:
    if status == 200:
        return _OK
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d Status\r\n" % status
