"""Deadlines of many waits by one timer."""

import asyncio
from typing import Final, Protocol

# Waits that end at nearly the same time are ended together.
GRAIN_SECONDS: Final = 0.01


class Wait(Protocol):
    """Something that ends at ``deadline`` (loop time) unless it was removed before."""

    deadline: float

    def expire(self) -> None: ...


class Deadlines:
    """Calls `Wait.expire` of each wait when its deadline has come, at most 10 ms late.

    A timer of its own for each wait would be most of what a short wait costs: nearly all are removed in time.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waits: set[Wait] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = 0.0

    def add(self, wait: Wait, deadline: float) -> None:
        """``deadline`` is its own."""
        self._waits.add(wait)
        if self._timer is None or deadline < self._fires_at - GRAIN_SECONDS:
            self._arm(deadline)

    def remove(self, wait: Wait) -> None:
        self._waits.discard(wait)

    def __len__(self) -> int:
        return len(self._waits)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = max(when, self._loop.time() + GRAIN_SECONDS)
        self._timer = self._loop.call_at(self._fires_at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        over = [wait for wait in self._waits if wait.deadline <= now]
        self._waits.difference_update(over)
        if self._waits:
            self._arm(min(wait.deadline for wait in self._waits))
        for wait in over:
            wait.expire()
