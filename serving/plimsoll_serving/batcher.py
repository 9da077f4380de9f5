"""Requests of one turn of the event loop, or of two, go through the model together.

A quick model runs on the loop itself: handing over to a thread would cost more than the run. A slow one, and one whose
work depends on the values it is given, runs in worker threads, and what arrives meanwhile makes the next batch. What is
quick is measured, not configured; only what a thread would do beside the loop counts, not what holds the interpreter.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from time import monotonic
from typing import Any, Final

from plimsoll_serving.codec import Codec
from plimsoll_serving.http.deadlines import Deadlines
from plimsoll_serving.http.limits import Bounds
from plimsoll_serving.http.message import EXPIRED, Response
from plimsoll_serving.jobs import GAIN, Computing, Job, Ran, Result
from plimsoll_serving.logs import LOGGER

INLINE_SECONDS: Final = 0.001
INLINE_BYTES: Final = 256 * 1024
# What one turn of the loop may spend in models, several runs together.
TURN_SECONDS: Final = 0.005


def _shared(key: Any, other: Any) -> bool:
    return key is not None and (key is other or bool(key == other))


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
        self._due_since = 0.0
        self._deadlines = Deadlines()
        self._runs: list[Future[Ran]] = []
        self._answering = False
        # Seconds that pass for each second of computing in threads: they share the processor, and the interpreter with
        # the loop, which has the more to do the more requests come.
        self._pace = 1.0
        self._last_run = 0.0

    @property
    def full(self) -> bool:
        """Whether one job more would wait too long. Told before it is read: refusing must be cheap."""
        waiting = len(self._waiting)
        if not waiting or (waiting < self._bounds.queue and self._wait(waiting) <= self._bounds.queue_seconds):
            return False
        return not self._hurry()

    @property
    def quick(self) -> bool:
        """Whether a small request runs on the loop: then nobody waits long for those before."""
        return not self._runs and not self._bounds.window and self._blocking(1) < INLINE_SECONDS

    def submit(self, job: Job) -> None:
        """Queue a job, or answer at once with 503 when it would wait too long."""
        if self.full:
            job.done(Result(self.busy(job.codec), 0))
        else:
            self.queue(job)

    def queue(self, job: Job) -> None:
        """Queue a job for which `full` was false."""
        job.arrived = now = monotonic()
        self._waiting.append(job)
        self._waiting_rows += job.rows
        deadline = job.request.deadline
        if deadline is not None:
            job.deadline, job.late = deadline, self._refuse_late
            self._deadlines.add(job, deadline)
        window = self._bounds.window
        if self._due is None:
            self._due_since = now
            self._due = self._loop.call_later(window, self._flush) if window else self._loop.call_soon(self._gather)
        elif window and self._waiting_rows >= self._bounds.rows:
            self._due.cancel()
            self._due = self._loop.call_soon(self._flush)
        elif self._runs and not window and now - self._due_since > TURN_SECONDS:
            self._due_since = now
            self._hurry()

    def _refuse_late(self, job: Job) -> None:
        """Whoever waits behind a long run is told at the deadline, and not when its turn comes."""
        self._waiting.remove(job)
        self._waiting_rows -= job.rows
        job.late = None
        job.done(self._too_late(job))

    def _too_late(self, job: Job) -> Result:
        response = job.codec.refuse(504, "the deadline of the request passed while it waited")
        response.headers.append(EXPIRED)
        return Result(response, 0)

    def _hurry(self) -> bool:
        """Keep the threads at work in a turn that takes long, as one of a thousand requests does; whether it helped."""
        if self._answering or (len(self._runs) >= self._bounds.workers and not any(run.done() for run in self._runs)):
            return False
        self._collect()
        if self._due is not None and not self._bounds.window:
            self._due.cancel()
            self._flush()
        return True

    def _wait(self, waiting: int) -> float:
        """Seconds until what waits is done."""
        rows = self._waiting_rows
        runs = waiting if self._waiting[0].key is None else 1 + rows // self._bounds.rows
        cost = self._model.cost
        return (cost.fixed * runs + cost.row * rows) * self._pace / self._bounds.workers

    def busy(self, codec: Codec) -> Response:
        """The refusal of a job that would wait too long."""
        seconds = max(1, round(self._wait(len(self._waiting)))) if self._waiting else 1
        response = codec.refuse(
            503, f"the model has {len(self._waiting)} requests waiting, more than it answers in time; try again later"
        )
        kept = [header for header in response.headers if header[0] != b"retry-after"]
        response.headers = [*kept, (b"retry-after", b"%d" % seconds)]
        return response

    def _gather(self) -> None:
        """Where several came in one turn, take along what is there already of the next: fewer and larger runs.

        Nobody waits for anything that is still to come, and one by itself is run at once.
        """
        if len(self._waiting) > 1:
            self._due = self._loop.call_soon(self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        """Run what waits, in the order in which it came, until the threads have enough to do."""
        self._due = None
        self._answering = True
        try:
            self._run_waiting()
        finally:
            self._answering = False

    def _run_waiting(self) -> None:
        left = TURN_SECONDS
        while self._waiting and len(self._runs) < self._bounds.workers:
            batch = self._next_batch()
            if not batch:
                continue
            cost = self._blocking(sum([job.rows for job in batch]))
            if cost < min(INLINE_SECONDS, left) and sum([job.size for job in batch]) <= INLINE_BYTES:
                left -= cost
                self._finish(self._timed(batch))
            else:
                run = self._workers.submit(self._timed, batch)
                self._runs.append(run)
                run.add_done_callback(self._returned)

    def _next_batch(self) -> list[Job]:
        """Jobs that share a run with the first that waits; those that nobody waits for are left out."""
        batch: list[Job] = []
        rows, now = 0, self._loop.time()
        # Whoever came behind a run waits for that one besides.
        oldest = monotonic() - self._bounds.queue_seconds - self._last_run
        while self._waiting:
            job = self._waiting[0]
            if batch and (not _shared(job.key, batch[0].key) or rows + job.rows > self._bounds.rows):
                break
            self._waiting.popleft()
            self._waiting_rows -= job.rows
            if job.late is not None:
                self._deadlines.remove(job)
                job.late = None
            if job.request.cancelled:
                job.done(Result(job.codec.refuse(499, "the client has gone"), 0))
            elif job.request.deadline is not None and now >= job.request.deadline:
                job.done(self._too_late(job))
            elif job.arrived < oldest:
                job.done(Result(self.busy(job.codec), 0))
            else:
                batch.append(job)
                rows += job.rows
        return batch

    def _blocking(self, rows: int) -> float:
        """Seconds that the loop would stand still for a run that a thread could do beside it."""
        return math.inf if self._model.run_cost is None else self._model.run_cost.of(1, rows)

    def _timed(self, batch: list[Job]) -> Ran:
        began, start = monotonic(), self._model.clock()
        results = self._model.execute(batch)
        return Ran(batch, results, self._model.clock() - start, began)

    def _returned(self, run: "Future[Ran]") -> None:
        """In the thread of the run."""
        if not run.cancelled() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        """Answer with the runs that are over, and start the next."""
        over = [run for run in self._runs if run.done()]
        self._runs = [run for run in self._runs if run not in over]
        self._answering = True
        try:
            for run in over:
                if run.cancelled():  # the threads were ended before they came to it
                    continue
                ran = run.result()
                self._follow(ran)
                self._finish(ran)
        finally:
            self._answering = False
        if self._waiting and self._due is None:
            self._flush()

    def _follow(self, ran: Ran) -> None:
        """Learn from a run in a thread how quickly what waits is done."""
        self._last_run = max(ran.ended - ran.began, 1e-6)
        self._pace += GAIN * (self._last_run / max(ran.seconds, 1e-6) - self._pace)

    def _finish(self, ran: Ran) -> None:
        self._model.cost.saw(sum([job.rows for job in ran.batch]), ran.seconds)
        answered = sum([result.rows for result in ran.results])
        if answered:
            self._on_run(answered)
        for job, result in zip(ran.batch, ran.results, strict=True):
            try:
                job.done(result)
            except Exception:
                # Its neighbours in the batch have nothing to do with it.
                LOGGER.exception("an answer could not be given")
