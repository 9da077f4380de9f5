"""What is made of the answer of another pod: passed on, or replaced by the own model's."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from plimsoll_serving.breaker import Breaker
from plimsoll_serving.delegate import Outcome, Settled, outcome_of
from plimsoll_serving.http.client import Failure
from plimsoll_serving.http.message import Request, Respond, Response, error_response
from plimsoll_serving.logs import LOGGER, ErrorLog, trace_id
from plimsoll_serving.metrics import ServingMetrics
from plimsoll_serving.route import Arm
from plimsoll_serving.routing import Routing

# Answers without the other pod.
Local = Callable[[Respond], None]


class Arms(Protocol):
    """The arms of a route, each with its breaker; see `Delegate`."""

    def breaker(self, arm: Arm) -> Breaker: ...

    def send(self, arm: Arm, request: Request, seconds: float, settled: Settled) -> None: ...


class Forwarding:
    """Sends requests to arms of the route and falls back on the own model; every request is answered once."""

    def __init__(self, routing: Routing, arms: Arms, metrics: ServingMetrics) -> None:
        self._routing = routing
        self._breaker, self._send = arms.breaker, arms.send
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._errors = ErrorLog()

    def delegate(self, arm: Arm, request: Request, local: Local, respond: Respond) -> None:
        """The arm's answer, or that of the own model when the arm fails: a broken arm costs the user nothing."""
        breaker = self._breaker(arm)
        if not breaker.allows(self._loop.time()):
            self._metrics.fell_back(arm.revision)
            local(respond)
            return

        def settled(result: Response | Failure) -> None:
            if not isinstance(result, Failure) or not result.absent:
                breaker.reached()
            elif breaker.puts_off(self._loop.time()):
                self._metrics.fell_back(arm.revision)
                self._guarded(local, respond, request)
                return
            outcome = self._outcome(request, result)
            self._metrics.arm_answered(arm.revision, outcome)
            if outcome is Outcome.OK and isinstance(result, Response):
                breaker.succeeded()
                respond(result)
            elif outcome is Outcome.DEADLINE:
                breaker.left()
                if isinstance(result, Response):
                    respond(result)
                else:
                    self._guarded(local, respond, request)
            else:
                self._replace(arm, breaker, request, result, local, respond)

        self._send(arm, request, self._seconds(request), settled)

    def _replace(
        self, arm: Arm, breaker: Breaker, request: Request, result: Response | Failure, local: Local, respond: Respond
    ) -> None:
        """Answer with the own model in place of an arm that failed, or refused the request."""

        def replaced(response: Response) -> None:
            if outcome_of(result) is Outcome.CLIENT_ERROR and 400 <= response.status < 500:
                breaker.succeeded()  # both models refuse it: the request is at fault, not the arm
            else:
                breaker.failed(self._loop.time())
                self._fell_back(arm, request, result)
            respond(response)

        self._guarded(local, replaced, request)

    def forward(self, primary: Arm, request: Request, local: Local, respond: Respond) -> None:
        """The primary's answer, whatever it is; ``local`` only when the primary cannot be reached."""
        breaker = self._breaker(primary)
        if not breaker.allows(self._loop.time()):
            self._metrics.fell_back(primary.revision)
            local(respond)
            return

        def settled(result: Response | Failure) -> None:
            if isinstance(result, Response):
                breaker.succeeded()
                respond(result)
                return
            if self._outcome(request, result) is Outcome.DEADLINE:
                breaker.left()
            else:
                breaker.failed(self._loop.time())
            self._fell_back(primary, request, result)
            self._guarded(local, respond, request)

        self._send(primary, request, self._seconds(request), settled)

    def _outcome(self, request: Request, result: Response | Failure) -> Outcome:
        """What came of it; `DEADLINE` also where only this pod knows that the caller's own is over."""
        over = isinstance(result, Failure) and request.deadline is not None and self._loop.time() >= request.deadline
        return Outcome.DEADLINE if over else outcome_of(result)

    def _guarded(self, local: Local, respond: Respond, request: Request) -> None:
        """Nobody above would answer when ``local`` raises."""
        try:
            local(respond)
        except Exception:
            LOGGER.exception("a request could not be handled", extra={"fields": {"path": request.path}})
            respond(error_response(500, "the server failed on this request; its log has the trace"))

    def _seconds(self, request: Request) -> float:
        route = self._routing.route
        seconds = route.delegate_timeout if route else 1.0
        if request.deadline is None:
            return seconds
        return min(seconds, request.deadline - self._loop.time())

    def _fell_back(self, arm: Arm, request: Request, result: Response | Failure) -> None:
        self._metrics.fell_back(arm.revision)
        self._errors.report(
            "an arm failed, the own model answers",
            arm=arm.revision,
            outcome=outcome_of(result).value,
            detail=result.message if isinstance(result, Failure) else "",
            status=None if isinstance(result, Failure) else result.status,
            path=request.path,
            traceId=trace_id(request.header(b"traceparent")),
        )
