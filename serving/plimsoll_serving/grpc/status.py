"""Status codes and messages of gRPC, and what the answers of HTTP are in them."""

from enum import IntEnum

MAX_MESSAGE_BYTES = 1024
_PLAIN = frozenset(range(0x20, 0x7F)) - {0x25}


class Code(IntEnum):
    """As in grpc's doc/statuscodes.md."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_OF_HTTP = {
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    405: Code.UNIMPLEMENTED,
    408: Code.DEADLINE_EXCEEDED,
    409: Code.ABORTED,
    413: Code.RESOURCE_EXHAUSTED,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}


def of_http(status: int) -> Code:
    """The code of an HTTP status other than 200."""
    return _OF_HTTP.get(status, Code.INVALID_ARGUMENT if status < 500 else Code.INTERNAL)


class StatusError(Exception):
    """A call that ends with a status other than OK."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def percent_encoded(message: str) -> bytes:
    """``grpc-message`` (PROTOCOL-HTTP2.md): UTF-8, where other bytes than printable ASCII and ``%`` are escaped."""
    raw = message.encode("utf-8", "replace")[:MAX_MESSAGE_BYTES]
    if _PLAIN.issuperset(raw):
        return raw
    return b"".join([b"%c" % byte if byte in _PLAIN else b"%%%02X" % byte for byte in raw])
