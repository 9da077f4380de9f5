"""Requests and responses as values, and how a response looks on the wire."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
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


@dataclass(slots=True)
class Request:
    """One request, complete. Header names are lower case; ``path`` is raw, without the query.

    Attributes:
        deadline: loop time in seconds after which nobody waits for the answer; None when the caller named none.
        cancelled: nobody waits any more.
        delayed: what is to be called once the answer has been handed to the transport. None where that has happened
            when ``respond`` returns; whoever lets it return earlier sets a list before.
    """

    method: str
    path: str
    query: str
    headers: list[Header]
    body: bytes
    keep_alive: bool
    http10: bool = False
    deadline: float | None = None
    cancelled: bool = False
    delayed: list[Callable[[], None]] | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header named in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


@dataclass(slots=True)
class Response:
    """One response; ``close`` asks for the connection to end after it."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: list[Header] = field(default_factory=list)
    close: bool = False


Respond = Callable[[Response], None]
Handler = Callable[[Request, Respond], None]


def json_response(status: int, value: object) -> Response:
    return Response(status, json.dumps(value, ensure_ascii=False).encode())


def error_response(status: int, message: str) -> Response:
    """An error in the protocol's form: ``{"error": "sentence"}``."""
    return json_response(status, {"error": message})


def method_not_allowed(method: str, path: str, allowed: str) -> Response:
    response = error_response(405, f"{method} is not allowed on {path}; allowed: {allowed}")
    response.headers.append((b"allow", allowed.encode()))
    return response


def only_get(request: Request) -> Response | None:
    """The refusal of a method other than GET and HEAD."""
    if request.method in ("GET", "HEAD"):
        return None
    return method_not_allowed(request.method, request.path, "GET, HEAD")


def render(response: Response, close: bool, request: Request | None) -> bytes:
    """The bytes of a response. ``request`` is what it answers, None when that could not be read."""
    status = response.status
    parts = [b"HTTP/1.1 %d %s\r\n" % (status, REASONS.get(status, b"Status"))]
    if response.body or status != 204:
        parts.append(b"content-type: %s\r\ncontent-length: %d\r\n" % (response.content_type, len(response.body)))
    for name, value in response.headers:
        parts.append(b"%s: %s\r\n" % (name, value))
    if close:
        parts.append(b"connection: close\r\n")
    elif request is not None and request.http10:
        parts.append(b"connection: keep-alive\r\n")
    parts.append(b"\r\n")
    if request is None or request.method != "HEAD":
        parts.append(response.body)
    return b"".join(parts)
