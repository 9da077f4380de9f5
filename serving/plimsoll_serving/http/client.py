"""One kept-alive connection to a peer: whole answers, read as cheaply as they can be read safely."""

import asyncio
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, cast

import httptools

from plimsoll_serving.http.message import HOP_BY_HOP, Header, Response

CACHED_HEADS = 256
CACHED_HEAD_BYTES = 4096
# Below this head and body go out as one piece; beyond it joining them would cost more than a second piece.
JOINED_BYTES = 64 * 1024
PREDICTION_ID = b"plimsoll-prediction-id"
_ID_LINE = re.compile(rb"\r\nplimsoll-prediction-id: ([\w.-]+)(?=\r\n)")


class Reason(Enum):
    """Why there is no answer."""

    UNREACHABLE = auto()
    BROKEN = auto()
    TIMEOUT = auto()
    TOO_LARGE = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """No complete answer came, and why, as a sentence for the log."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer whose body has ``size`` bytes and after which the connection stays open."""

    status: int
    content_type: bytes
    headers: tuple[Header, ...]
    size: int


class AnswerHeads:
    """Heads of whole answers met before, by their bytes but for the prediction id, which is another in each.

    Each was read by the parser the first time.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, data: bytes) -> Response | None:
        """The answer, when ``data`` is one whole answer with a known head."""
        end, key, prediction_id = _parts(data)
        head = self._known.get(key)
        if head is None or len(data) - end != head.size:
            return None
        headers = [*head.headers] if prediction_id is None else [*head.headers, (PREDICTION_ID, prediction_id)]
        return Response(head.status, data[end:], head.content_type, headers)

    def learn(self, data: bytes, response: Response) -> None:
        """Remember the head of ``data``, which the parser has read as this one whole answer."""
        end, key, prediction_id = _parts(data)
        size = len(response.body)
        if end < 4 or len(data) - end != size:
            return  # the head is long, or the body was sent in chunks
        headers = list(response.headers)
        if prediction_id is not None:
            headers.remove((PREDICTION_ID, prediction_id))
        if len(self._known) >= CACHED_HEADS:
            self._known.clear()
        self._known[key] = Head(response.status, response.content_type, tuple(headers), size)


def _parts(data: bytes) -> tuple[int, bytes, bytes | None]:
    """Length of the head, the head without the line of the prediction id, and that id."""
    end = data.find(b"\r\n\r\n", 0, CACHED_HEAD_BYTES) + 4
    line = _ID_LINE.search(data, 0, end)
    if line is None:
        return end, data[:end], None
    return end, data[: line.start()] + data[line.end() : end], line[1]


class Asker(Protocol):
    """Who waits for the answer on a connection; told exactly once, unless it closes the connection before."""

    max_bytes: int

    def on_answer(self, response: Response) -> None: ...

    def on_broken(self, failure: Failure, answered: bool) -> None:
        """``answered`` tells whether any byte of an answer had come."""


class ClientConnection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, heads: AnswerHeads) -> None:
        self._heads = heads
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._asker: Asker | None = None
        self.born = asyncio.get_running_loop().time()
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(Reason.BROKEN, f"the connection was lost: {exc}" if exc else "the connection was closed")

    def close(self) -> None:
        """End the connection at once; whoever waits is not told."""
        self.usable = False
        self._asker = None
        if self._transport is not None:
            self._transport.abort()

    def ask(self, head: bytes, body: bytes, asker: Asker) -> None:
        """Send a request. The connection must be usable, and nobody else may wait on it."""
        self._asker = asker
        self._answered = self._complete = self._surplus = False
        self._pieces = 0
        self._body: list[bytes] = []
        self._size = 0
        self._headers: list[Header] = []
        transport = cast("asyncio.Transport", self._transport)
        if len(body) <= JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)

    def data_received(self, data: bytes) -> None:
        if self._asker is None:
            self.close()  # bytes that nobody asked for
            return
        if not self._answered:
            self._answered = True
            found = self._heads.find(data)
            if found is not None:
                self._answer(self._asker, found)
                return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        self._pieces += 1
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self._break(Reason.BROKEN, f"the answer is not valid HTTP/1.1: {error}")
                return
            self._surplus = True
        asker = self._asker
        if asker is None:
            return
        if self._size > asker.max_bytes:
            self._break(Reason.TOO_LARGE, f"the answer exceeds {asker.max_bytes} bytes")
        elif self._complete:
            self._finish(asker, data)

    def _finish(self, asker: Asker, data: bytes) -> None:
        response = Response(self._status, b"".join(self._body))
        response.content_type = next((v for k, v in self._headers if k == b"content-type"), b"application/json")
        response.headers = [(k, v) for k, v in self._headers if k not in HOP_BY_HOP and k != b"content-type"]
        if self._surplus:
            self.usable = False
        elif self.usable and self._pieces == 1:
            self._heads.learn(data, response)
        self._answer(asker, response)

    def _answer(self, asker: Asker, response: Response) -> None:
        self._asker = None
        if self._transport is not None and self._transport.get_write_buffer_size():
            self.usable = False  # the peer has answered without reading the request to its end
        asker.on_answer(response)

    def _break(self, reason: Reason, message: str) -> None:
        asker = self._asker
        self.close()
        if asker is not None:
            asker.on_broken(Failure(reason, message), self._answered)

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._complete:
            self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        if self._asker is None or self._complete:
            return
        self._size += len(body)
        if self._size <= self._asker.max_bytes:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._complete:
            return
        self._status = self._parser.get_status_code()
        if self._status < 200:  # an interim answer; the final one follows
            self._headers = []
            self._pieces += 1
            return
        self._complete = True
        self.usable = self.usable and self._parser.should_keep_alive()
