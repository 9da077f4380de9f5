"""Start, serve, drain: the order in which the parts of the server come up and go down."""

import asyncio
import random
import signal

from plimsoll_serving.delegate import Delegate
from plimsoll_serving.endpoints import Endpoints
from plimsoll_serving.engine import load
from plimsoll_serving.evidence import Evidence
from plimsoll_serving.grpc.listener import GrpcListener
from plimsoll_serving.grpc.methods import methods
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.listener import Listener
from plimsoll_serving.inference import Inference
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.metrics import ServingMetrics
from plimsoll_serving.operations import Operations
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.route import Route
from plimsoll_serving.routing import Role, Routing
from plimsoll_serving.settings import Settings
from plimsoll_serving.watcher import RouteWatcher

# How long a public connection to a pod that only forwards lives.
SECONDARY_CONNECTION_SECONDS = 3.0
# How long what is in flight after the drain may take.
FINISH_SECONDS = 15.0
RESPONSE_FACTOR = 4
# Probes and scrapes send no bodies, and must find a place whatever the public port suffers.
OPS_LIMITS = Limits(body_bytes=4096, buffered_bytes=1 << 20, connections=256)


class Server:
    """The five ports of one pod and what stands behind them. Made inside a running event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        identity, limits = settings.identity, settings.limits
        self._stopping = asyncio.Event()
        self._readiness = Readiness()
        self._metrics = ServingMetrics(identity)
        self._delegate = Delegate(limits.body_bytes * RESPONSE_FACTOR)
        self._routing = Routing(identity.revision, self._route_changed, random.random)
        self._evidence = Evidence(settings)
        self._metrics.others.append(self._evidence)
        self._inference = Inference(settings, self._routing, self._delegate, self._metrics, self._readiness)
        operations = Operations(identity, self._metrics, self._readiness, self._routing, self._delegate)
        budget = Budget(limits.buffered_bytes)
        public, direct = self._endpoints(True).handle, self._endpoints(False).handle
        life, ready = settings.connection_seconds, self._readiness
        self._public = Listener(public, limits, budget, life)
        self._direct = Listener(direct, limits, budget)
        self._grpc = GrpcListener(methods(public, ready), limits, budget, life)
        self._grpc_direct = GrpcListener(methods(direct, ready), limits, budget)
        self._listeners = (self._public, self._grpc, self._direct, self._grpc_direct)
        self._ops = Listener(operations.handle, OPS_LIMITS, Budget(OPS_LIMITS.buffered_bytes))
        self._watcher = RouteWatcher(settings.route_path, self._routing.apply)
        self._was_secondary = False

    def _endpoints(self, delegates: bool) -> Endpoints:
        return Endpoints(self._settings.identity, self._inference, self._readiness, delegates, self._evidence.feedback)

    def _route_changed(self, route: Route) -> None:
        for arm in route.arms:
            self._metrics.add_arm(arm.revision)
        self._metrics.route_epoch = route.epoch
        self._delegate.follow(route.arms)
        secondary = self._routing.role is Role.SECONDARY
        if secondary and not self._was_secondary:
            # kube-proxy leaves open connections where they are; only closing them moves these clients.
            self._public.retire_connections()
            self._grpc.retire_connections()
        # Who comes before the Service has followed is moved soon, too.
        life = self._settings.connection_seconds
        self._public.life = self._grpc.life = min(life, SECONDARY_CONNECTION_SECONDS) if secondary else life
        self._was_secondary = secondary

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises ArtifactError when the model cannot be served."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        await self._listen()
        self._watcher.start()
        loading = asyncio.create_task(self._load())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
        await stopping
        await self._drain()

    async def _listen(self) -> None:
        settings = self._settings
        await self._ops.start(settings.host, settings.metrics_port)
        await self._public.start(settings.host, settings.public_port)
        await self._direct.start(settings.host, settings.direct_port)
        await self._grpc.start(settings.host, settings.grpc_port)
        await self._grpc_direct.start(settings.host, settings.grpc_direct_port)
        ports = {
            "public": self._public.port,
            "direct": self._direct.port,
            "metrics": self._ops.port,
            "grpc": self._grpc.port,
            "grpcDirect": self._grpc_direct.port,
        }
        LOGGER.info("listening", extra={"fields": ports})

    async def _load(self) -> None:
        engine = await asyncio.to_thread(load, self._settings)
        self._evidence.attach(engine)
        self._inference.serve(engine)
        self._readiness.loaded = True
        LOGGER.info(
            "ready",
            extra={
                "fields": {
                    "sha256": self._settings.sha256,
                    "threads": self._settings.intra_op_threads,
                    "executionProviders": engine.providers,
                    "batches": engine.batches,
                    "inputs": [tensor.describe() for tensor in engine.signature.inputs.values()],
                    "outputs": [tensor.describe() for tensor in engine.signature.outputs.values()],
                }
            },
        )

    async def _drain(self) -> None:
        """Serve on: endpoints take the drain time to forget this pod. Then finish and go."""
        self._readiness.draining = True
        for listener in self._listeners:
            listener.closing = True
        LOGGER.info("draining", extra={"fields": {"seconds": self._settings.drain_seconds}})
        await asyncio.sleep(self._settings.drain_seconds)
        for listener in self._listeners:
            listener.stop_accepting()
        await self._finish()
        for listener in (*self._listeners, self._ops):
            listener.stop()
        self._watcher.stop()
        self._ops.stop_accepting()
        self._inference.close()
        await asyncio.to_thread(self._evidence.close)

    async def _finish(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FINISH_SECONDS
        while any(listener.open_connections for listener in self._listeners):
            if loop.time() >= deadline:
                LOGGER.error(
                    "stopped with requests under way", extra={"fields": {"requests": self._inference.under_way}}
                )
                return
            for listener in self._listeners:
                listener.close_idle()
            await asyncio.sleep(0.05)
        LOGGER.info("stopped: every request was answered")
