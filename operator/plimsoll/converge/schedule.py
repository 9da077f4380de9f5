"""When which object gets its next pass. No I/O, no clock: the time in seconds is passed in.

Laws: one pass per object at a time; a bell during a pass is one more pass after it; a failed object waits, and a bell
brings it forward no nearer than HASTE after its last failure; the earliest timer wins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from plimsoll.facts import Ref
from plimsoll.failures import Conflict, Unavailable

#: A bell does not make a failed pass repeat sooner than this many seconds after it.
HASTE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The first and the longest delay in seconds, doubled from failure to failure."""

    first: float
    longest: float

    def delay(self, failures: int, jitter: float) -> float:
        """Before the repetition after so many failures in a row (from 1); `jitter` in 0..1 takes off up to a half."""
        whole = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return whole * (1 - jitter / 2)


CONFLICT: Final = Backoff(0.1, 5.0)
WORLD: Final = Backoff(0.5, 60.0)
OURS: Final = Backoff(5.0, 300.0)


def backoff_of(error: Exception) -> Backoff:
    """How patient to be after this failure."""
    if isinstance(error, Conflict):
        return CONFLICT
    return WORLD if isinstance(error, Unavailable) else OURS


class Schedule:
    """`jitter` gives numbers in 0..1."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._ready: OrderedDict[Ref, None] = OrderedDict()
        self._due: dict[Ref, float] = {}
        self._running: set[Ref] = set()
        self._rung: set[Ref] = set()
        self._failures: dict[Ref, int] = {}
        self._failed_at: dict[Ref, float] = {}

    def ring(self, ref: Ref, now: float) -> None:
        """Something about the object changed."""
        if ref in self._running:
            self._rung.add(ref)
        elif ref in self._due and ref in self._failed_at:
            self._due[ref] = min(self._due[ref], max(now, self._failed_at[ref] + HASTE))
        else:
            self._ready[ref] = None

    def take(self, now: float) -> Ref | None:
        """The next object to work on, which is running from now on; None when there is none yet."""
        for ref in [ref for ref, due in self._due.items() if due <= now]:
            del self._due[ref]
            self._ready[ref] = None
        if not self._ready:
            return None
        ref, _ = self._ready.popitem(last=False)
        self._due.pop(ref, None)
        self._running.add(ref)
        return ref

    def succeeded(self, ref: Ref, requeue_after: float | None, now: float) -> None:
        """A pass ended well and wants to come back after so many seconds, or only by a bell."""
        self._running.discard(ref)
        self._failures.pop(ref, None)
        self._failed_at.pop(ref, None)
        if requeue_after is not None:
            self._due[ref] = now + max(0.0, requeue_after)
        if ref in self._rung:
            self._rung.discard(ref)
            self._ready[ref] = None

    def failed(self, ref: Ref, error: Exception, now: float) -> float:
        """A pass failed; returns after how many seconds it is repeated."""
        self._running.discard(ref)
        self._rung.discard(ref)
        failures = self._failures[ref] = self._failures.get(ref, 0) + 1
        delay = backoff_of(error).delay(failures, self._jitter())
        self._failed_at[ref] = now
        self._due[ref] = now + delay
        return delay

    def next_due(self) -> float | None:
        """When the earliest timer ends; None without one."""
        return min(self._due.values(), default=None)

    @property
    def depth(self) -> int:
        """How many objects wait for a worker now."""
        return len(self._ready)

    @property
    def running(self) -> int:
        """How many passes are under way."""
        return len(self._running)
