"""From bytes to frames: the preface, sizes, padding, and header blocks put together (RFC 9113, sections 3.4 to 4.3)."""

import struct
from collections.abc import Iterator

from plimsoll_serving.http2 import frames
from plimsoll_serving.http2.frames import ConnectionFault, ErrorCode
from plimsoll_serving.http2.limits import Http2Limits

_HEADER = struct.Struct(">HBBBL").unpack_from
Frame = tuple[int, int, int, bytes]


class FrameReader:
    """Keeps at most one incomplete frame and one incomplete header block.

    Attributes:
        greeted: the preface and the first SETTINGS have come.
        in_block: a header block has begun and not ended; nothing else may come between.
    """

    def __init__(self, limits: Http2Limits) -> None:
        self._limits = limits
        self._rest = b""
        self._preface_left = frames.PREFACE
        self._block: list[bytes] = []
        self._block_flags = self._block_stream = self._block_bytes = 0
        self.greeted = False
        self.in_block = False

    def read(self, data: bytes) -> Iterator[Frame]:
        """Complete frames: kind, flags, stream and payload; CONTINUATION is joined to its HEADERS.

        Padding and priority are taken off HEADERS, not off DATA, of which it counts for the windows.
        Raises ConnectionFault.
        """
        buffer = self._rest + data if self._rest else data
        position = self._skip_preface(buffer) if self._preface_left else 0
        size = len(buffer)
        while size - position >= 9:
            high, low, kind, flags, stream_id = _HEADER(buffer, position)
            end = position + 9 + (high << 8 | low)
            if end - position - 9 > self._limits.frame_bytes:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame exceeds {self._limits.frame_bytes} bytes")
            if end > size:
                break
            payload = buffer[position + 9 : end]
            position = end
            stream_id &= frames.MAX_STREAM_ID
            if kind == frames.HEADERS or kind == frames.CONTINUATION or self.in_block or not self.greeted:
                yield from self._special(kind, flags, stream_id, payload)
            else:
                yield kind, flags, stream_id, payload
        self._rest = buffer[position:]

    def _skip_preface(self, buffer: bytes) -> int:
        wanted = self._preface_left
        size = min(len(buffer), len(wanted))
        if buffer[:size] != wanted[:size]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the connection does not begin with HTTP/2's preface")
        self._preface_left = wanted[size:]
        return size

    def _special(self, kind: int, flags: int, stream_id: int, payload: bytes) -> Iterator[Frame]:
        if not self.greeted:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self.greeted = True
        if self.in_block:
            if kind != frames.CONTINUATION or stream_id != self._block_stream:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block was broken off")
            self._add(payload)
        elif kind == frames.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        elif kind == frames.HEADERS:
            if stream_id == 0:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
            if flags & (frames.PADDED | frames.PRIORITIZED):
                payload = unprioritized(flags, unpadded(payload) if flags & frames.PADDED else payload)
            if flags & frames.END_HEADERS:
                yield kind, flags, stream_id, payload
                return
            self.in_block = True
            self._block, self._block_bytes = [], 0
            self._block_flags, self._block_stream = flags, stream_id
            self._add(payload)
        else:
            yield kind, flags, stream_id, payload
            return
        if flags & frames.END_HEADERS and self.in_block:
            self.in_block = False
            yield frames.HEADERS, self._block_flags, self._block_stream, b"".join(self._block)
            self._block = []

    def _add(self, payload: bytes) -> None:
        """Raises ConnectionFault when the block grows too large, or in too many pieces (CVE-2024-27316)."""
        self._block.append(payload)
        self._block_bytes += len(payload)
        if len(self._block) > self._limits.continuations + 1 or self._block_bytes > self._limits.header_bytes:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too large, or in too many frames")


def unpadded(payload: bytes) -> bytes:
    """The payload of a frame with the PADDED flag. Raises ConnectionFault."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the padding exceeds the frame")
    return payload[1 : len(payload) - payload[0]]


def unprioritized(flags: int, payload: bytes) -> bytes:
    """A HEADERS payload without its priority, which is ignored. Raises ConnectionFault."""
    if not flags & frames.PRIORITIZED:
        return payload
    if len(payload) < 5:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is too short for its priority")
    return payload[5:]
