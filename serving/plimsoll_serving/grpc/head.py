"""What the headers of a call say (grpc's doc/PROTOCOL-HTTP2.md)."""

from plimsoll_serving.grpc.status import Code, StatusError
from plimsoll_serving.http.message import DELEGATED_NAME, HOP_BY_HOP, MIRRORED_NAME, Header
from plimsoll_serving.http2.headers import RequestHead

CONTENT_TYPE = b"application/grpc"
ACCEPTED_ENCODINGS = b"identity,gzip"
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
# What tells how a body of HTTP is written (a message is written in one way), and what only pods tell one another.
_NOT_METADATA = HOP_BY_HOP | {
    b"content-type",
    b"content-encoding",
    b"accept-encoding",
    b"accept",
    b"inference-header-content-length",
    DELEGATED_NAME,
    MIRRORED_NAME,
}


class HttpRefusal(Exception):
    """No gRPC call: answered in the way of HTTP, for no client of gRPC asked."""

    def __init__(self, status: int, message: str, headers: tuple[Header, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.headers = [(b":status", b"%d" % status), (b"content-type", b"text/plain"), *headers]


class CallHead:
    """Path, timeout, encodings and metadata of a call. Shared by calls with the same headers: not to be changed.

    Attributes:
        timeout: seconds; None when the client waits for ever.
        gzip: compressed messages are gzip; None when the client may not compress.
        accepts_gzip: whether answers may be gzip.
        metadata: as headers of an HTTP request.
    """

    __slots__ = ("accepts_gzip", "gzip", "metadata", "path", "timeout")

    def __init__(self, head: RequestHead) -> None:
        headers = dict(head.fields)
        if head.method != b"POST":
            raise HttpRefusal(405, "this port speaks gRPC: only POST is served", ((b"allow", b"POST"),))
        if not _is_grpc(headers.get(b"content-type", b"")):
            raise HttpRefusal(415, "this port speaks gRPC: content-type must be application/grpc")
        self.path = head.path
        self.timeout = _timeout(headers.get(b"grpc-timeout"))
        self.gzip = _encoding(headers.get(b"grpc-encoding", b"identity"))
        accepted = headers.get(b"grpc-accept-encoding", b"").split(b",")
        self.accepts_gzip = b"gzip" in [one.strip() for one in accepted]
        # Which host was called tells services apart that share a pod.
        host = [(b"host", head.authority)] if head.authority else []
        self.metadata = host + [
            (name, value) for name, value in head.fields if name not in _NOT_METADATA and not name.startswith(b"grpc-")
        ]


def read(head: RequestHead) -> CallHead:
    """The call's head, kept in the request's. Raises HttpRefusal and StatusError."""
    known: CallHead | None = head.note
    if known is None:
        known = head.note = CallHead(head)
    return known


def _is_grpc(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind in (CONTENT_TYPE, CONTENT_TYPE + b"+proto")


def _timeout(value: bytes | None) -> float | None:
    if value is None:
        return None
    number, unit = value[:-1], _UNITS.get(value[-1:])
    if unit is None or not number.isdigit() or len(number) > 8:
        shown = value[:20].decode("latin-1")
        raise StatusError(
            Code.INVALID_ARGUMENT, f"grpc-timeout is {shown!r}, not up to 8 digits and one of H M S m u n"
        )
    return int(number) * unit


def _encoding(value: bytes) -> bool:
    if value not in (b"identity", b"gzip"):
        shown = value[:20].decode("latin-1")
        raise StatusError(Code.UNIMPLEMENTED, f"grpc-encoding {shown!r} is not served; identity and gzip are")
    return value == b"gzip"
