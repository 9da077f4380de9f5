"""Frames about the connection itself: SETTINGS, PING, GOAWAY (RFC 9113, sections 6.5 to 6.8)."""

from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.frames import ConnectionFault, ErrorCode, Setting
from plimsoll_serving.http2.limits import Allowance, Http2Limits
from plimsoll_serving.http2.outbox import LARGEST_FRAME, Outbox
from plimsoll_serving.http2.streams import Streams

_RETIRING = b"plimsoll"


class Control:
    """What both sides agreed on, and whether the connection comes to its end.

    Attributes:
        acknowledged: the peer knows the settings of this side.
        retiring: GOAWAY was sent, and new streams are still taken: the peer may not know yet.
        closing: GOAWAY with the last stream was sent, or the peer sent one.
    """

    def __init__(self, limits: Http2Limits, outbox: Outbox, streams: Streams, idle_frames: Allowance) -> None:
        self._outbox = outbox
        self._streams = streams
        self._idle_frames = idle_frames
        self.acknowledged = self.retiring = self.closing = False
        values = {
            Setting.MAX_CONCURRENT_STREAMS: limits.streams,
            Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
            Setting.MAX_FRAME_SIZE: limits.frame_bytes,
            Setting.MAX_HEADER_LIST_SIZE: limits.header_bytes,
        }
        outbox.write(frames.settings(values))

    def on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._idle_frames.spend()
        if stream_id != 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS acknowledges and sets")
            self.acknowledged = True
            return
        if len(payload) % 6:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is not a multiple of 6 bytes")
        for identifier, value in frames.read_settings(payload):
            self._set(identifier, value)
        self._outbox.write(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _set(self, identifier: int, value: int) -> None:
        """What does not concern a server that never pushes and uses no table of the peer is ignored."""
        if identifier == Setting.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE exceeds 2^31-1")
            self._outbox.set_initial_window(value, list(self._streams.open.values()))
        elif identifier == Setting.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME_BYTES <= value <= frames.MAX_FRAME_BYTES:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is not from 2^14 to 2^24-1")
            self._outbox.frame_bytes = min(value, LARGEST_FRAME)
        elif identifier == Setting.ENABLE_PUSH and value > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")

    def on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._idle_frames.spend()
        if stream_id != 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING is not of 8 bytes")
        if not flags & frames.ACK:
            self._outbox.write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _RETIRING and self.retiring:
            self.finish_retiring()

    def on_go_away(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._idle_frames.spend()
        if stream_id != 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is shorter than 8 bytes")
        self.closing = True

    def on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Ignored (section 5.3.2)."""
        self._idle_frames.spend()
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is not of 5 bytes")

    def on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def on_unknown(self, flags: int, stream_id: int, payload: bytes) -> None:
        """An extension: ignored (section 5.5)."""
        self._idle_frames.spend()

    def retire(self) -> None:
        """Ask the peer to open no more streams; what it opens until it knows is answered (section 6.8)."""
        if not self.retiring and not self.closing:
            self.retiring = True
            self._outbox.write(frames.go_away(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR))
            self._outbox.write(frames.frame(frames.PING, 0, 0, _RETIRING))

    def finish_retiring(self) -> None:
        """Take no more streams: the peer knows, or has had the time to."""
        if not self.closing:
            self._outbox.write(frames.go_away(self._streams.last_id, ErrorCode.NO_ERROR))
        self.closing = True
