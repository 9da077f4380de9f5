"""What a connection tells the layer above."""

from dataclasses import dataclass

from plimsoll_serving.http2.frames import ErrorCode
from plimsoll_serving.http2.headers import RequestHead


@dataclass(slots=True)
class RequestReceived:
    """A request has begun; with ``ended`` it has no body."""

    stream_id: int
    head: RequestHead
    ended: bool


@dataclass(slots=True)
class DataReceived:
    """Bytes of a request's body. They count against the stream's window until they are consumed."""

    stream_id: int
    data: bytes
    ended: bool


@dataclass(slots=True)
class StreamReset:
    """A request that was told of is over without a further answer: the peer took it back, or broke the protocol."""

    stream_id: int
    code: int


@dataclass(slots=True)
class ConnectionFailed:
    """The peer broke the protocol; once the output is written the connection is to be closed."""

    code: ErrorCode
    message: str


Event = RequestReceived | DataReceived | StreamReset | ConnectionFailed
