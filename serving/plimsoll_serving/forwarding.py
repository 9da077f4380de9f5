"""What is made of the answer of another pod: passed on, or replaced by the own model's."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from plimsoll_serving.breaker import Breaker
from plimsoll_serving.delegate import Delegated, Outcome, Settled
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
        self._arms = arms
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._errors = ErrorLog()

    def delegate(self, arm: Arm, request: Request, local: Local, respond: Respond) -> None:
        """The arm's answer, or that of the own model when the arm fails: a broken arm costs the user nothing."""
        breaker = self._arms.breaker(arm)
        if not breaker.allows(self._loop.time()):
            self._metrics.fell_back(arm.revision)
            local(respond)
            return

        def settled(result: Delegated) -> None:
            if result.reached:
                breaker.reached()
            elif breaker.puts_off(self._loop.time()):
                self._metrics.fell_back(arm.revision)
                self._guarded(local, respond, request)
                return
            if self._gave_up(request, result):
                self._metrics.arm_answered(arm.revision, Outcome.DEADLINE)
                breaker.left()
                if result.response is not None:
                    respond(result.response)
                else:
                    self._guarded(local, respond, request)
                return
            self._metrics.arm_answered(arm.revision, result.outcome)
            if result.outcome is Outcome.OK and result.response is not None:
                breaker.succeeded()
                respond(result.response)
                return

            def fallen_back(response: Response) -> None:
                if result.outcome is Outcome.CLIENT_ERROR and 400 <= response.status < 500:
                    breaker.succeeded()  # both models refuse it: the request is at fault, not the arm
                else:
                    breaker.failed(self._loop.time())
                    self._fell_back(arm, request, result)
                respond(response)

            self._guarded(local, fallen_back, request)

        self._arms.send(arm, request, self._seconds(request), settled)

    def forward(self, primary: Arm, request: Request, local: Local, respond: Respond) -> None:
        """The primary's answer, whatever it is; ``local`` only when the primary cannot be reached."""
        breaker = self._arms.breaker(primary)
        if not breaker.allows(self._loop.time()):
            self._metrics.fell_back(primary.revision)
            local(respond)
            return

        def settled(result: Delegated) -> None:
            if result.response is not None:
                breaker.succeeded()
                respond(result.response)
                return
            if self._gave_up(request, result):
                breaker.left()
            else:
                breaker.failed(self._loop.time())
            self._fell_back(primary, request, result)
            self._guarded(local, respond, request)

        self._arms.send(primary, request, self._seconds(request), settled)

    def _gave_up(self, request: Request, result: Delegated) -> bool:
        """Whether the caller's own deadline is over, as the arm said or this pod knows."""
        if result.response is not None:
            return result.outcome is Outcome.DEADLINE
        return request.deadline is not None and self._loop.time() >= request.deadline

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

    def _fell_back(self, arm: Arm, request: Request, result: Delegated) -> None:
        self._metrics.fell_back(arm.revision)
        self._errors.report(
            "an arm failed, the own model answers",
            arm=arm.revision,
            outcome=result.outcome.value,
            detail=result.detail,
            status=result.response.status if result.response else None,
            path=request.path,
            traceId=trace_id(request.header(b"traceparent")),
        )
