"""Requests of one turn of the event loop go through the model together.

A quick model runs on the loop itself: handing over to a thread would cost more than the run. A slow one, and one whose
work depends on the values it is given, runs in worker threads, and what arrives meanwhile makes the next batch. What is
quick is measured, not configured; only what a thread would do beside the loop counts, not what holds the interpreter.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Protocol

from plimsoll_serving.codec import Codec, InferRequest
from plimsoll_serving.http.limits import Bounds
from plimsoll_serving.http.message import Request, Response

INLINE_SECONDS = 0.001
INLINE_BYTES = 256 * 1024
# What one turn of the loop may spend in models, several runs together.
TURN_SECONDS = 0.005
# How much a new measurement moves the estimate.
GAIN = 0.1


class Result:
    """What came of a job: the response, the rows that went through the model (0: none), and what the model said."""

    __slots__ = ("failure", "response", "rows")

    def __init__(self, response: Response, rows: int, failure: str | None = None) -> None:
        self.response = response
        self.rows = rows
        self.failure = failure


class Job:
    """One request on its way through the model.

    Attributes:
        request, codec, infer: as it came, and as arrays.
        done: called once on the event loop.
        key: jobs with equal keys may share a run; None runs alone.
        rows: at least 1.
        size: bytes of the inputs.
    """

    __slots__ = ("codec", "done", "infer", "key", "request", "rows", "size")

    def __init__(self, request: Request, infer: InferRequest, codec: Codec, done: Callable[[Result], None]) -> None:
        self.request = request
        self.codec = codec
        self.infer = infer
        self.done = done
        self.key: Any = None
        self.rows = 1
        self.size = 0


class Cost:
    """What a run takes: a fixed part and a part for each row, in seconds. Starts from the warm-up, follows the runs."""

    def __init__(self, fixed: float = 0.0, row: float = 0.0) -> None:
        self.fixed = fixed
        self.row = row

    def of(self, runs: int, rows: int) -> float:
        return self.fixed * runs + self.row * rows

    def saw(self, rows: int, seconds: float) -> None:
        """Follow a measured run of ``rows``."""
        expected = self.of(1, rows)
        if expected <= 0:
            self.fixed = seconds
            return
        # One slow run (a page fault, another process) must not make a model slow: growth is bounded.
        factor = 1 + GAIN * (min(seconds / expected, 4.0) - 1)
        self.fixed *= factor
        self.row *= factor


class Computing(Protocol):
    """The model behind a batcher.

    Attributes:
        cost: of a batch from arrays to answers.
        run_cost: the part of it in which the interpreter is free; None when that depends on the values.
        clock: seconds that work takes in the thread that does it. CPU time, where it is the CPU that computes: what a
            thread waited for a processor says nothing about the model, and would keep it in threads for good.
    """

    cost: Cost
    run_cost: Cost | None
    clock: Callable[[], float]

    def execute(self, batch: list[Job]) -> list[Result]:
        """One result a job; called on the loop or in a worker thread. Never raises."""
        ...


class Batcher:
    """The queue before one model. Used on the event loop only.

    Args:
        workers: for slow runs.
        on_run: told the rows of each run that answered.
    """

    def __init__(
        self, model: Computing, workers: Executor, bounds: Bounds, on_run: Callable[[int], None] = lambda _: None
    ) -> None:
        self._model = model
        self._workers = workers
        self._bounds = bounds
        self._on_run = on_run
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Job] = deque()
        self._waiting_rows = 0
        self._due: asyncio.Handle | None = None
        self._running = 0

    def submit(self, job: Job) -> None:
        """Queue a job, or answer at once with 503 when it would wait too long."""
        waiting = len(self._waiting)
        if waiting and (waiting >= self._bounds.queue or self._wait(waiting) > self._bounds.queue_seconds):
            job.done(Result(self._busy(job), 0))
            return
        self._waiting.append(job)
        self._waiting_rows += job.rows
        if self._due is None:
            window = self._bounds.window
            self._due = self._loop.call_later(window, self._flush) if window else self._loop.call_soon(self._flush)
        elif self._bounds.window and self._waiting_rows >= self._bounds.rows:
            self._due.cancel()
            self._due = self._loop.call_soon(self._flush)

    def _wait(self, waiting: int) -> float:
        """Seconds of work that wait."""
        rows = self._waiting_rows
        runs = waiting if self._waiting[0].key is None else 1 + rows // self._bounds.rows
        cost = self._model.cost
        return (cost.fixed * runs + cost.row * rows) / self._bounds.workers

    def _busy(self, job: Job) -> Response:
        seconds = max(1, round(self._wait(len(self._waiting))))
        response = job.codec.refuse(
            503, f"the model has {len(self._waiting)} requests waiting, more than it answers in time; try again later"
        )
        response.headers = [*response.headers, (b"retry-after", b"%d" % seconds)]
        return response

    def _flush(self) -> None:
        """Run what waits, in the order in which it came, until the threads have enough to do."""
        self._due = None
        left = TURN_SECONDS
        while self._waiting and self._running < self._bounds.workers:
            batch = self._next_batch()
            if not batch:
                continue
            cost = self._blocking(sum(job.rows for job in batch))
            if cost < min(INLINE_SECONDS, left) and sum(job.size for job in batch) <= INLINE_BYTES:
                left -= cost
                self._finish(*self._timed(batch))
            else:
                self._running += 1
                self._loop.run_in_executor(self._workers, self._timed, batch).add_done_callback(self._returned)

    def _next_batch(self) -> list[Job]:
        """Jobs that share a run with the first that waits; those that nobody waits for are left out."""
        batch: list[Job] = []
        rows, now = 0, self._loop.time()
        while self._waiting:
            job = self._waiting[0]
            if batch and (job.key is None or job.key != batch[0].key or rows + job.rows > self._bounds.rows):
                break
            self._waiting.popleft()
            self._waiting_rows -= job.rows
            if job.request.cancelled:
                job.done(Result(job.codec.refuse(499, "the client has gone"), 0))
            elif job.request.deadline is not None and now >= job.request.deadline:
                job.done(Result(job.codec.refuse(504, "the deadline of the request passed while it waited"), 0))
            else:
                batch.append(job)
                rows += job.rows
        return batch

    def _blocking(self, rows: int) -> float:
        """Seconds that the loop would stand still for a run that a thread could do beside it."""
        return math.inf if self._model.run_cost is None else self._model.run_cost.of(1, rows)

    def _timed(self, batch: list[Job]) -> tuple[list[Job], list[Result], float]:
        start = self._model.clock()
        results = self._model.execute(batch)
        return batch, results, self._model.clock() - start

    def _returned(self, future: "asyncio.Future[tuple[list[Job], list[Result], float]]") -> None:
        self._running -= 1
        if not future.cancelled():
            self._finish(*future.result())
        if self._waiting and self._due is None:
            self._flush()

    def _finish(self, batch: list[Job], results: list[Result], seconds: float) -> None:
        self._model.cost.saw(sum(job.rows for job in batch), seconds)
        answered = sum(result.rows for result in results)
        if answered:
            self._on_run(answered)
        for job, result in zip(batch, results, strict=True):
            job.done(result)
