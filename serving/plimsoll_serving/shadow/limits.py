"""Bounds of mirroring."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MirrorLimits:
    """What mirroring may hold and do at once.

    Attributes:
        queue: copies that wait.
        buffered_bytes: all that copies hold, waiting or under way, with room for the shadows' answers.
        concurrency: copies under way.
    """

    queue: int = 256
    buffered_bytes: int = 32 * 1024 * 1024
    concurrency: int = 32
