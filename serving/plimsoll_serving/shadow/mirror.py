"""Sends copies of answered requests to the shadow arms and has the answers compared."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from plimsoll_serving.breaker import FirstContact
from plimsoll_serving.http.client import Failure, Reason
from plimsoll_serving.http.deadlines import Deadlines
from plimsoll_serving.http.forward import ForwardedHeads
from plimsoll_serving.http.message import DELEGATED, MIRRORED, Request, Response
from plimsoll_serving.http.pool import ConnectionPool
from plimsoll_serving.logs import LOGGER, ErrorLog, trace_id
from plimsoll_serving.route import Arm
from plimsoll_serving.shadow.compare import Tolerance
from plimsoll_serving.shadow.counters import Outcome, ShadowCounters
from plimsoll_serving.shadow.limits import MirrorLimits
from plimsoll_serving.shadow.pairs import Verdict, judge

# The shadow's answer must come as it is, to be compared.
WITHOUT = frozenset({b"accept-encoding"})
# Answers that say the model was not asked: with them there is nothing to compare.
NOT_ASKED = frozenset({429, 503, 504})
# A shadow's answer may be twice as long as the stable one, and an error needs some room in any case.
ANSWER_FACTOR = 2
ANSWER_BYTES = 16 * 1024
# Copies of so much time are sent together: each wakes the loop less often, and users' batches stay as they are.
GATHER_SECONDS = 0.005
FAULTS = frozenset({Outcome.CANDIDATE_ERROR, Outcome.UNREACHABLE, Outcome.TIMEOUT})
# Beyond this a pair is compared in a thread.
THREAD_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class _Copy:
    """A request, the answer that the user got from the revision ``stable``, and the arm to be compared with it."""

    arm: Arm
    request: Request
    answer: Response
    stable: str
    size: int

    @property
    def answer_bytes(self) -> int:
        return ANSWER_FACTOR * len(self.answer.body) + ANSWER_BYTES


# What came of a copy; None when the shadow was not asked, or is not at its address yet.
Answered = Callable[[Response | Failure | None], None]


class Shadow(Protocol):
    """Where the copies for one arm go."""

    def send(self, request: Request, seconds: float, most_bytes: int, done: Answered) -> None:
        """Have a copy answered; ``done`` is called once, within ``seconds``, after this has returned or before."""
        ...

    def close(self) -> None: ...


class RemoteShadow:
    """An arm at an address."""

    def __init__(self, arm: Arm, deadlines: Deadlines) -> None:
        self._pool = ConnectionPool(arm.host, arm.port, deadlines)
        self._heads = ForwardedHeads(f"{arm.host}:{arm.port}", [MIRRORED, DELEGATED], WITHOUT)
        self._loop = asyncio.get_running_loop()
        self._contact = FirstContact(self._loop.time())

    def send(self, request: Request, seconds: float, most_bytes: int, done: Answered) -> None:
        def answered(result: Response | Failure) -> None:
            if not isinstance(result, Failure) or not result.absent:
                self._contact.made()
            elif self._contact.pending(self._loop.time()):
                done(None)
                return
            done(result)

        self._pool.exchange((self._heads.head(request), request.body), seconds, most_bytes, answered)

    def close(self) -> None:
        self._pool.close()


class Held:
    """Bytes that copies hold. Mirrors that share one stay within one bound together."""

    def __init__(self) -> None:
        self.bytes = 0


class Mirror:
    """Copies wait in a bounded queue, a few are under way; what finds no place is counted and forgotten.

    Args:
        uniform: gives a point of [0, 1).
        reach: where the copies for an arm go; to its address without it.
        held: shared with other mirrors.

    Attributes:
        active: whether the route has a shadow at all. (No property: every request asks.)
    """

    def __init__(
        self,
        counters: ShadowCounters,
        limits: MirrorLimits,
        uniform: Callable[[], float],
        reach: Callable[[Arm], Shadow] | None = None,
        held: Held | None = None,
    ) -> None:
        self._counters = counters
        self._limits = limits
        self._uniform = uniform
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._errors = ErrorLog()
        self._reach = reach or (lambda arm: RemoteShadow(arm, self._deadlines))
        self._shadows: dict[str, tuple[Arm, Shadow]] = {}
        self._seconds = 0.0
        self._tolerance = Tolerance()
        self._waiting: deque[_Copy] = deque()
        self._under_way = 0
        self._held = held or Held()
        self._own = 0
        self._pumping = False
        self._closed = False
        self.active = False

    def follow(self, shadows: tuple[Arm, ...], stable: str, seconds: float, tolerance: Tolerance) -> None:
        """Mirror to these arms from now on.

        Args:
            stable: the revision of this pod, which answers users.
            seconds: that a shadow is given for its answer.
        """
        self._seconds, self._tolerance = seconds, tolerance
        arms = {arm.revision: arm for arm in shadows}
        for revision in [name for name, (arm, _) in self._shadows.items() if arms.get(name) != arm]:
            self._shadows.pop(revision)[1].close()
        for revision, arm in arms.items():
            if revision not in self._shadows:
                self._shadows[revision] = (arm, self._reach(arm))
            self._counters.add_pair(stable, revision)
        self.active = bool(arms)

    def draw(self) -> list[Arm]:
        """The shadows that get a copy of one request."""
        return [arm for arm, _ in self._shadows.values() if self._uniform() * 100 < arm.weight]

    def offer(self, arms: list[Arm], request: Request, answer: Response, stable: str) -> None:
        """Mirror a request whose answer has been handed to the connection. Sends nothing in this turn of the loop."""
        if answer.status not in NOT_ASKED:
            for arm in arms:
                self._enqueue(arm, request, answer, stable)

    def _enqueue(self, arm: Arm, request: Request, answer: Response, stable: str) -> None:
        head = sum(len(name) + len(value) for name, value in request.headers)
        size = head + len(request.body) + (1 + ANSWER_FACTOR) * len(answer.body) + ANSWER_BYTES
        if len(self._waiting) >= self._limits.queue or self._held.bytes + size > self._limits.buffered_bytes:
            self._counters.count(stable, arm.revision, Outcome.DROPPED)
            return
        self._hold(size)
        self._waiting.append(_Copy(arm, request, answer, stable, size))
        self._wake()

    def _hold(self, size: int) -> None:
        self._held.bytes += size
        self._own += size

    def _wake(self) -> None:
        if not self._pumping and self._waiting and self._under_way < self._limits.concurrency:
            self._pumping = True
            self._loop.call_later(GATHER_SECONDS, self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while self._waiting and self._under_way < self._limits.concurrency:
            self._send(self._waiting.popleft())

    def _send(self, copy: _Copy) -> None:
        _, shadow = self._shadows.get(copy.arm.revision, (None, None))
        if shadow is None:  # it has left the route
            self._hold(-copy.size)
            self._counters.count(copy.stable, copy.arm.revision, Outcome.DROPPED)
            return
        self._under_way += 1
        shadow.send(copy.request, self._seconds, copy.answer_bytes, partial(self._answered, copy))

    def _answered(self, copy: _Copy, result: Response | Failure | None) -> None:
        if self._closed:
            return
        if result is None:
            self._settle(copy, Verdict(Outcome.DROPPED, {}))
        elif isinstance(result, Failure):
            self._settle(copy, Verdict(_OUTCOMES[result.reason], {}, result.message))
        elif len(copy.answer.body) + len(result.body) <= THREAD_BYTES:
            self._settle(copy, self._judged(copy, result))
        else:
            future = self._loop.run_in_executor(self._thread, self._judged, copy, result)
            future.add_done_callback(partial(self._judged_in_thread, copy))

    def _judged(self, copy: _Copy, result: Response) -> Verdict:
        try:
            return judge(copy.answer, result, self._tolerance)
        except Exception as error:
            LOGGER.exception("two answers could not be compared", extra={"fields": {"arm": copy.arm.revision}})
            return Verdict(Outcome.DROPPED, {}, str(error))

    def _judged_in_thread(self, copy: _Copy, future: "asyncio.Future[Verdict]") -> None:
        if not future.cancelled() and not self._closed:
            self._settle(copy, future.result())

    def _settle(self, copy: _Copy, verdict: Verdict) -> None:
        self._under_way -= 1
        self._hold(-copy.size)
        stable, candidate = copy.stable, copy.arm.revision
        self._counters.count(stable, candidate, verdict.outcome)
        self._counters.note(stable, candidate, verdict.outputs)
        if verdict.outcome in FAULTS:
            self._errors.report(
                "a shadow failed; no user was waiting for it",
                arm=candidate,
                outcome=verdict.outcome.value,
                detail=verdict.detail,
                path=copy.request.path,
                traceId=trace_id(copy.request.header(b"traceparent")),
            )
        self._wake()

    def close(self) -> None:
        """Forget what waits and what is under way."""
        self._closed = True
        self._waiting.clear()
        self._hold(-self._own)
        for _, shadow in self._shadows.values():
            shadow.close()
        self._shadows.clear()
        self.active = False
        self._thread.shutdown(wait=False, cancel_futures=True)


_OUTCOMES = {
    Reason.UNREACHABLE: Outcome.UNREACHABLE,
    Reason.STRANGER: Outcome.UNREACHABLE,
    Reason.BROKEN: Outcome.UNREACHABLE,
    Reason.TIMEOUT: Outcome.TIMEOUT,
    Reason.TOO_LARGE: Outcome.MISMATCH,
}
