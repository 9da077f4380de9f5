"""Who answers an inference: this pod's own model, or an arm of the route, with this pod to fall back on."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from plimsoll_serving.batcher import Batcher, Result
from plimsoll_serving.codec import Codec, InferRequest
from plimsoll_serving.delegate import DELEGATED, Delegate, Delegated, Outcome
from plimsoll_serving.engine import Engine
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Request, Respond, Response, error_response
from plimsoll_serving.logs import LOGGER, ErrorLog, trace_id
from plimsoll_serving.metrics import ServingMetrics
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.route import Arm
from plimsoll_serving.routing import Role, Routing
from plimsoll_serving.settings import Settings

Done = Callable[[Response], None]
Local = Callable[[Request], Awaitable[Response]]
TIMEOUT_MICROSECONDS = "timeout"
# Bodies from here on are read in a worker thread.
LARGE_BODY = 64 * 1024


class Inference:
    """Answers inferences: what is quick on the event loop, what is not off it; a slow model delays only its own."""

    def __init__(
        self, settings: Settings, routing: Routing, delegate: Delegate, metrics: ServingMetrics, readiness: Readiness
    ) -> None:
        self._identity = settings.identity
        self._access_share = settings.access_log
        self._bounds = settings.bounds
        self._routing = routing
        self._delegate = delegate
        self._metrics = metrics
        self._readiness = readiness
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="inference")
        # Reading JSON takes many times its bytes, and no two threads can do it at once anyway.
        self._one_large = asyncio.Semaphore(1)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors = ErrorLog()
        self._under_way = 0
        self._batcher: Batcher | None = None
        self.engine: Engine | None = None

    def serve(self, engine: Engine) -> None:
        """Answer with this model from now on."""
        self.engine = engine
        self._batcher = Batcher(engine.execute, self._workers, self._bounds, engine.cost, engine.steady)

    # Entries: each answers its request exactly once.

    def public(self, request: Request, respond: Respond, codec: Codec | None = None) -> None:
        """An inference for whichever version: the route decides.

        Args:
            codec: how request and answer are written; None is the model's own REST codec.
        """
        respond = self._counted(request, respond)
        if self._routing.role is Role.STANDALONE or self._from_a_pod(request):
            self._infer(request, codec, respond)
            return
        arm = self._routing.choose(request)
        if arm is None or arm.revision != self._identity.revision:
            self._start(self._routed(arm, request, codec), respond, request)
            return

        def answered(response: Response) -> None:
            self._metrics.arm_answered(arm.revision, Outcome.of_status(response.status))
            respond(response)

        self._infer(request, codec, answered)

    def own(self, request: Request, respond: Respond, codec: Codec | None = None) -> None:
        """An inference for this pod's own model."""
        self._infer(request, codec, self._counted(request, respond))

    def forward_or(self, local: Response, request: Request, respond: Respond) -> None:
        """Any other public request: a secondary asks the primary, every other pod answers ``local``."""
        primary = self._routing.primary
        if primary is None or self._from_a_pod(request):
            respond(local)
            return

        async def answer(_: Request) -> Response:
            return local

        self._start(self._forwarded(primary, request, answer), self._counted(request, respond), request)

    def _counted(self, request: Request, respond: Respond) -> Done:
        """``respond``, with what is kept about every request."""
        self._under_way += 1
        start = time.perf_counter()

        def answered(response: Response) -> None:
            self._under_way -= 1
            if self._access_share and random.random() < self._access_share:  # noqa: S311
                self._log(request, response, time.perf_counter() - start)
            respond(response)

        return answered

    def _log(self, request: Request, response: Response, seconds: float) -> None:
        fields = {**self._fields(request), "status": response.status, "milliseconds": round(seconds * 1000, 3)}
        LOGGER.info("request", extra={"fields": fields})

    def _start(self, answer: Coroutine[None, None, Response], done: Done, request: Request) -> None:
        self._keep(self._complete(answer, done, request))

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _complete(self, answer: Coroutine[None, None, Response], done: Done, request: Request) -> None:
        try:
            response = await answer
        except Exception:
            LOGGER.exception("a request could not be handled", extra={"fields": self._fields(request)})
            response = error_response(500, "the server failed on this request; its log has the trace")
        done(response)

    # Decisions

    async def _routed(self, arm: Arm | None, request: Request, codec: Codec | None) -> Response:
        async def local(request: Request) -> Response:
            return await self._answer(request, codec)

        primary = self._routing.primary
        if primary is not None:
            return await self._forwarded(primary, request, local)
        return await (local(request) if arm is None else self._delegated(arm, request, local))

    async def _delegated(self, arm: Arm, request: Request, local: Local) -> Response:
        """The arm's answer, or that of the own model when the arm fails: a broken arm costs the user nothing."""
        breaker = self._delegate.breaker(arm)
        if not breaker.allows(self._loop.time()):
            self._metrics.fell_back(arm.revision)
            return await local(request)
        result = await self._send(arm, request)
        self._metrics.arm_answered(arm.revision, result.outcome)
        if result.outcome is Outcome.OK and result.response is not None:
            breaker.succeeded()
            return result.response
        response = await local(request)
        if result.outcome is Outcome.CLIENT_ERROR and 400 <= response.status < 500:
            breaker.succeeded()  # both models refuse it: the request is at fault, not the arm
            return response
        breaker.failed(self._loop.time())
        self._fell_back(arm, request, result)
        return response

    async def _forwarded(self, primary: Arm, request: Request, local: Local) -> Response:
        """The primary's answer, whatever it is; this pod's own only when the primary cannot be reached."""
        breaker = self._delegate.breaker(primary)
        if not breaker.allows(self._loop.time()):
            self._metrics.fell_back(primary.revision)
            return await local(request)
        result = await self._send(primary, request)
        if result.response is not None:
            breaker.succeeded()
            return result.response
        breaker.failed(self._loop.time())
        self._fell_back(primary, request, result)
        return await local(request)

    async def _send(self, arm: Arm, request: Request) -> Delegated:
        route = self._routing.route
        return await self._delegate.send(arm, request, route.delegate_timeout if route else 1.0)

    def _fell_back(self, arm: Arm, request: Request, result: Delegated) -> None:
        self._metrics.fell_back(arm.revision)
        status = result.response.status if result.response else None
        self._errors.report(
            "an arm failed, the own model answers",
            arm=arm.revision,
            outcome=result.outcome.value,
            detail=result.detail,
            status=status,
            **self._fields(request),
        )

    # The own model

    async def _answer(self, request: Request, codec: Codec | None) -> Response:
        future: asyncio.Future[Response] = self._loop.create_future()
        self._infer(request, codec, future.set_result)
        return await future

    def _infer(self, request: Request, codec: Codec | None, done: Done) -> None:
        """Answer with the own model and count it."""
        engine, batcher = self.engine, self._batcher
        start = time.perf_counter()
        if engine is None or batcher is None:
            response = error_response(503, self._readiness.reason)
            self._metrics.answered(response.status, 0.0, 0)
            done(response)
            return
        codec = codec or engine.codec
        self._metrics.inflight += 1

        def answered(result: Result) -> None:
            metrics = self._metrics
            metrics.inflight -= 1
            metrics.answered(result.response.status, time.perf_counter() - start, result.rows)
            if result.failure is not None:
                self._errors.report("the model failed", detail=result.failure, **self._fields(request))
            done(result.response)

        refusal = _compressed(request, codec)
        if refusal is not None:
            answered(Result(refusal, 0))
        elif len(request.body) > LARGE_BODY:
            self._keep(self._infer_large(request, engine, codec, answered))
        else:
            self._submit(_decoded(request, engine, codec), request, codec, answered)

    async def _infer_large(
        self, request: Request, engine: Engine, codec: Codec, answered: Callable[[Result], None]
    ) -> None:
        async with self._one_large:
            decoded = await self._loop.run_in_executor(self._workers, _decoded, request, engine, codec)
        self._submit(decoded, request, codec, answered)

    def _submit(
        self, decoded: InferRequest | Result, request: Request, codec: Codec, answered: Callable[[Result], None]
    ) -> None:
        if isinstance(decoded, Result):
            answered(decoded)
            return
        timeout = decoded.parameters.get(TIMEOUT_MICROSECONDS)
        if timeout is not None:
            error = self._limit(request, timeout)
            if error:
                answered(Result(codec.refuse(400, error), 0))
                return
        self._batcher.submit(self.engine.job(request, decoded, codec, answered))  # type: ignore[union-attr]

    def _limit(self, request: Request, timeout: Any) -> str | None:
        """Set the deadline that the parameter ``timeout`` asks for; the error when it is none."""
        if type(timeout) is not int or timeout < 0:
            return f"parameters.timeout is {timeout!r}, not a number of microseconds"
        if timeout:
            until = self._loop.time() + timeout / 1e6
            request.deadline = until if request.deadline is None else min(request.deadline, until)
        return None

    @staticmethod
    def _from_a_pod(request: Request) -> bool:
        """Already delegated once: answered here even when an address wrongly points at a public port."""
        return request.header(DELEGATED[0]) is not None

    @staticmethod
    def _fields(request: Request) -> dict[str, object]:
        return {"path": request.path, "traceId": trace_id(request.header(b"traceparent"))}

    @property
    def under_way(self) -> int:
        """Requests not answered yet."""
        return self._under_way

    def close(self) -> None:
        """End the worker threads once their work is done."""
        self._workers.shutdown(wait=False, cancel_futures=True)


def _decoded(request: Request, engine: Engine, codec: Codec) -> InferRequest | Result:
    """The request as arrays, or its refusal."""
    try:
        return codec.decode(request, engine.signature)
    except RequestError as error:
        status, message = error.status, error.message
    except Exception:
        LOGGER.exception("a request could not be read")
        status, message = 500, "the server failed on this request; its log has the trace"
    response = codec.refuse(status, message)
    response.headers += engine.headers
    return Result(response, 0)


def _compressed(request: Request, codec: Codec) -> Response | None:
    """The refusal of a compressed body."""
    encoding = request.header(b"content-encoding") or b"identity"
    if encoding.lower() != b"identity":
        told = encoding.decode("latin-1")[:50]
        return codec.refuse(415, f"content-encoding: {told} is not served; send the body as it is")
    return None
