"""Start, serve, drain: the order in which the parts of the server come up and go down."""

import asyncio
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass

import uvloop

from plimsoll_serving.delegate import Delegate
from plimsoll_serving.endpoints import Endpoints
from plimsoll_serving.engine import Engine, load
from plimsoll_serving.evidence import Evidence
from plimsoll_serving.forwarding import Forwarding
from plimsoll_serving.inference import Inference
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.memory import settle
from plimsoll_serving.metrics import ServingMetrics
from plimsoll_serving.operations import Operations
from plimsoll_serving.ports import Ports
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.route import Route
from plimsoll_serving.routing import Role, Routing
from plimsoll_serving.settings import Settings
from plimsoll_serving.shadow.mirror import Mirror
from plimsoll_serving.startup import process_seconds
from plimsoll_serving.watcher import RouteWatcher

# How long a public connection to a pod that only forwards lives.
SECONDARY_CONNECTION_SECONDS = 3.0
RESPONSE_FACTOR = 4


@dataclass(frozen=True, slots=True)
class Ready:
    """The model that is served from now on, and where."""

    engine: Engine
    public_port: int
    grpc_port: int
    metrics_port: int


class Server:
    """The five ports of one pod and what stands behind them. Made inside a running event loop.

    Args:
        on_ready: told once the model takes inferences.
    """

    def __init__(self, settings: Settings, on_ready: Callable[[Ready], None] = lambda _: None) -> None:
        self._imported = process_seconds()
        self._settings = settings
        self._on_ready = on_ready
        identity, limits = settings.identity, settings.limits
        self._stopping = asyncio.Event()
        self._readiness = Readiness()
        self._metrics = ServingMetrics(identity)
        self._delegate = Delegate(limits.body_bytes * RESPONSE_FACTOR)
        self._mirror = Mirror(self._metrics.shadow, settings.mirror, random.random)
        self._routing = Routing(identity.revision, self._route_changed, random.random)
        self._evidence = Evidence(settings)
        self._metrics.others.append(self._evidence)
        forwarding = Forwarding(self._routing, self._delegate, self._metrics)
        self._inference = Inference(settings, self._routing, forwarding, self._mirror, self._metrics, self._readiness)
        operations = Operations(identity, self._metrics, self._readiness, self._routing, self._delegate)
        public, direct = self._endpoints(True).handle, self._endpoints(False).handle
        quick = self._inference.quick
        self._ports = Ports(settings, self._readiness, public, direct, operations.handle, quick)
        self._watcher = RouteWatcher(settings.route_path, self._routing.apply)
        self._was_secondary = False

    def _endpoints(self, delegates: bool) -> Endpoints:
        settings = self._settings
        return Endpoints(
            settings.identity,
            self._inference,
            self._readiness,
            delegates,
            self._evidence.feedback,
            control=settings.model_control,
        )

    def _route_changed(self, route: Route) -> None:
        for arm in route.arms:
            self._metrics.add_arm(arm.revision)
        self._metrics.route_epoch = route.epoch
        self._delegate.follow(route.arms)
        self._mirror.follow(
            route.shadows if self._routing.role is Role.PRIMARY else (),
            self._settings.identity.revision,
            route.delegate_timeout,
            route.tolerance,
        )
        secondary = self._routing.role is Role.SECONDARY
        if secondary and not self._was_secondary:
            # kube-proxy leaves open connections where they are; only closing them moves these clients.
            self._ports.retire_connections()
        # Who comes before the Service has followed is moved soon, too.
        life = self._settings.connection_seconds
        self._ports.live(min(life, SECONDARY_CONNECTION_SECONDS) if secondary else life)
        self._was_secondary = secondary

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises ArtifactError when the model cannot be served."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        await self._ports.listen()
        self._watcher.start()
        loading = asyncio.create_task(self._load())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
        await stopping
        await self._ports.drain(lambda: self._inference.under_way)
        self._watcher.stop()
        self._mirror.close()
        self._inference.close()
        await asyncio.to_thread(self._evidence.close)

    async def _load(self) -> None:
        engine = await asyncio.to_thread(load, self._settings)
        self._evidence.attach(engine)
        settle()
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
                    "seconds": {"imports": self._imported, **engine.seconds, "total": process_seconds()},
                }
            },
        )
        self._on_ready(Ready(engine, *self._ports.told))


def run(settings: Settings, on_ready: Callable[[Ready], None] = lambda _: None) -> None:
    """Run a server until SIGTERM or SIGINT. Raises as `Server.run` does."""

    async def serve() -> None:
        await Server(settings, on_ready).run()

    uvloop.run(serve())
