"""Who answers an inference: this pod's own model, or an arm of the route, with this pod to fall back on."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor

from plimsoll_serving.delegate import DELEGATED, Delegate, Delegated, Outcome
from plimsoll_serving.engine import Engine
from plimsoll_serving.http.message import Header, Request, Respond, Response, error_response
from plimsoll_serving.logs import LOGGER, ErrorLog, trace_id
from plimsoll_serving.metrics import ServingMetrics
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.route import Arm
from plimsoll_serving.routing import Routing
from plimsoll_serving.settings import Settings
from plimsoll_serving.shadow.mirror import MIRRORED, Mirror

Local = Callable[[Request], Awaitable[Response]]


class Inference:
    """Answers requests off the event loop; a slow model delays only its own requests."""

    def __init__(
        self,
        settings: Settings,
        routing: Routing,
        delegate: Delegate,
        metrics: ServingMetrics,
        readiness: Readiness,
        mirror: Mirror,
    ) -> None:
        self._identity = settings.identity
        self._access_share = settings.access_log
        self._routing = routing
        self._delegate = delegate
        self._metrics = metrics
        self._readiness = readiness
        self._mirror = mirror
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="inference")
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors = ErrorLog()
        self.engine: Engine | None = None
        self.headers: list[Header] = [
            (b"plimsoll-model-version", settings.identity.version.encode()),
            (b"plimsoll-revision", settings.identity.revision.encode()),
        ]

    # Entries: each answers its request exactly once.

    def public(self, request: Request, respond: Respond) -> None:
        """An inference for whichever version: the route decides."""
        if self._mirror.active and not self._routing.blind and not self._from_a_pod(request):
            respond = self._mirrored(request, respond)
        self._start(self._routed(request), request, respond)

    def _mirrored(self, request: Request, respond: Respond) -> Respond:
        def respond_then_mirror(response: Response) -> None:
            respond(response)
            revision = next((v for k, v in response.headers if k == b"plimsoll-revision"), None)
            if revision is not None:
                self._mirror.offer(request, response, revision.decode("latin-1"))

        return respond_then_mirror

    def own(self, request: Request, respond: Respond) -> None:
        """An inference for this pod's own model."""
        self._start(self._infer(request), request, respond)

    def forward_or(self, local: Response, request: Request, respond: Respond) -> None:
        """Any other public request: a secondary asks the primary, every other pod answers ``local``."""
        primary = self._routing.primary
        if primary is None or self._from_a_pod(request):
            respond(local)
            return

        async def answer(_: Request) -> Response:
            return local

        self._start(self._forwarded(primary, request, answer), request, respond)

    def _start(self, answer: Coroutine[None, None, Response], request: Request, respond: Respond) -> None:
        task = self._loop.create_task(self._complete(answer, request, respond))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _complete(self, answer: Coroutine[None, None, Response], request: Request, respond: Respond) -> None:
        start = time.perf_counter()
        try:
            response = await answer
        except Exception:
            LOGGER.exception("a request could not be handled", extra={"fields": self._fields(request)})
            response = error_response(500, "the server failed on this request; its log has the trace")
        if self._access_share and random.random() < self._access_share:  # noqa: S311
            milliseconds = round((time.perf_counter() - start) * 1000, 3)
            LOGGER.info(
                "request",
                extra={"fields": {**self._fields(request), "status": response.status, "milliseconds": milliseconds}},
            )
        respond(response)

    # Decisions

    async def _routed(self, request: Request) -> Response:
        if self._from_a_pod(request):
            return await self._infer(request)
        primary = self._routing.primary
        if primary is not None:
            return await self._forwarded(primary, request, self._infer)
        arm = self._routing.choose(request)
        if arm is None:
            return await self._infer(request)
        if arm.revision == self._identity.revision:
            response = await self._infer(request)
            self._metrics.arm_answered(arm.revision, Outcome.of_status(response.status))
            return response
        return await self._delegated(arm, request)

    async def _delegated(self, arm: Arm, request: Request) -> Response:
        """The arm's answer, or that of the own model when the arm fails: a broken arm costs the user nothing."""
        breaker = self._delegate.breaker(arm)
        if not breaker.allows(self._loop.time()):
            self._metrics.fell_back(arm.revision)
            return await self._infer(request)
        result = await self._send(arm, request)
        self._metrics.arm_answered(arm.revision, result.outcome)
        if result.outcome is Outcome.OK and result.response is not None:
            breaker.succeeded()
            return result.response
        response = await self._infer(request)
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
        settled: asyncio.Future[Delegated] = self._loop.create_future()
        self._delegate.send(arm, request, route.delegate_timeout if route else 1.0, settled.set_result)
        return await settled

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

    async def _infer(self, request: Request) -> Response:
        start = time.perf_counter()
        response, rows = await self._run(request)
        seconds = time.perf_counter() - start
        if request.header(MIRRORED[0]) is None:
            self._metrics.answered(response.status, seconds, rows)
        else:
            self._metrics.mirrored_answered(response.status, seconds)
        response.headers = self.headers
        return response

    async def _run(self, request: Request) -> tuple[Response, int]:
        if self.engine is None:
            return error_response(503, self._readiness.reason), 0
        refusal = _not_plain_json(request)
        if refusal is not None:
            return refusal, 0
        self._metrics.inflight += 1
        try:
            answer = await self._loop.run_in_executor(self._workers, self.engine.answer, request.body)
        finally:
            self._metrics.inflight -= 1
        if answer.failure is not None:
            self._errors.report("the model failed", detail=answer.failure, **self._fields(request))
        return Response(answer.status, answer.body), answer.rows

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
        return len(self._tasks)

    def close(self) -> None:
        """End the worker threads once their work is done."""
        self._workers.shutdown(wait=False, cancel_futures=True)


def _not_plain_json(request: Request) -> Response | None:
    """The refusal of a body in a form that is not served."""
    if request.header(b"inference-header-content-length") is not None:
        return error_response(
            400, "inference-header-content-length: the binary tensor extension is not served; send the tensors as JSON"
        )
    encoding = request.header(b"content-encoding") or b"identity"
    if encoding.lower() != b"identity":
        told = encoding.decode("latin-1")[:50]
        return error_response(415, f"content-encoding: {told} is not served; send the body as it is")
    return None
