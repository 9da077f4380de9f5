"""The open streams of a connection, and what may still be heard of those that are closed (RFC 9113, section 5.1)."""

from collections import deque

from plimsoll_serving.http2.frames import ConnectionFault, ErrorCode

_REMEMBERED_RESETS = 1024


class Stream:
    """A request that is not answered completely: open, or half-closed by the peer."""

    __slots__ = ("content_length", "credit", "ended", "id", "pending", "receive_window", "received", "send_window",
                 "trailers", "unsent")  # fmt: skip

    def __init__(self, stream_id: int, send_window: int, receive_window: int) -> None:
        self.id = stream_id
        self.send_window = send_window
        self.receive_window = receive_window
        self.credit = 0
        self.received = 0
        self.content_length: int | None = None
        self.ended = False
        self.pending: deque[memoryview] = deque()
        self.unsent = 0
        self.trailers: bytes | None = None


class Streams:
    """By identifier. A closed stream is remembered only when it was reset from here, and only for so long."""

    def __init__(self) -> None:
        self.open: dict[int, Stream] = {}
        self.last_id = 0
        self._reset: set[int] = set()
        self._reset_order: deque[int] = deque()
        self._forgotten = 0

    def add(self, stream: Stream) -> None:
        self.open[stream.id] = stream

    def remember_reset(self, stream_id: int) -> None:
        """Frames that the peer sent before it learnt of the reset are no fault."""
        if stream_id in self._reset:
            return
        self._reset.add(stream_id)
        self._reset_order.append(stream_id)
        if len(self._reset_order) > _REMEMBERED_RESETS:
            oldest = self._reset_order.popleft()
            self._reset.discard(oldest)
            self._forgotten = max(self._forgotten, oldest)

    def check_begun(self, stream_id: int, what: str) -> None:
        """Raises ConnectionFault for a stream that is idle."""
        if stream_id > self.last_id or stream_id % 2 == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{what} on stream {stream_id}, which is idle")

    def check_may_linger(self, stream_id: int, what: str) -> None:
        """Raises ConnectionFault for a frame on a closed stream that the peer cannot have sent in good faith."""
        self.check_begun(stream_id, what)
        if stream_id not in self._reset and stream_id > self._forgotten:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"{what} on stream {stream_id}, which is closed")
