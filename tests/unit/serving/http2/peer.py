"""A client that can do everything wrong, against a connection in the same process."""

from __future__ import annotations

from hpack import Encoder
from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.connection import Http2Connection
from plimsoll_serving.http2.events import ConnectionFailed, Event
from plimsoll_serving.http2.frames import ErrorCode, frame
from plimsoll_serving.http2.limits import Http2Limits

HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/service/Method"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
]
Frame = tuple[int, int, int, bytes]


class Peer:
    """Sends frames and keeps what came back."""

    def __init__(self, limits: Http2Limits | None = None, greet: bool = True) -> None:
        self.connection = Http2Connection(limits or Http2Limits())
        self.encoder = Encoder()
        self.events: list[Event] = []
        self.frames: list[Frame] = []
        self._rest = b""
        self._collect()
        if greet:
            self.send(frames.PREFACE + frames.settings({}) + frame(frames.SETTINGS, frames.ACK, 0))
            self.frames.clear()

    def send(self, data: bytes) -> list[Event]:
        """Events of these bytes."""
        events = self.connection.receive(data)
        self.events += events
        self._collect()
        return events

    def _collect(self) -> None:
        data = self._rest + self.connection.take_output()
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            end = 9 + int.from_bytes(data[:3], "big")
            self.frames.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:end]))
            data = data[end:]
        self._rest = data

    def block(self, changes: dict[str, str | None] | None = None, extra: list[tuple[str, str]] | None = None) -> bytes:
        """The header block of a call, with fields changed, left out (None) or added at the end."""
        changes = changes or {}
        fields = [(name, changes.get(name, value)) for name, value in HEADERS]
        return bytes(self.encoder.encode([(n, v) for n, v in fields if v is not None] + (extra or []), huffman=False))

    def open(self, stream_id: int = 1, end: bool = False, block: bytes | None = None) -> list[Event]:
        flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
        return self.send(frame(frames.HEADERS, flags, stream_id, self.block() if block is None else block))

    def answer(self, stream_id: int, body: bytes = b"answer") -> None:
        """Answer a stream as the layer above does."""
        self.connection.headers(stream_id, b"\x88")
        self.connection.data(stream_id, body)
        self.connection.finish(stream_id, b"\x00\x01a\x01b")
        self._collect()

    def received(self, kind: int, stream_id: int | None = None) -> list[bytes]:
        """Payloads of the frames of a kind that came."""
        return [p for k, _, s, p in self.frames if k == kind and stream_id in (None, s)]

    @property
    def fault(self) -> ErrorCode | None:
        """Why the connection failed; it said so in GOAWAY, and ended."""
        failed = [event.code for event in self.events if isinstance(event, ConnectionFailed)]
        if not failed:
            assert not self.connection.failed
            return None
        assert self.connection.failed
        assert [frames.word(p[4:8]) for p in self.received(frames.GOAWAY)] == failed
        return failed[0]

    def reset(self, stream_id: int = 1) -> ErrorCode | None:
        """Why a stream was reset."""
        codes = [ErrorCode(frames.word(p)) for p in self.received(frames.RST_STREAM, stream_id)]
        return codes[0] if codes else None
