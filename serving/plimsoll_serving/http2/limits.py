"""Bounds on what one HTTP/2 connection may cost, and the guard against floods."""

from dataclasses import dataclass

from plimsoll_serving.http2.frames import DEFAULT_FRAME_BYTES, ConnectionFault, ErrorCode

STREAM_WINDOW = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """Limits of one connection; sizes in bytes.

    Attributes:
        streams: requests open at once (REFUSED_STREAM beyond).
        header_bytes: one header block, and the list it decodes to as section 6.5.2 counts it.
        continuations: CONTINUATION frames of one header block.
        frame_bytes: payload of one frame that the peer may send.
        stream_window, connection_window: what the peer may send ahead of what is consumed.
        resets: requests that the peer may take back without one being answered between (CVE-2023-44487).
        idle_frames: frames that carry nothing (PING, SETTINGS, PRIORITY, empty DATA, …) without one between that does.
    """

    streams: int = 256
    header_bytes: int = 32 * 1024
    continuations: int = 8
    frame_bytes: int = DEFAULT_FRAME_BYTES
    stream_window: int = STREAM_WINDOW
    connection_window: int = 4 * 1024 * 1024
    resets: int = 500
    idle_frames: int = 2000


class Allowance:
    """Something of which only so much is borne at once; work done and time give it back.

    Args:
        what: for the message of the fault.
    """

    __slots__ = ("_left", "_limit", "_what")

    def __init__(self, limit: int, what: str) -> None:
        self._limit = self._left = limit
        self._what = what

    def spend(self) -> None:
        """Raises ConnectionFault when nothing is left."""
        self._left -= 1
        if self._left < 0:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {self._what}")

    def give_back(self, count: int) -> None:
        left = self._left + count
        self._left = left if left < self._limit else self._limit

    def replenish(self) -> None:
        """A twentieth; called a few times a second."""
        self.give_back(max(1, self._limit // 20))
