"""Bounds on what one peer, and all peers together, may cost."""

from dataclasses import dataclass
from typing import Final

LINGER_SECONDS = 2.0
PIPELINE_DEPTH: Final = 8
# Most requests of another pod that one connection has under way.
TOGETHER_DEPTH: Final = 16
SMALL_BODY: Final = 64 * 1024
# The bounds of the CRD's maxBatchSize and maxDelayMilliseconds.
MOST_BATCH_ROWS = 65536
LONGEST_WINDOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a listener; sizes in bytes, durations in seconds.

    Attributes:
        header_bytes: request line and headers of one request (431 beyond).
        body_bytes: body of one request (413 beyond).
        buffered_bytes: bodies held by all connections together (503 beyond).
        connections: open connections (503 and closed beyond).
        read_seconds: from the first byte of a request to its last (408 beyond).
        idle_seconds: between requests (closed beyond).
    """

    header_bytes: int = 32 * 1024
    body_bytes: int = 32 * 1024 * 1024
    buffered_bytes: int = 128 * 1024 * 1024
    connections: int = 4096
    read_seconds: float = 30.0
    idle_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one model's queue.

    Attributes:
        rows: most rows in one run; a request with more runs alone.
        window: seconds that a run waits for more rows; 0 takes what the turn of the loop brought.
        queue: most requests waiting.
        queue_seconds: most seconds of work waiting.
        workers: runs at a time in worker threads.
    """

    rows: int = 1024
    window: float = 0.0
    queue: int = 1024
    queue_seconds: float = 1.0
    workers: int = 2


class Budget:
    """Bytes that all connections together may buffer. A quarter of them is kept for small bodies.

    Attributes:
        unread: bytes of answers over HTTP/1.1 that their peers do not take. They leave less room for large bodies, of
            which large answers come; nothing takes them back but the peer, or its end.
    """

    __slots__ = ("_free", "_kept", "_size", "unread")

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._kept = size // 4
        self.unread = 0

    def take(self, size: int, *, held: int = 0) -> bool:
        """Reserve ``size`` bytes for a body that holds ``held`` already; False when they are not to be had."""
        kept = 0 if held + size <= SMALL_BODY else self._kept + self.unread
        if size > self._free - kept:
            return False
        self._free -= size
        return True

    @property
    def held(self) -> int:
        """Bytes that are reserved."""
        return self._size - self._free

    @property
    def overdrawn(self) -> bool:
        """Bodies and unread answers are more than there may be."""
        return self.unread > self._free

    def give_back(self, size: int) -> None:
        self._free += size
