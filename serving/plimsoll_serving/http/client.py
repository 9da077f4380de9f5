"""A kept-alive HTTP/1.1 client for one address: raw bodies out, whole responses in."""

import asyncio
from collections import deque
from typing import cast

import httptools

from plimsoll_serving.http.message import HOP_BY_HOP, Header, Request, Response

MAX_AGE_SECONDS = 30.0


class ConnectionBrokenError(Exception):
    """The peer ended the connection, or sent what is not HTTP, before the answer was complete.

    ``answered`` tells whether any byte of an answer had arrived.
    """

    def __init__(self, message: str, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class ClientConnection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, max_response_bytes: int) -> None:
        self._max_bytes = max_response_bytes
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._answered = False
        self.born = asyncio.get_running_loop().time()
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._break(f"the connection was lost: {exc}" if exc else "the connection was closed")

    def _break(self, reason: str) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionBrokenError(reason, self._answered))

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, message: bytes) -> Response:
        """Send a request and await its answer; a cancelled exchange ends the connection.

        Raises ConnectionBrokenError.
        """
        if self._transport is None or not self.usable:
            raise ConnectionBrokenError("the connection was closed", answered=False)
        self._answered = False
        self._body: list[bytes] = []
        self._size = 0
        self._headers: list[Header] = []
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.close()
            raise

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # bytes that nobody asked for
            return
        self._answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._break(f"the answer is not valid HTTP/1.1: {error}")

    # Callbacks of httptools.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_bytes:
            self._break(f"the answer exceeds {self._max_bytes} bytes")
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer; the final one follows
            self._headers = []
            return
        self.usable = self.usable and self._parser.should_keep_alive()
        if self._answer is None or self._answer.done():
            return
        response = Response(status, b"".join(self._body))
        response.content_type = next((v for k, v in self._headers if k == b"content-type"), b"application/json")
        response.headers = [(k, v) for k, v in self._headers if k not in HOP_BY_HOP and k != b"content-type"]
        self._answer.set_result(response)


class ConnectionPool:
    """Kept-alive connections to one address.

    Each is at most 30 s old, so that a Service keeps spreading them over its pods.
    """

    def __init__(self, host: str, port: int, max_response_bytes: int) -> None:
        self._host = host
        self._port = port
        self._max_bytes = max_response_bytes
        self._idle: deque[ClientConnection] = deque()
        self._loop = asyncio.get_running_loop()

    def take(self) -> ClientConnection | None:
        """A kept connection, the one used last; None when there is none."""
        oldest = self._loop.time() - MAX_AGE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.born > oldest:
                return connection
            connection.close()
        return None

    async def connect(self) -> ClientConnection:
        """A new connection. Raises OSError when the address does not answer."""
        _, connection = await self._loop.create_connection(
            lambda: ClientConnection(self._max_bytes), self._host, self._port
        )
        return connection

    def keep(self, connection: ClientConnection) -> None:
        """Hand a connection back after a complete exchange."""
        if not connection.usable or self._loop.time() - connection.born >= MAX_AGE_SECONDS:
            connection.close()
            return
        while self._idle and not self._idle[0].usable:
            self._idle.popleft()
        self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def forwarded(request: Request, host: str, extra: list[Header]) -> bytes:
    """The bytes of a request sent on: the same target, body and end-to-end headers."""
    target = f"{request.path}?{request.query}" if request.query else request.path
    parts = [f"{request.method} {target} HTTP/1.1\r\nhost: {host}\r\n".encode("latin-1")]
    for name, value in [*request.headers, *extra]:
        if name not in HOP_BY_HOP:
            parts.append(b"%s: %s\r\n" % (name, value))
    parts.append(b"content-length: %d\r\n\r\n" % len(request.body))
    parts.append(request.body)
    return b"".join(parts)
