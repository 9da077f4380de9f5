"""The five ports of a pod: how they come up, and how they go down without dropping a request."""

import asyncio
from collections.abc import Callable

from plimsoll_serving.grpc.listener import GrpcListener
from plimsoll_serving.grpc.methods import methods
from plimsoll_serving.http.coding import ContentCoding
from plimsoll_serving.http.cors import Cors
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.listener import Listener
from plimsoll_serving.http.message import Handler
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.settings import Settings

# How long what is in flight after the drain may take.
FINISH_SECONDS = 15.0
# Probes and scrapes send no bodies, and must find a place whatever the public port suffers.
OPS_LIMITS = Limits(body_bytes=4096, buffered_bytes=1 << 20, connections=256)


class Ports:
    """Public and direct, each for HTTP and for gRPC, and operations. Made inside a running event loop.

    Args:
        quick: whether the model answers in the turn of the loop in which a request comes, so that other pods may send
            several at once.
    """

    def __init__(
        self,
        settings: Settings,
        readiness: Readiness,
        public: Handler,
        direct: Handler,
        ops: Handler,
        quick: Callable[[], bool] | None = None,
    ) -> None:
        self._settings = settings
        self._readiness = readiness
        limits, life = settings.limits, settings.connection_seconds
        budget = Budget(limits.buffered_bytes)
        self._public = Listener(_edge(settings, public, budget), limits, budget, life)
        self._direct = Listener(_edge(settings, direct, budget), limits, budget, together=quick)
        self._grpc = GrpcListener(methods(public, readiness), limits, budget, life)
        self._grpc_direct = GrpcListener(methods(direct, readiness), limits, budget)
        self._listeners = (self._public, self._grpc, self._direct, self._grpc_direct)
        self._ops = Listener(ops, OPS_LIMITS, Budget(OPS_LIMITS.buffered_bytes))

    @property
    def told(self) -> tuple[int, int, int]:
        """The public port, that of gRPC and that of the operations."""
        return self._public.port, self._grpc.port, self._ops.port

    def retire_connections(self) -> None:
        """Close public connections politely."""
        self._public.retire_connections()
        self._grpc.retire_connections()

    def live(self, seconds: float) -> None:
        """How long public connections live from now on."""
        self._public.life = self._grpc.life = seconds

    async def listen(self) -> None:
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

    async def drain(self, under_way: Callable[[], int]) -> None:
        """Serve on: endpoints take the drain time to forget this pod. Then finish, and listen no more."""
        self._readiness.draining = True
        for listener in self._listeners:
            listener.closing = True
        LOGGER.info("draining", extra={"fields": {"seconds": self._settings.drain_seconds}})
        await asyncio.sleep(self._settings.drain_seconds)
        for listener in self._listeners:
            listener.stop_accepting()
        await self._finish(under_way)
        for listener in (*self._listeners, self._ops):
            listener.stop()
        self._ops.stop_accepting()

    async def _finish(self, under_way: Callable[[], int]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FINISH_SECONDS
        while any(listener.open_connections for listener in self._listeners):
            if loop.time() >= deadline:
                LOGGER.error("stopped with requests under way", extra={"fields": {"requests": under_way()}})
                return
            for listener in self._listeners:
                listener.close_idle()
            await asyncio.sleep(0.05)
        LOGGER.info("stopped: every request was answered")


def _edge(settings: Settings, handler: Handler, budget: Budget) -> Handler:
    """What HTTP itself asks for, before the endpoints."""
    coded = ContentCoding(handler, settings.limits, budget).handle
    return Cors(coded, settings.cors_origins).handle if settings.cors_origins else coded
