"""Header blocks: decoded and checked on the way in (RFC 9113, section 8; RFC 7541), encoded on the way out."""

from collections.abc import Iterable
from typing import Any

from hpack import Decoder, HPACKError
from hpack.table import HeaderTable

from plimsoll_serving.http2.frames import ConnectionFault, ErrorCode
from plimsoll_serving.http2.table import WatchedTable

Field = tuple[bytes, bytes]

_CACHED_BLOCKS = 32
_CACHED_BYTES = 1024
_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path"})
_CONNECTION_SPECIFIC = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_NAME_BYTES = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_NOT_IN_VALUES = frozenset(b"\0\r\n")


class MalformedError(Exception):
    """A header list that section 8 forbids; the message says why."""


class RequestHead:
    """The header list of one request, checked. It is shared by requests with the same block: not to be changed.

    Attributes:
        fields: without pseudo-header fields.
        content_length: as told; None when it was not.
        note: for the layer above, which may keep there what it reads from the fields.
    """

    __slots__ = ("authority", "content_length", "fields", "method", "note", "path", "scheme")

    def __init__(self, fields: list[Field]) -> None:
        pseudo, self.fields = _split(fields)
        try:
            self.method, self.scheme = pseudo[b":method"], pseudo[b":scheme"]
            self.path = pseudo[b":path"]
        except KeyError as error:
            raise MalformedError(f"{error.args[0].decode()} is missing") from None
        if not self.path:
            raise MalformedError(":path is empty")
        self.authority = pseudo.get(b":authority", b"")
        self.content_length = _content_length(self.fields)
        self.note: Any = None


def check_trailers(fields: list[Field]) -> None:
    """Raises MalformedError; trailers have no pseudo-header fields (section 8.1)."""
    pseudo, _ = _split(fields)
    if pseudo:
        raise MalformedError("trailers have pseudo-header fields")


def _split(fields: list[Field]) -> tuple[dict[bytes, bytes], list[Field]]:
    pseudo: dict[bytes, bytes] = {}
    regular: list[Field] = []
    for name, value in fields:
        if not _NOT_IN_VALUES.isdisjoint(value) or value[:1] in (b" ", b"\t") or value[-1:] in (b" ", b"\t"):
            raise MalformedError("a field value has characters that are not allowed")
        if name[:1] == b":":
            if regular or name in pseudo or name not in _PSEUDO:
                raise MalformedError("a pseudo-header field is unknown, repeated or after regular fields")
            pseudo[name] = value
            continue
        if not name or not _NAME_BYTES.issuperset(name):
            raise MalformedError("a field name is not in lower case, or has characters that are not allowed")
        if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
            raise MalformedError(f"{name.decode()} is of HTTP/1.1")
        regular.append((name, value))
    return pseudo, regular


def _content_length(fields: list[Field]) -> int | None:
    told = {value for name, value in fields if name == b"content-length"}
    if not told:
        return None
    value = told.pop()
    if told or not value.isdigit() or len(value) > 15:
        raise MalformedError("content-length is not one number")
    return int(value)


class HeaderDecoder:
    """Decodes the header blocks of one connection.

    Clients send the same block for each call of a kind. What a block decodes to depends only on its bytes and on the
    dynamic table, so a block that left the table as it was is remembered until the table changes.
    """

    def __init__(self, header_bytes: int) -> None:
        self._decoder = Decoder(max_header_list_size=header_bytes)
        self._table = self._decoder.header_table = WatchedTable()
        self._known: dict[bytes, RequestHead] = {}

    def request(self, block: bytes) -> RequestHead:
        """The head of a request. Raises MalformedError, and ConnectionFault when the block cannot be decoded."""
        head = self._known.get(block)
        if head is not None:
            return head
        changes = self._table.changes
        fields = self.fields(block)
        head = RequestHead(fields)
        if self._table.changes == changes and len(block) <= _CACHED_BYTES:
            if len(self._known) >= _CACHED_BLOCKS:
                self._known.clear()
            self._known[block] = head
        return head

    def fields(self, block: bytes) -> list[Field]:
        """The header list as it is. Raises ConnectionFault when the block cannot be decoded."""
        table = self._table
        before, table.resizes = table.changes, 0
        try:
            fields: list[Field] = list(self._decoder.decode(block, raw=True))
        except HPACKError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"the header block cannot be read: {error}") from None
        if table.changes != before:
            self._known.clear()
        return fields


def encode(fields: Iterable[Field]) -> bytes:
    """A header block of literals that are not indexed: the peer's table is never used, so no state can go wrong.

    Strings are not Huffman-coded (RFC 7541, section 5.2): it would save a few bytes for much more time.
    """
    return b"".join([_literal(name) + _string(value) for name, value in fields])


# The peer's table is set to no bytes at the beginning, whatever it allows (RFC 7541, section 6.3).
NO_TABLE = b"\x20"
STATUS_OK = b"\x88"  # ":status: 200" of the static table
_names: dict[bytes, bytes] = {}
_STATIC = {name: index for name, (index, _) in HeaderTable.STATIC_TABLE_MAPPING.items()}


def _literal(name: bytes) -> bytes:
    known = _names.get(name)
    if known is None:
        index = _STATIC.get(name)
        known = b"\x00" + _string(name) if index is None else _integer(index, 4)
        if len(_names) < 256:
            _names[name] = known
    return known


def _string(value: bytes) -> bytes:
    size = len(value)
    return (bytes((size,)) if size < 127 else _integer(size, 7)) + value


def _integer(value: int, bits: int) -> bytes:
    """RFC 7541, section 5.1, with the bits before the prefix zero."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    out, value = bytearray((most,)), value - most
    while value >= 128:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
