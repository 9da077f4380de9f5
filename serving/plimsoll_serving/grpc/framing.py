"""Length-prefixed messages and their compression (grpc's doc/PROTOCOL-HTTP2.md and doc/compression.md)."""

import zlib

from plimsoll_serving.grpc.status import Code, StatusError

PREFIX_BYTES = 5
_GZIP = 31  # zlib's window bits for a gzip header


class MessageReader:
    """Puts the messages of one call together.

    Args:
        max_bytes: of one message.
        gzip: whether the call may have compressed messages.
    """

    __slots__ = ("_chunks", "_gzip", "_max_bytes", "held")

    def __init__(self, max_bytes: int, gzip: bool) -> None:
        self._max_bytes = max_bytes
        self._gzip = gzip
        self._chunks: bytearray | None = None
        self.held = 0

    def whole(self, data: bytes) -> bytes | None:
        """The message of a call that is one chunk, the usual case; None when it is compressed, or not exactly one.

        Raises StatusError.
        """
        if self.held or data[:1] != b"\0" or int.from_bytes(data[1:PREFIX_BYTES], "big") != len(data) - PREFIX_BYTES:
            return None
        self._prefix(data)
        return data[PREFIX_BYTES:]

    def feed(self, data: bytes) -> list[tuple[bool, bytes]]:
        """Complete messages, each with whether it is compressed. Raises StatusError.

        ``held`` is the number of bytes of the message that is not complete.
        """
        chunks = self._chunks
        if chunks is None:
            chunks = self._chunks = bytearray()
        chunks += data
        found: list[tuple[bool, bytes]] = []
        position = 0
        while len(chunks) - position >= PREFIX_BYTES:
            compressed, size = self._prefix(chunks[position : position + PREFIX_BYTES])
            end = position + PREFIX_BYTES + size
            if end > len(chunks):
                break
            found.append((compressed, bytes(memoryview(chunks)[position + PREFIX_BYTES : end])))
            position = end
        if position:
            chunks = self._chunks = chunks[position:]
        self.held = len(chunks)
        return found

    def _prefix(self, data: bytes | bytearray) -> tuple[bool, int]:
        compressed, size = data[0], int.from_bytes(data[1:PREFIX_BYTES], "big")
        if compressed > 1:
            raise StatusError(Code.INTERNAL, f"the message's compressed flag is {compressed}, neither 0 nor 1")
        if compressed and not self._gzip:
            raise StatusError(Code.INTERNAL, "the message is compressed, but grpc-encoding names no compression")
        if size > self._max_bytes:
            raise StatusError(
                Code.RESOURCE_EXHAUSTED, f"the message has {size} bytes and exceeds {self._max_bytes} bytes"
            )
        return bool(compressed), size


def gunzip(data: bytes, max_bytes: int) -> bytes:
    """A message as it was before it was compressed. Raises StatusError; never makes more than ``max_bytes``."""
    expander = zlib.decompressobj(_GZIP)
    try:
        message = expander.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise StatusError(Code.INTERNAL, f"the message is not gzip: {error}") from None
    if len(message) > max_bytes:
        raise StatusError(Code.RESOURCE_EXHAUSTED, f"the message exceeds {max_bytes} bytes when decompressed")
    if not expander.eof or expander.unused_data:
        raise StatusError(Code.INTERNAL, "the message is not one whole gzip stream")
    return message


def prefixed(message: bytes) -> bytes:
    """A message as it is sent."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def gzipped(message: bytes) -> bytes:
    """A message as it is sent, compressed when that makes it shorter."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    packed = packer.compress(message) + packer.flush()
    if len(packed) >= len(message):
        return prefixed(message)
    return b"\1" + len(packed).to_bytes(4, "big") + packed
