"""What the peer may send: the windows of this side (RFC 9113, section 5.2)."""

from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.frames import ConnectionFault, ErrorCode, StreamFault
from plimsoll_serving.http2.limits import Http2Limits
from plimsoll_serving.http2.outbox import Outbox
from plimsoll_serving.http2.streams import Stream


class Inflow:
    """The connection's window bounds what is under way only, and opens again at once; what has arrived is bounded by
    the window of its stream, which opens again when it is consumed.
    """

    def __init__(self, limits: Http2Limits, outbox: Outbox) -> None:
        self._outbox = outbox
        self._whole, self._of_stream = limits.connection_window, limits.stream_window
        self._window = self._whole
        self._credit = 0
        outbox.write(frames.window_update(0, self._whole - frames.DEFAULT_WINDOW))

    def take(self, size: int) -> None:
        """Bytes of any stream have come. Raises ConnectionFault."""
        self._window -= size
        if self._window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the window of the connection")
        self._credit += size
        if self._credit * 2 >= self._whole:
            self._outbox.write(frames.window_update(0, self._credit))
            self._window += self._credit
            self._credit = 0

    @staticmethod
    def take_of(stream: Stream, size: int) -> None:
        """Bytes of a stream have come. Raises StreamFault."""
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(stream.id, ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the window of the stream")

    def consume(self, stream: Stream, size: int) -> None:
        """Bytes of a stream are no longer held."""
        if stream.ended:
            return
        stream.credit += size
        if stream.credit * 2 >= self._of_stream:
            self._outbox.write(frames.window_update(stream.id, stream.credit))
            stream.receive_window += stream.credit
            stream.credit = 0
