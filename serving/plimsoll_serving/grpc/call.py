"""One call: its messages on the way in, its answer on the way out."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from plimsoll_serving.grpc.framing import MessageReader, gunzip, gzipped, prefixed
from plimsoll_serving.grpc.head import ACCEPTED_ENCODINGS, CallHead
from plimsoll_serving.grpc.status import Code, StatusError, percent_encoded
from plimsoll_serving.http.message import Header
from plimsoll_serving.http2.headers import STATUS_OK, encode

if TYPE_CHECKING:
    from plimsoll_serving.grpc.connection import GrpcConnection

_HEADERS = STATUS_OK + encode([(b"content-type", b"application/grpc"), (b"grpc-accept-encoding", ACCEPTED_ENCODINGS)])
_GZIP = encode([(b"grpc-encoding", b"gzip")])
# Where their class is not compiled, Python 3.11 takes half a microsecond to find a member of an enumeration.
_OK = Code.OK
_TRAILERS_OK = encode([(b"grpc-status", b"0")])
# Larger messages are decompressed in a thread: a few KiB can become many MiB.
_SMALL_GZIP = 4096
_WORTH_GZIP = range(1024, 256 * 1024)


class Handler(Protocol):
    """The side of a method; one for each call.

    Attributes:
        streaming: whether the client may send any number of messages at any time.
    """

    streaming: bool

    @property
    def busy(self) -> bool:
        """Whether a message is being answered."""

    @property
    def full(self) -> bool:
        """Whether further messages are to wait."""

    def received(self, message: bytes) -> None:
        """A message of the client. May raise StatusError, which ends the call."""

    def finished(self) -> None:
        """The client sends no more. May raise StatusError, which ends the call."""

    def cancelled(self) -> None:
        """The call is over without an answer."""

    def tick(self) -> None:
        """Called a few times a second."""


class Over:
    """The handler of a call that is over."""

    streaming = False
    busy = False
    full = False

    def received(self, message: bytes) -> None:
        pass

    def finished(self) -> None:
        pass

    def cancelled(self) -> None:
        pass

    def tick(self) -> None:
        pass


_OVER = Over()


class Call:
    """A stream that carries a call.

    Attributes:
        deadline: loop time in seconds; None without one.
        held: bytes taken from the listener's budget.
        waiting_since: when the message under way began, None between messages.
    """

    __slots__ = ("_connection", "_ended", "_headed", "_inbox", "_owed", "_reader", "_unpacking", "_waiting", "closed",
                 "deadline", "handler", "head", "held", "stream_id", "waiting_since")  # fmt: skip

    def __init__(self, connection: "GrpcConnection", stream_id: int, head: CallHead, now: float) -> None:
        self._connection = connection
        self._reader = MessageReader(connection.listener.limits.body_bytes, head.gzip)
        self._inbox: deque[tuple[bool, bytes]] = deque()
        self._ended = self._headed = self._unpacking = False
        self._owed = self._waiting = 0
        self.stream_id = stream_id
        self.head = head
        self.deadline = None if head.timeout is None else now + head.timeout
        self.waiting_since: float | None = now
        self.held = 0
        self.closed = False
        self.handler: Handler

    # In

    def feed(self, data: bytes, ended: bool, now: float) -> None:
        """Bytes of the request's body. Raises StatusError."""
        if data:
            self._charge(len(data))
            if ended and not self._inbox and not self._unpacking:
                message = self._reader.whole(data)
                if message is not None:
                    self.waiting_since = None
                    self.handler.received(message)
                    self.handler.finished()
                    return
            self._owed += len(data)
            for compressed, message in self._reader.feed(data):
                self._inbox.append((compressed, message))
                self._waiting += len(message)
        if ended:
            self._ended = True
            self.waiting_since = None
            if self._reader.held:
                raise StatusError(Code.INTERNAL, "the call ended within a message")
        elif self.handler.streaming:
            self._time_message(now)
        self._deliver()

    def _time_message(self, now: float) -> None:
        """Between the messages of a stream there may be any time, within one there may not."""
        if not self._reader.held:
            self.waiting_since = None
        elif self.waiting_since is None or self._inbox:
            self.waiting_since = now

    def resume(self) -> None:
        """Deliver what had to wait."""
        if not self.closed:
            self._connection.guarded(self, self._deliver)

    def _deliver(self) -> None:
        while self._inbox and not self.closed and not self._unpacking and not self.handler.full:
            compressed, message = self._inbox.popleft()
            if compressed:
                if len(message) > _SMALL_GZIP:
                    self._unpack(message)
                    return
                size, message = len(message), gunzip(message, self._connection.listener.limits.body_bytes)
                message = self._unpacked(size, message)
            else:
                self._waiting -= len(message)
            self.handler.received(message)
        if self.closed or self._unpacking:
            return
        if self._owed and self.handler.full:
            self._connection.hold_back(self)
        if self._inbox:
            return
        if self._owed and not self.handler.full:
            self._connection.consumed(self.stream_id, self._owed)
            self._owed = 0
        if self._ended:
            self._ended = False
            self.handler.finished()

    def _unpack(self, message: bytes) -> None:
        self._unpacking, size = True, len(message)
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(None, gunzip, message, self._connection.listener.limits.body_bytes)
        future.add_done_callback(lambda done: self._connection.guarded(self, lambda: self._proceed(size, done)))

    def _proceed(self, size: int, done: asyncio.Future[bytes]) -> None:
        self._unpacking = False
        message = done.result()
        if not self.closed:
            self.handler.received(self._unpacked(size, message))
            self._deliver()

    def _unpacked(self, size: int, message: bytes) -> bytes:
        """A message that had ``size`` bytes."""
        self._waiting -= size
        self._charge(len(message))
        return message

    def _charge(self, size: int) -> None:
        if not self._connection.listener.budget.take(size, held=self.held):
            raise StatusError(Code.UNAVAILABLE, "the server holds too many request bytes at the moment; try again")
        self.held += size

    def release(self, under_way: int = 0) -> None:
        """Give back what messages that are answered held; what waits, and bytes ``under_way``, are held on."""
        kept = self._reader.held + self._waiting + under_way
        if kept < self.held:
            self._connection.listener.budget.give_back(self.held - kept)
            self.held = kept

    # Out

    @property
    def body_bytes(self) -> int:
        """The most bytes of a message."""
        return self._connection.listener.limits.body_bytes

    @property
    def unsent(self) -> int:
        """Bytes of answers that the peer does not take yet."""
        return self._connection.http2.unsent_of(self.stream_id)

    def send(self, message: bytes, headers: list[Header] | None = None) -> None:
        """One message of the answer; the headers count with the first."""
        if self.closed:
            return
        http2 = self._connection.http2
        gzip = self.head.gzip and self.head.accepts_gzip
        if not self._headed:
            self._headed = True
            block = _HEADERS + _GZIP if gzip else _HEADERS
            http2.headers(self.stream_id, block + encode(headers) if headers else block)
        packed = gzipped(message) if gzip and len(message) in _WORTH_GZIP else prefixed(message)
        self._connection.send_data(self.stream_id, packed)

    def answer(self, message: bytes, headers: list[Header]) -> None:
        """The one message of an answer, and the end of the call."""
        if self.closed:
            return
        if self._headed or self.head.gzip:
            self.send(message, headers)
            self.finish()
            return
        self._close()
        self._connection.answer_call(self, _HEADERS + encode(headers), prefixed(message), _TRAILERS_OK)

    def finish(self, code: Code = _OK, message: str = "", headers: list[Header] | None = None) -> None:
        """End the call with a status; the headers count when nothing was sent before."""
        if self.closed:
            return
        self._close()
        trailers = _TRAILERS_OK if code is _OK else _trailers(code, message)
        if not self._headed:
            trailers = _HEADERS + (encode(headers) if headers else b"") + trailers
        self._connection.end_call(self, trailers)

    @staticmethod
    def refuse(connection: "GrpcConnection", stream_id: int, error: StatusError) -> None:
        """Answer a request that cannot become a call."""
        connection.http2.finish(stream_id, _HEADERS + _trailers(error.code, error.message))

    def drop(self) -> None:
        """The stream is over: nothing can be answered any more."""
        if not self.closed:
            handler = self.handler
            self._close()
            handler.cancelled()

    def _close(self) -> None:
        """The handler has the call, too: the two of them would stay in memory until the collector comes."""
        self.closed = True
        self.handler = _OVER


def _trailers(code: Code, message: str) -> bytes:
    return encode([(b"grpc-status", b"%d" % code), (b"grpc-message", percent_encoded(message))])
