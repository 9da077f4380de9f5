"""Who answers an inference: this pod's own model, or an arm of the route, with this pod to fall back on."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from plimsoll_serving.batcher import Batcher
from plimsoll_serving.codec import Codec, InferRequest
from plimsoll_serving.delegate import outcome_of
from plimsoll_serving.engine import Engine
from plimsoll_serving.errors import RequestError
from plimsoll_serving.forwarding import Forwarding, Local
from plimsoll_serving.http.message import DELEGATED_NAME, MIRRORED_NAME, Request, Respond, Response, error_response
from plimsoll_serving.jobs import Computing, Result
from plimsoll_serving.logs import LOGGER, ErrorLog, trace_id
from plimsoll_serving.metrics import ServingMetrics
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.route import Arm
from plimsoll_serving.routing import Role, Routing
from plimsoll_serving.settings import Settings
from plimsoll_serving.shadow.mirror import Mirror
from plimsoll_serving.v2.values import json_text

REVISION = b"plimsoll-revision"
TIMEOUT_MICROSECONDS = "timeout"
FAILED = "the server failed on this request; its log has the trace"
# Bodies from here on are read in a worker thread.
LARGE_BODY: Final = 64 * 1024


class Asked:
    """A request for the own model, until it is answered. (One object: closures within closures cost more.)

    Attributes:
        codec: how request and answer are written; None is the model's own.
        respond: gets the answer.
        revision: of the arm for which it is counted; empty for none.
        mirrored: whether it is a copy, whose answer no user gets.
        entered, logged: whether it came in as this, and goes to the access log.
        start: when it came, in seconds of `time.perf_counter`.
    """

    __slots__ = ("_inference", "codec", "entered", "logged", "mirrored", "request", "respond", "revision", "start")

    def __init__(self, inference: "Inference", request: Request, codec: Codec | None, respond: Respond) -> None:
        self._inference = inference
        self.request = request
        self.codec = codec
        self.respond = respond
        self.revision = ""
        self.mirrored = self.entered = self.logged = False
        self.start = time.perf_counter()

    def done(self, result: Result) -> None:
        """Called once."""
        self._inference.computed(self, result)


class Inference:
    """Answers inferences: what is quick on the event loop, what is not off it; a slow model delays only its own."""

    def __init__(
        self,
        settings: Settings,
        routing: Routing,
        forwarding: Forwarding,
        mirror: Mirror,
        metrics: ServingMetrics,
        readiness: Readiness,
    ) -> None:
        self._revision = settings.identity.revision
        self._access_share = settings.access_log
        self._bounds = settings.bounds
        self._routing = routing
        self._forwarding = forwarding
        self._mirror = mirror
        self._metrics = metrics
        self._readiness = readiness
        self._workers: Executor = ThreadPoolExecutor(settings.workers, thread_name_prefix="inference")
        # Reading JSON takes many times its bytes, and no two threads can do it at once anyway.
        self._one_large = asyncio.Semaphore(1)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors = ErrorLog()
        self._under_way = 0
        self._batcher: Batcher | None = None
        self.engine: Engine | None = None

    def serve(self, engine: Engine, model: Computing | None = None) -> None:
        """Answer with this model from now on, computed by ``model`` where somebody stands between."""
        self.engine = engine
        self._batcher = Batcher(model or engine, self._workers, self._bounds, self._metrics.ran)

    def share(self, workers: Executor) -> None:
        """Run in these threads, which other models use as well; before `serve`."""
        self._workers = workers

    def forget(self) -> None:
        """Answer with no model; nothing may be under way."""
        self.engine, self._batcher = None, None

    # Entries: each answers its request exactly once.

    def public(self, request: Request, respond: Respond, codec: Codec | None = None) -> None:
        """An inference for whichever version: the route decides.

        Args:
            codec: how request and answer are written; None is the model's own REST codec.
        """
        if self._routing.role is Role.STANDALONE or self._from_a_pod(request):
            self._infer(self._entered(request, codec, respond))
            return
        primary = self._routing.primary
        if primary is not None:
            self._forwarding.forward(primary, request, self._local(request, codec), self._counted(request, respond))
            return
        shadows = self._mirror.draw() if self._mirror.active and not self._routing.blind else None
        if shadows:
            respond = self._mirrored(shadows, request, respond)
        arm = self._routing.choose(request)
        if arm is not None and arm.revision != self._revision:
            local = self._local(request, codec)
            self._forwarding.delegate(arm, request, local, self._counted(request, respond))
            return
        asked = self._entered(request, codec, respond)
        if arm is not None:
            asked.revision = arm.revision
        self._infer(asked)

    def _local(self, request: Request, codec: Codec | None) -> Local:
        """What `Forwarding` falls back on. (A `partial` would take three times as long to make.)"""

        def answered(respond: Respond) -> None:
            self._infer(Asked(self, request, codec, respond))

        return answered

    def _mirrored(self, shadows: list[Arm], request: Request, respond: Respond) -> Respond:
        def answered(response: Response) -> None:
            respond(response)
            revision = next((value for name, value in response.headers if name == REVISION), None)
            if revision is None or request.cancelled:
                return  # no model answered, or nobody got the answer
            offer = partial(self._mirror.offer, shadows, request, response, revision.decode("latin-1"))
            if request.delayed is None:
                offer()
            else:
                request.delayed.append(offer)

        return answered

    def own(self, request: Request, respond: Respond, codec: Codec | None = None) -> None:
        """An inference for this pod's own model."""
        asked = self._entered(request, codec, respond)
        # A copy comes from a pod, which says so: a user who writes one header is counted all the same.
        asked.mirrored = request.header(MIRRORED_NAME) is not None and self._from_a_pod(request)
        self._infer(asked)

    def forward_or(self, local: Response, request: Request, respond: Respond) -> None:
        """Any other public request: a secondary asks the primary, every other pod answers ``local``."""
        primary = self._routing.primary
        if primary is None or self._from_a_pod(request):
            respond(local)
            return
        self._forwarding.forward(primary, request, lambda done: done(local), self._counted(request, respond))

    def _counted(self, request: Request, respond: Respond) -> Respond:
        """``respond``, with what is kept about every request that comes in."""
        self._under_way += 1
        logged = self._chosen()
        start = time.perf_counter() if logged else 0.0

        def answered(response: Response) -> None:
            self._under_way -= 1
            if logged:
                self._log(request, response, time.perf_counter() - start)
            respond(response)

        return answered

    def _entered(self, request: Request, codec: Codec | None, respond: Respond) -> "Asked":
        """A request that comes in, for the own model; the same is kept about it."""
        self._under_way += 1
        asked = Asked(self, request, codec, respond)
        asked.entered, asked.logged = True, self._chosen()
        return asked

    def _chosen(self) -> bool:
        """Whether a request is to be in the access log."""
        return bool(self._access_share) and random.random() < self._access_share  # noqa: S311

    def _log(self, request: Request, response: Response, seconds: float) -> None:
        fields = {**self._fields(request), "status": response.status, "milliseconds": round(seconds * 1000, 3)}
        LOGGER.info("request", extra={"fields": fields})

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The own model

    def _infer(self, asked: "Asked") -> None:
        """Answer with the own model and count it, apart from users' requests when no user gets the answer."""
        engine, batcher = self.engine, self._batcher
        if engine is None or batcher is None:
            self._answer(asked, Result(error_response(503, self._readiness.reason), 0))
            return
        codec = asked.codec or engine.codec
        if batcher.full:
            self._answer(asked, Result(batcher.busy(codec), 0))
            return
        self._metrics.inflight += 1
        request = asked.request
        if len(request.body) > LARGE_BODY:
            self._keep(self._infer_large(request, engine, codec, asked.done))
            return
        decoded = _decoded(request, engine, codec)
        if isinstance(decoded, InferRequest) and not decoded.parameters:
            batcher.queue(engine.job(request, decoded, codec, asked.done))
        else:
            self._submit(decoded, request, codec, asked.done)

    def computed(self, asked: "Asked", result: Result) -> None:
        """Answer with what came of it."""
        self._metrics.inflight -= 1
        self._answer(asked, result)

    def _answer(self, asked: "Asked", result: Result) -> None:
        response, seconds = result.response, time.perf_counter() - asked.start
        if asked.mirrored:
            self._metrics.mirrored_answered(response.status, seconds)
        else:
            self._metrics.answered(response.status, seconds)
        if result.failure is not None:
            self._errors.report("the model failed", detail=result.failure, **self._fields(asked.request))
        if asked.revision:
            self._metrics.arm_answered(asked.revision, outcome_of(response))
        if asked.entered:
            self._under_way -= 1
            if asked.logged:
                self._log(asked.request, response, seconds)
        asked.respond(response)

    async def _infer_large(
        self, request: Request, engine: Engine, codec: Codec, answered: Callable[[Result], None]
    ) -> None:
        try:
            async with self._one_large:
                decoded = await self._loop.run_in_executor(self._workers, _decoded, request, engine, codec)
        except Exception as error:
            # Whatever it is, the request is answered and its bytes are given back.
            decoded = Result(error_response(500, FAILED), 0, f"{type(error).__name__}: {error}"[:300])
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
        if type(timeout) is not int or not 0 <= timeout < 2**63:
            return f"parameters.timeout is {json_text(timeout)}, not a number of microseconds"
        if timeout:
            until = self._loop.time() + timeout / 1e6
            request.deadline = until if request.deadline is None else min(request.deadline, until)
        return None

    @staticmethod
    def _from_a_pod(request: Request) -> bool:
        """Already delegated once: answered here even when an address wrongly points at a public port."""
        return request.header(DELEGATED_NAME) is not None

    @staticmethod
    def _fields(request: Request) -> dict[str, object]:
        return {"path": request.path, "traceId": trace_id(request.header(b"traceparent"))}

    def quick(self) -> bool:
        """Whether a request for the own model is answered in the turn of the loop in which it comes."""
        return self._batcher is not None and self._batcher.quick

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
        try:
            return codec.decode(request, engine.signature)
        except RequestError as error:
            response = codec.refuse(error.status, error.message)
    except Exception:
        LOGGER.exception("a request could not be read")
        response = codec.refuse(500, FAILED)
    response.shared = engine.shared
    return Result(response, 0)
