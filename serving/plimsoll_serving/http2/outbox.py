"""What is to be sent: frames at once, bodies as far as the peer's windows allow (RFC 9113, section 5.2)."""

import struct

from plimsoll_serving.http2.frames import (
    CONTINUATION,
    DATA,
    DEFAULT_FRAME_BYTES,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_WINDOW,
    ConnectionFault,
    ErrorCode,
    StreamFault,
    frame,
)
from plimsoll_serving.http2.headers import NO_TABLE
from plimsoll_serving.http2.limits import Allowance
from plimsoll_serving.http2.streams import Stream

_HEADER = struct.Struct(">HBBBL").pack
LARGEST_FRAME = 64 * 1024
# A frame of so many bytes is work done; what the peer asks for in smaller pieces is not.
_WORTH = 256


class Outbox:
    """Bytes for the peer, and bodies that wait for its windows.

    Attributes:
        unsent: bytes of bodies that wait.
        moved: bytes of bodies that were sent.
        held: bodies wait whatever the windows say, for the peer does not take what was written.
    """

    def __init__(self, idle_frames: Allowance) -> None:
        self._ready: list[bytes] = []
        self._waiting: dict[int, Stream] = {}
        self._window = DEFAULT_WINDOW
        self._idle_frames = idle_frames
        self._prefix = NO_TABLE
        self.initial_window = DEFAULT_WINDOW
        self.frame_bytes = DEFAULT_FRAME_BYTES
        self.unsent = self.moved = 0
        self.held = False

    def write(self, data: bytes) -> None:
        """Send a frame that no window holds back."""
        self._ready.append(data)

    def take(self) -> bytes:
        """The bytes to write now."""
        ready = self._ready
        if not ready:
            return b""
        data = ready[0] if len(ready) == 1 else b"".join(ready)
        ready.clear()
        return data

    def headers(self, stream: Stream, block: bytes, end: bool) -> None:
        """Send a header block, a long one in pieces."""
        block, self._prefix = self._prefix + block, b""
        kind, flags = HEADERS, END_STREAM if end else 0
        while len(block) > DEFAULT_FRAME_BYTES:
            self._ready.append(frame(kind, flags, stream.id, block[:DEFAULT_FRAME_BYTES]))
            block, kind, flags = block[DEFAULT_FRAME_BYTES:], CONTINUATION, 0
        self._ready.append(frame(kind, flags | END_HEADERS, stream.id, block))

    def finish(self, stream: Stream, trailers: bytes) -> None:
        """End a stream, of which no body waits."""
        if trailers:
            self.headers(stream, trailers, end=True)
        else:
            self._ready.append(frame(DATA, END_STREAM, stream.id))

    def whole(self, stream: Stream, block: bytes, data: bytes, trailers: bytes) -> bool:
        """Send headers, body and trailers at once; False, and nothing is sent, when the windows do not allow it."""
        size = len(data)
        if not self._may_go(stream, size) or len(block) >= DEFAULT_FRAME_BYTES or len(trailers) > DEFAULT_FRAME_BYTES:
            return False
        stream_id, block = stream.id, self._prefix + block
        self._prefix = b""
        self._window -= size
        self.moved += size
        long, short = len(block), len(trailers)
        self._ready += (
            _HEADER(long >> 8, long & 0xFF, HEADERS, END_HEADERS, stream_id),
            block,
            _HEADER(size >> 8, size & 0xFF, DATA, 0, stream_id),
            data,
            _HEADER(short >> 8, short & 0xFF, HEADERS, END_HEADERS | END_STREAM, stream_id),
            trailers,
        )
        return True

    def data(self, stream: Stream, data: bytes) -> None:
        """Send a part of a body, or keep it until the windows allow it."""
        size = len(data)
        if self._may_go(stream, size):
            self._window -= size
            stream.send_window -= size
            self.moved += size
            self._ready.append(frame(DATA, 0, stream.id, data))
            self._idle_frames.give_back(1)
        elif size:
            stream.pending.append(memoryview(data))
            self._waiting[stream.id] = stream
            stream.unsent += size
            self.unsent += size
            self.pump()

    def _may_go(self, stream: Stream, size: int) -> bool:
        allowed = size <= self._window and size <= stream.send_window and size <= self.frame_bytes
        return allowed and not stream.pending and not self.held

    def forget(self, stream: Stream) -> None:
        """Drop what waits of a stream that is over."""
        self.unsent -= stream.unsent
        stream.unsent = 0
        stream.pending.clear()
        self._waiting.pop(stream.id, None)

    def pump(self) -> list[Stream]:
        """Send what the windows allow, one frame of each stream in turn; the streams of which nothing waits now."""
        emptied: list[Stream] = []
        able = [stream for stream in self._waiting.values() if stream.send_window > 0]
        while able and self._window > 0 and not self.held:
            emptied += [stream for stream in able if self._window > 0 and self._send_frame(stream)]
            able = [stream for stream in able if stream.pending and stream.send_window > 0]
        for stream in emptied:
            del self._waiting[stream.id]
        return emptied

    def _send_frame(self, stream: Stream) -> bool:
        """One frame; True when nothing waits afterwards."""
        head = stream.pending[0]
        size = min(len(head), self._window, stream.send_window, self.frame_bytes)
        self._ready.append(frame(DATA, 0, stream.id, bytes(head[:size])))
        self._window -= size
        stream.send_window -= size
        stream.unsent -= size
        self.unsent -= size
        self.moved += size
        if size >= _WORTH:
            self._idle_frames.give_back(1)
        if size < len(head):
            stream.pending[0] = head[size:]
        else:
            stream.pending.popleft()
        return not stream.pending

    def waiting(self) -> dict[int, int]:
        """Bytes that wait, by stream."""
        return {stream_id: stream.unsent for stream_id, stream in self._waiting.items()}

    # Windows

    def widen(self, increment: int) -> None:
        """The connection's window. Raises ConnectionFault (section 6.9)."""
        if increment == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        if self._window + increment > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the window of the connection exceeds 2^31-1")
        self._window += increment

    @staticmethod
    def widen_stream(stream: Stream, increment: int) -> None:
        """Raises StreamFault."""
        if increment == 0:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        if stream.send_window + increment > MAX_WINDOW:
            raise StreamFault(stream.id, ErrorCode.FLOW_CONTROL_ERROR, "the window of the stream exceeds 2^31-1")
        stream.send_window += increment

    def set_initial_window(self, size: int, streams: list[Stream]) -> None:
        """For streams to come, and by the difference for those that are open (section 6.9.2)."""
        change, self.initial_window = size - self.initial_window, size
        for stream in streams:
            stream.send_window += change
            if stream.send_window > MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a SETTINGS change exceeds a window's 2^31-1")
