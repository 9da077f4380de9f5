"""Workers that carry out passes as the schedule says. The only loop over objects; what a pass does is unknown here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from plimsoll.converge.schedule import Schedule
from plimsoll.facts import Ref
from plimsoll.failures import Conflict, Unavailable

logger = logging.getLogger(__name__)

#: A pass: returns in how many seconds to come back, or None.
Work = Callable[[Ref], Awaitable[float | None]]


class Observer(Protocol):
    """Hears how the queue does."""

    def passed(self, ref: Ref, result: str, seconds: float) -> None:
        """A pass ended: `result` is ok, conflict, unavailable or error."""

    def depth(self, waiting: int) -> None:
        """How many objects wait."""


class Queue:
    """One pass per object at a time, `workers` at once. `clock` is monotonic, in seconds."""

    def __init__(
        self, work: Work, schedule: Schedule, observer: Observer, clock: Callable[[], float], workers: int = 8
    ) -> None:
        self._work = work
        self._schedule = schedule
        self._observer = observer
        self._clock = clock
        self._workers = workers
        self._bell = asyncio.Event()
        self._stopping = False

    def ring(self, ref: Ref) -> None:
        """Wake the object; from the event loop only."""
        self._schedule.ring(ref, self._clock())
        self._observer.depth(self._schedule.depth)
        self._bell.set()

    def stop(self) -> None:
        """Begin no more passes; `run` returns when the running ones are done."""
        self._stopping = True
        self._bell.set()

    async def run(self) -> None:
        """Carry out passes until `stop`. Cancelling it cancels the passes."""
        running: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            running.discard(task)
            self._bell.set()

        try:
            while not self._stopping:
                self._bell.clear()
                while len(running) < self._workers and (ref := self._schedule.take(self._clock())) is not None:
                    task = asyncio.create_task(self._pass(ref), name=f"pass {ref.kind} {ref.namespace}/{ref.name}")
                    running.add(task)
                    task.add_done_callback(ended)
                self._observer.depth(self._schedule.depth)
                await self._wait(full=len(running) >= self._workers)
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()

    async def _wait(self, *, full: bool) -> None:
        """Until a bell, the end of a pass, or the earliest timer."""
        due = None if full else self._schedule.next_due()
        timeout = None if due is None else max(0.0, due - self._clock())
        try:
            await asyncio.wait_for(self._bell.wait(), timeout)
        except TimeoutError:
            return

    async def _pass(self, ref: Ref) -> None:
        began = self._clock()
        try:
            after = await self._work(ref)
        except Exception as error:  # every failure is counted, logged and repeated: see Schedule
            result = self._failed(ref, error)
        else:
            result = "ok"
            self._schedule.succeeded(ref, after, self._clock())
        self._observer.passed(ref, result, self._clock() - began)

    def _failed(self, ref: Ref, error: Exception) -> str:
        delay = self._schedule.failed(ref, error, self._clock())
        what = f"{ref.kind} {ref.namespace}/{ref.name}"
        if isinstance(error, Conflict):
            logger.debug("%s changed meanwhile, planned again in %.1f s: %s", what, delay, error)
            return "conflict"
        if isinstance(error, Unavailable):
            logger.warning("%s is repeated in %.1f s: %s", what, delay, error)
            return "unavailable"
        logger.error("The pass over %s failed and is repeated in %.0f s", what, delay, exc_info=error)
        return "error"
