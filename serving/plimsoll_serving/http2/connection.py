"""One HTTP/2 connection, seen from the server: the frames' meaning (RFC 9113, sections 5 and 6)."""

from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.control import Control
from plimsoll_serving.http2.events import ConnectionFailed, DataReceived, Event, RequestReceived, StreamReset
from plimsoll_serving.http2.frames import ConnectionFault, ErrorCode, StreamFault
from plimsoll_serving.http2.headers import HeaderDecoder, MalformedError, check_trailers
from plimsoll_serving.http2.inflow import Inflow
from plimsoll_serving.http2.limits import Allowance, Http2Limits
from plimsoll_serving.http2.outbox import Outbox
from plimsoll_serving.http2.reader import FrameReader, unpadded
from plimsoll_serving.http2.streams import Stream, Streams


class Http2Connection:
    """`receive` takes bytes and tells events; `headers`, `data` and `finish` take answers, `take_output` gives bytes.

    An answer to a stream that is over in the meantime is dropped.

    Attributes:
        failed: the peer broke the protocol; nothing more is read.
    """

    def __init__(self, limits: Http2Limits) -> None:
        self._limits = limits
        self._idle_frames = Allowance(limits.idle_frames, "frames that carry nothing")
        self._resets = Allowance(limits.resets, "streams reset before they were answered")
        self._reader = FrameReader(limits)
        self._decoder = HeaderDecoder(limits.header_bytes)
        self._streams = Streams()
        self._outbox = Outbox(self._idle_frames)
        self._events: list[Event] = []
        self._control = Control(limits, self._outbox, self._streams, self._idle_frames)
        self._inflow = Inflow(limits, self._outbox)
        self.failed = False
        self._handlers = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.PRIORITY: self._control.on_priority,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PING: self._control.on_ping,
            frames.GOAWAY: self._control.on_go_away,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.PUSH_PROMISE: self._control.on_push_promise,
        }

    # In

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes of the peer. Never raises."""
        events: list[Event] = []
        if self.failed:
            return events
        self._events = events
        handlers = self._handlers
        try:
            for kind, flags, stream_id, payload in self._reader.read(data):
                try:
                    handlers.get(kind, self._control.on_unknown)(flags, stream_id, payload)
                except StreamFault as fault:
                    self._resets.spend()  # a peer that provokes resets is no better than one that sends them
                    self.reset(fault.stream_id, fault.code)
                    events.append(StreamReset(fault.stream_id, fault.code))
        except ConnectionFault as of_all:  # compiled, one name cannot hold both
            self._fail(of_all)
        return events

    def _fail(self, fault: ConnectionFault) -> None:
        self.failed = True
        self._outbox.write(frames.go_away(self._streams.last_id, fault.code, fault.message))
        for stream in list(self._streams.open.values()):
            self._close(stream)
        self._events.append(ConnectionFailed(fault.code, fault.message))

    def _on_headers(self, flags: int, stream_id: int, block: bytes) -> None:
        """A whole header block: the reader has put it together."""
        ended = bool(flags & frames.END_STREAM)
        stream = self._streams.open.get(stream_id)
        if stream is not None:
            self._on_trailers(stream, block, ended)
        elif stream_id % 2 == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}, which no client opens")
        elif stream_id <= self._streams.last_id:
            self._decoder.fields(block)
            self._idle_frames.spend()
            self._streams.check_may_linger(stream_id, "HEADERS")
        else:
            self._streams.last_id = stream_id
            self._open(stream_id, block, ended)

    def _open(self, stream_id: int, block: bytes, ended: bool) -> None:
        try:
            head = self._decoder.request(block)
        except MalformedError as error:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from None
        if self.closing or len(self._streams.open) >= self._limits.streams:
            self._idle_frames.spend()
            self.reset(stream_id, ErrorCode.REFUSED_STREAM)
            return
        if ended and head.content_length:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "content-length is not the length of the body")
        stream = Stream(stream_id, self._outbox.initial_window, self._limits.stream_window)
        stream.ended = ended
        stream.content_length = head.content_length
        self._streams.add(stream)
        self._events.append(RequestReceived(stream_id, head, ended))

    def _on_trailers(self, stream: Stream, block: bytes, ended: bool) -> None:
        fields = self._decoder.fields(block)
        if stream.ended:
            raise StreamFault(stream.id, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the stream")
        if not ended:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "a second HEADERS does not end the stream")
        try:
            check_trailers(fields)
        except MalformedError as error:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, str(error)) from None
        self._end_of_body(stream)
        self._events.append(DataReceived(stream.id, b"", True))

    @staticmethod
    def _end_of_body(stream: Stream) -> None:
        stream.ended = True
        if stream.content_length is not None and stream.content_length != stream.received:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "content-length is not the length of the body")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._inflow.take(size)
        stream = self._streams.open.get(stream_id)
        if stream is None:
            self._idle_frames.spend()
            self._streams.check_may_linger(stream_id, "DATA")
            return
        if stream.ended:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "DATA after the end of the stream")
        self._inflow.take_of(stream, size)
        if flags & frames.PADDED:
            payload = unpadded(payload)
            self._inflow.consume(stream, size - len(payload))
        ended = bool(flags & frames.END_STREAM)
        if payload:
            self._idle_frames.give_back(1)
        elif not ended:
            self._idle_frames.spend()
        stream.received += len(payload)
        if ended:
            self._end_of_body(stream)
        self._events.append(DataReceived(stream_id, payload, ended))

    def _on_reset(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is not of 4 bytes")
        self._streams.check_begun(stream_id, "RST_STREAM")
        stream = self._streams.open.get(stream_id)
        if stream is None:
            self._idle_frames.spend()
            return
        self._resets.spend()
        self._close(stream)
        self._events.append(StreamReset(stream_id, frames.word(payload)))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._control.on_settings(flags, stream_id, payload)
        self._pump()

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._idle_frames.spend()
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not of 4 bytes")
        increment = frames.word(payload) & frames.MAX_WINDOW
        if stream_id == 0:
            self._outbox.widen(increment)
        else:
            self._streams.check_begun(stream_id, "WINDOW_UPDATE")
            stream = self._streams.open.get(stream_id)
            if stream is None:
                return
            self._outbox.widen_stream(stream, increment)
        self._pump()

    # Out

    def headers(self, stream_id: int, block: bytes) -> None:
        """Begin an answer. ``block`` is of `headers.encode`."""
        stream = self._streams.open.get(stream_id)
        if stream is not None:
            self._outbox.headers(stream, block, end=False)

    def respond(self, stream_id: int, block: bytes, data: bytes, trailers: bytes) -> None:
        """A whole answer: the same as `headers`, `data` and `finish`."""
        stream = self._streams.open.get(stream_id)
        if stream is None:
            return
        if self._outbox.whole(stream, block, data, trailers):
            self._answered(stream)
            return
        self._outbox.headers(stream, block, end=False)
        stream.trailers = trailers
        self._outbox.data(stream, data)
        self._finish_emptied([stream])

    def data(self, stream_id: int, data: bytes) -> None:
        """A part of the body; what the peer's windows do not allow waits."""
        stream = self._streams.open.get(stream_id)
        if stream is not None:
            self._outbox.data(stream, data)
            self._finish_emptied([stream])

    def finish(self, stream_id: int, trailers: bytes) -> None:
        """End an answer once its body is sent, with a header block, or without when it is empty."""
        stream = self._streams.open.get(stream_id)
        if stream is not None and stream.trailers is None:
            stream.trailers = trailers
            self._finish_emptied([stream])

    def _pump(self) -> None:
        if self._outbox.unsent:
            self._finish_emptied(self._outbox.pump())

    def _finish_emptied(self, streams: list[Stream]) -> None:
        for stream in streams:
            if stream.trailers is None or stream.pending:
                continue
            self._outbox.finish(stream, stream.trailers)
            self._answered(stream)

    def _answered(self, stream: Stream) -> None:
        if not stream.ended:  # section 8.1: the rest of the request is not wanted
            self._outbox.write(frames.reset(stream.id, ErrorCode.NO_ERROR))
            self._streams.remember_reset(stream.id)
        self._resets.give_back(1)
        self._idle_frames.give_back(8)
        self._close(stream)

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream without an answer."""
        stream = self._streams.open.get(stream_id)
        if stream is not None:
            self._close(stream)
        self._streams.remember_reset(stream_id)
        self._outbox.write(frames.reset(stream_id, code))

    def _close(self, stream: Stream) -> None:
        if stream.pending:
            self._outbox.forget(stream)
        del self._streams.open[stream.id]

    def consume(self, stream_id: int, size: int) -> None:
        """Let the peer send as many bytes more on a stream."""
        stream = self._streams.open.get(stream_id)
        if stream is not None:
            self._inflow.consume(stream, size)

    def take_output(self) -> bytes:
        """The bytes to write now."""
        return self._outbox.take()

    # The end

    def retire(self) -> None:
        """Ask the peer to open no more streams; what it opens until it knows is answered (section 6.8)."""
        if not self.failed:
            self._control.retire()

    def finish_retiring(self) -> None:
        """Take no more streams: the peer knows, or has had the time to."""
        if not self.failed:
            self._control.finish_retiring()

    @property
    def closing(self) -> bool:
        """No more streams are taken; the connection is to be closed when it is `idle`."""
        return self._control.closing

    def end(self, code: ErrorCode, message: str) -> None:
        """End everything at once, for example because the peer is too slow."""
        if not self.failed:
            self._events = []
            self._fail(ConnectionFault(code, message))

    def replenish(self) -> None:
        """Time has passed; called a few times a second."""
        self._idle_frames.replenish()
        self._resets.replenish()

    @property
    def idle(self) -> bool:
        """No stream is open and no header block is under way."""
        return not self._streams.open and not self._reader.in_block

    @property
    def unsent(self) -> int:
        """Bytes of answers that wait for the peer's windows."""
        return self._outbox.unsent

    def unsent_of(self, stream_id: int) -> int:
        """The same of one stream."""
        stream = self._streams.open.get(stream_id)
        return 0 if stream is None else stream.unsent

    def waiting(self) -> dict[int, int]:
        """Bytes of answers that wait for the peer's windows, by stream."""
        return self._outbox.waiting()

    def hold(self, held: bool) -> None:
        """Let bodies wait while the peer does not take what was written, or let them go again."""
        self._outbox.held = held
        self._pump()

    @property
    def greeted(self) -> bool:
        """The peer's preface has come, and it has acknowledged the settings."""
        return self._reader.greeted and self._control.acknowledged

    @property
    def in_block(self) -> bool:
        """A header block has begun and not ended."""
        return self._reader.in_block
