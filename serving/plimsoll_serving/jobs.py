"""What waits for the model, what comes of it, and what a run takes."""

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from plimsoll_serving.codec import Codec, InferRequest
from plimsoll_serving.http.message import Request, Response

# How much a new measurement moves an estimate.
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
        arrived: when it was queued, monotonic seconds.
        deadline, late: of a job that waits in `Deadlines`, when it ends, and what is called with the job then.
    """

    __slots__ = ("arrived", "codec", "deadline", "done", "infer", "key", "late", "request", "rows", "size")

    def __init__(self, request: Request, infer: InferRequest, codec: Codec, done: Callable[[Result], None]) -> None:
        self.request = request
        self.codec = codec
        self.infer = infer
        self.done = done
        self.key: Any = None
        self.rows = 1
        self.size = 0
        self.arrived = 0.0
        self.deadline = 0.0
        self.late: Callable[[Job], None] | None = None

    def expire(self) -> None:
        """Its deadline has come; nothing when it waits no more, as one that was answered together with another."""
        if self.late is not None:
            self.late(self)


class Ran:
    """A run that is over: its jobs and their results, the seconds it took of the processor, and when it was."""

    __slots__ = ("batch", "began", "ended", "results", "seconds")

    def __init__(self, batch: list[Job], results: list[Result], seconds: float, began: float) -> None:
        self.batch = batch
        self.results = results
        self.seconds = seconds
        self.began = began
        self.ended = monotonic()


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

    @property
    def cost(self) -> Cost: ...

    @property
    def run_cost(self) -> Cost | None: ...

    @property
    def clock(self) -> Callable[[], float]: ...

    def execute(self, batch: list[Job]) -> list[Result]:
        """One result a job; called on the loop or in a worker thread. Never raises."""
        ...
