"""One kept-alive connection to a peer: whole answers, read as cheaply as they can be read safely."""

import asyncio
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol, cast

import httptools

from plimsoll_serving.http.message import APART, HOP_BY_HOP, PREFIX, TOGETHER, Header, Response, render

CACHED_HEADS = 256
CACHED_HEAD_BYTES: Final = 4096
# Up to this, pieces are joined before they are written; beyond it joining them would cost more than it saves.
JOINED_BYTES: Final = 64 * 1024
# Of a head: the status, the type and the length of the usual ones.
KEY_BYTES: Final = 80
_END: Final = b"\r\n\r\n"
_ID_LINE = b"\r\nplimsoll-prediction-id: "
_LENGTH = re.compile(rb"\r\ncontent-length: (\d{1,18})\r\n")
_ID_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
# Leaves those bytes as they are, and no other.
_OTHERS: Final = bytes([byte if byte in _ID_BYTES else byte ^ 0xFF for byte in range(256)])
_MADE_ANEW: Final = frozenset((b"content-type", b"date"))


class Reason(Enum):
    """Why there is no answer."""

    UNREACHABLE = auto()
    STRANGER = auto()
    BROKEN = auto()
    TIMEOUT = auto()
    TOO_LARGE = auto()


@dataclass(frozen=True, slots=True)
class Failure:
    """No complete answer came, and why, as a sentence for the log."""

    reason: Reason
    message: str

    @property
    def absent(self) -> bool:
        """Whether nobody was at the address, or somebody else than a server of models."""
        return self.reason in (Reason.UNREACHABLE, Reason.STRANGER)


class Head:
    """The head of an answer, after which the connection stays open: all answers that have it are alike but for what
    follows the last dot of the prediction id, and the body.

    Attributes:
        size, whole: bytes of the body, and of the answer.
        together: whether the peer takes requests together.
    """

    __slots__ = (
        "_after", "_before", "_body", "_content_type", "_end", "_id", "_passed_after", "_passed_before", "_status",
        "size", "together", "whole",
    )  # fmt: skip

    def __init__(self, head: bytes, response: Response, together: bool) -> None:
        self.size = len(response.body)
        self.whole = len(head) + self.size
        written = render(response, False, None)
        passed = written[: len(written) - self.size]
        start, end = _varying(head)
        first, last = _varying(passed)
        if head[start:end] != passed[first:last]:  # the line of the id is not as it will be written
            start, end, first, last = len(head), len(head), len(passed), len(passed)
        self._id, self._end, self._body = start, end, len(head)
        self._before, self._after = head[:start], head[end:]
        self._passed_before, self._passed_after = passed[:first], passed[last:]
        self._status = response.status
        self._content_type = response.content_type
        self.together = together

    def read(self, data: bytes, start: int) -> Response | None:
        """The answer that begins at ``start``; None when it is not whole or has another head."""
        first, last, body, stop = start + self._id, start + self._end, start + self._body, start + self.whole
        if len(data) < stop or data[start:first] != self._before or data[last:body] != self._after:
            return None
        varying = data[first:last]
        if varying.translate(_OTHERS) != varying:
            return None
        response = Response(self._status, data[body:stop], self._content_type)
        response.head = self._passed_before + varying + self._passed_after
        return response


def _varying(head: bytes) -> tuple[int, int]:
    """Where in a head that is another in each answer starts and ends: after the last dot of the prediction id."""
    line = head.find(_ID_LINE)
    if line < 0:
        return len(head), len(head)
    start = line + len(_ID_LINE)
    end = head.find(b"\r\n", start)
    start = max(start, head.rfind(b".", start, end) + 1)
    varying = head[start:end]
    return (start, end) if varying.translate(_OTHERS) == varying else (len(head), len(head))


class AnswerHeads:
    """Heads of whole answers met before, by how they begin: up to here those of one peer differ only by length.

    Each was read by the parser the first time.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, data: bytes, start: int = 0) -> Head | None:
        """The only one that the answer which begins at ``start`` can have; None when its head is not known."""
        return self._known.get(data[start : start + KEY_BYTES])

    def learn(self, data: bytes, response: Response, together: bool = False) -> None:
        """Remember the head of ``data``, which the parser has read as this one whole answer."""
        end = data.find(_END, 0, CACHED_HEAD_BYTES) + len(_END)
        if end < KEY_BYTES or len(data) - end != len(response.body):
            return  # the head is short or long, or the body was sent in chunks
        if len(self._known) >= CACHED_HEADS:
            self._known.clear()
        self._known[data[:KEY_BYTES]] = Head(data[:end], response, together)


class Asker(Protocol):
    """Who waits for the answer on a connection; told exactly once, unless it closes the connection before."""

    max_bytes: int

    @property
    def over(self) -> bool:
        """Whether it waits no more."""

    def on_answer(self, response: Response) -> None: ...

    def on_broken(self, failure: Failure, answered: bool) -> None:
        """``answered`` tells whether any byte of its answer had come."""


class ClientConnection(asyncio.Protocol):
    """One connection. Answers come in the order of the requests; several wait only where the peer takes them so.

    Attributes:
        born: loop time at which it was made.
        usable: whether it may be asked again.
        together: whether the peer said with its last answer that it works on several requests of a connection at once.
    """

    def __init__(self, heads: AnswerHeads) -> None:
        self._heads = heads
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._askers: list[Asker] = []
        # Read by the parser, and not told yet; with the bytes of the body, of which no more are kept than may be.
        self._complete: list[tuple[Response, int]] = []
        self._in_answer = False
        self._reset()
        self.born = asyncio.get_running_loop().time()
        self.usable = True
        self.together = False

    def _reset(self) -> None:
        self._headers: list[Header] = []
        self._body: list[bytes] = []
        self._size = 0

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._askers)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        message = f"the connection was lost: {exc}" if exc else "the connection was closed"
        self._break(Failure(Reason.BROKEN, message), self._in_answer)

    def close(self) -> None:
        """End the connection at once; whoever waits is not told."""
        self.usable = False
        self._askers.clear()
        if self._transport is not None:
            self._transport.abort()

    def left(self) -> None:
        """Somebody waits no more. The connection ends when nobody does; until then what comes for him is dropped."""
        if all(asker.over for asker in self._askers):
            self.close()

    def ask(self, pieces: list[bytes], askers: list[Asker]) -> None:
        """Send requests, as many as there are askers: heads and bodies in turn.

        The connection must be usable and nobody wait on it; more than one may be sent where it is ``together``.
        """
        self._askers.extend(askers)
        transport = cast("asyncio.Transport", self._transport)
        size = 0
        for piece in pieces:
            size += len(piece)
        if size <= JOINED_BYTES:
            transport.write(b"".join(pieces))
        else:
            transport.writelines(pieces)

    def data_received(self, data: bytes) -> None:
        position, size = 0, len(data)
        while position < size:
            if not self._askers:
                self.close()  # bytes that nobody asked for
                return
            head = None if self._in_answer else self._heads.find(data, position)
            response = None if head is None else head.read(data, position)
            if head is not None and response is not None:
                self._answer(response, head.size, head.together)
                position += head.whole
                continue
            end = size if self._in_answer else _end_of_answer(data, position)
            self._parse(data[position:end])
            position = end

    def _parse(self, data: bytes) -> None:
        """Read what is no answer with a known head; the parser sees all bytes of such in their order."""
        begins = not self._in_answer
        self._in_answer = True
        fault = ""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            fault = f"the answer is not valid HTTP/1.1: {error}"
        complete, self._complete = self._complete, []
        for response, size in complete:
            if not self._askers:
                fault = "more answers than requests"
                break
            if not any(name.startswith(PREFIX) for name, _ in response.headers):
                self._break(Failure(Reason.STRANGER, f"no server of models answered: {response.status}"), True)
                return
            together = _taken_out(response)
            if begins and len(complete) == 1 and not fault and not self._in_answer and self.usable:
                self._heads.learn(data, response, together)
            self._answer(response, size, together)
        if fault:
            self._break(Failure(Reason.BROKEN, fault), self._in_answer)
        elif self._askers and self._size > self._askers[0].max_bytes:
            self._break_too_large()
        elif self._askers and not self.usable:
            self._break(Failure(Reason.BROKEN, "the peer ends the connection"), False)

    def _answer(self, response: Response, size: int, together: bool) -> None:
        """Tell whoever asked first."""
        if size > self._askers[0].max_bytes:
            self._break_too_large()
            return
        asker = self._askers.pop(0)
        self.together = together
        if not self._askers and self._transport is not None and self._transport.get_write_buffer_size():
            self.usable = False  # the peer has answered without reading the request to its end
        asker.on_answer(response)

    def _break_too_large(self) -> None:
        self._break(Failure(Reason.TOO_LARGE, f"the answer exceeds {self._askers[0].max_bytes} bytes"), True)

    def _break(self, failure: Failure, begun: bool) -> None:
        """End the connection; of the answers to come only the first can have begun."""
        askers = list(self._askers)
        self.close()
        for place, asker in enumerate(askers):
            if place == 0:
                asker.on_broken(failure, begun)
            else:
                asker.on_broken(Failure(Reason.BROKEN, "the connection ended before the answer"), False)

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        self._in_answer = True
        self._reset()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        place = len(self._complete)
        if place < len(self._askers) and self._size <= self._askers[place].max_bytes:
            self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer; the final one follows
            self._reset()
            return
        response = Response(status, b"".join(self._body))
        response.content_type = next((v for k, v in self._headers if k == b"content-type"), b"application/json")
        # Whoever passes it on dates it.
        response.headers = [(k, v) for k, v in self._headers if k not in HOP_BY_HOP and k not in _MADE_ANEW]
        self._complete.append((response, self._size))
        self._reset()
        self._in_answer = False
        self.usable = self.usable and self._parser.should_keep_alive()


def _end_of_answer(data: bytes, start: int) -> int:
    """Where the answer that begins at ``start`` ends as far as that is easily told; otherwise the end of the data."""
    end = data.find(_END, start, start + CACHED_HEAD_BYTES)
    length = _LENGTH.search(data, start, end + 2) if end >= 0 else None
    return len(data) if length is None else min(len(data), end + len(_END) + int(length[1]))


def _taken_out(response: Response) -> bool:
    """Take `TOGETHER` out, or `APART`, which are between two pods; whether it was the first."""
    found = next((header for header in (TOGETHER, APART) if header in response.headers), None)
    if found is not None:
        response.headers.remove(found)
    return found == TOGETHER
