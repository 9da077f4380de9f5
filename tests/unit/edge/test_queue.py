from __future__ import annotations

import asyncio
import logging

import pytest
from plimsoll.converge.queue import Queue
from plimsoll.converge.schedule import Schedule
from plimsoll.facts import Ref
from plimsoll.failures import Conflict, Unavailable


def ref(name: str) -> Ref:
    return Ref("plimsoll.dev/v1alpha1", "TrainingJob", "demo", name)


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Passes:
    """Passes that wait until they are let go, and what was seen of them."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[tuple[str, str]] = []
        self.at_once = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.errors: dict[str, Exception] = {}
        self.waiting = 0
        self._changed = asyncio.Event()

    async def work(self, ref: Ref) -> float | None:
        self.begun.append(ref.name)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self._changed.set()
        try:
            await self.gate.wait()
            if error := self.errors.pop(ref.name, None):
                raise error
        finally:
            self.at_once -= 1
        return None

    def passed(self, ref: Ref, result: str, seconds: float) -> None:
        self.ended.append((ref.name, result))
        self._changed.set()

    def depth(self, waiting: int) -> None:
        self.waiting = waiting

    async def until(self, *, begun: int = 0, ended: int = 0) -> None:
        """Wait for so many begun and ended passes."""
        while len(self.begun) < begun or len(self.ended) < ended:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 60)


def a_queue(passes: Passes, clock: Clock, workers: int = 8) -> Queue:
    return Queue(passes.work, Schedule(lambda: 0.0), passes, clock, workers)


async def test_no_more_passes_run_at_once_than_there_are_workers() -> None:
    passes = Passes()
    queue = a_queue(passes, Clock(), workers=2)
    running = asyncio.create_task(queue.run())
    for name in "abcd":
        queue.ring(ref(name))
    await passes.until(begun=2)
    assert passes.waiting == 2

    passes.gate.set()
    await passes.until(ended=4)

    assert passes.most == 2
    assert sorted(passes.begun) == ["a", "b", "c", "d"]
    queue.stop()
    await running


async def test_stopping_lets_the_running_passes_finish_and_begins_no_others() -> None:
    passes = Passes()
    queue = a_queue(passes, Clock(), workers=1)
    running = asyncio.create_task(queue.run())
    queue.ring(ref("a"))
    queue.ring(ref("b"))
    await passes.until(begun=1)

    queue.stop()
    passes.gate.set()
    await running

    assert passes.ended == [("a", "ok")]


async def test_cancelling_the_queue_cancels_its_passes() -> None:
    passes = Passes()
    queue = a_queue(passes, Clock())
    running = asyncio.create_task(queue.run())
    queue.ring(ref("a"))
    await passes.until(begun=1)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0)

    assert passes.at_once == 0
    assert passes.ended == []


async def test_each_failure_is_counted_by_its_sort_and_ours_is_logged_with_its_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    passes = Passes()
    passes.gate.set()
    passes.errors = {"a": Conflict("late"), "b": Unavailable("down"), "c": ZeroDivisionError("a bug")}
    queue = a_queue(passes, Clock())
    running = asyncio.create_task(queue.run())
    for name in "abcd":
        queue.ring(ref(name))
    with caplog.at_level(logging.DEBUG):
        await passes.until(ended=4)

    assert sorted(passes.ended) == [("a", "conflict"), ("b", "unavailable"), ("c", "error"), ("d", "ok")]
    traces = {record.levelname: record.exc_info is not None for record in caplog.records}
    assert traces == {"DEBUG": False, "WARNING": False, "ERROR": True}
    queue.stop()
    await running


async def test_a_failed_pass_is_repeated_when_its_delay_is_over() -> None:
    passes, clock = Passes(), Clock()
    passes.gate.set()
    passes.errors = {"a": Unavailable("down")}
    queue = a_queue(passes, clock)
    running = asyncio.create_task(queue.run())
    queue.ring(ref("a"))
    await passes.until(ended=1)
    clock.now = 0.5
    queue.ring(ref("b"))
    await passes.until(ended=3)

    assert passes.ended[0] == ("a", "unavailable")
    assert sorted(passes.ended[1:]) == [("a", "ok"), ("b", "ok")]
    queue.stop()
    await running
