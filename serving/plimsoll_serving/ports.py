"""The three ports of a pod: how they come up, and how they go down without dropping a request."""

import asyncio
from collections.abc import Callable

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
    """Public, direct and operations. Made inside a running event loop."""

    def __init__(self, settings: Settings, public: Handler, direct: Handler, ops: Handler) -> None:
        self._settings = settings
        budget = Budget(settings.limits.buffered_bytes)
        self.public = Listener(public, settings.limits, budget, settings.connection_seconds)
        self.direct = Listener(direct, settings.limits, budget)
        self.ops = Listener(ops, OPS_LIMITS, Budget(OPS_LIMITS.buffered_bytes))

    async def listen(self) -> None:
        settings = self._settings
        await self.ops.start(settings.host, settings.metrics_port)
        await self.public.start(settings.host, settings.public_port)
        await self.direct.start(settings.host, settings.direct_port)
        ports = {"public": self.public.port, "direct": self.direct.port, "metrics": self.ops.port}
        LOGGER.info("listening", extra={"fields": ports})

    async def drain(self, readiness: Readiness, under_way: Callable[[], int]) -> None:
        """Serve on: endpoints take the drain time to forget this pod. Then finish, and listen no more.

        The operations' port takes no new connections once this has returned.
        """
        readiness.draining = True
        for listener in (self.public, self.direct):
            listener.closing = True
        LOGGER.info("draining", extra={"fields": {"seconds": self._settings.drain_seconds}})
        await asyncio.sleep(self._settings.drain_seconds)
        for listener in (self.public, self.direct):
            listener.stop_accepting()
        await self._finish(under_way)
        for listener in (self.public, self.direct, self.ops):
            listener.stop()
        self.ops.stop_accepting()

    async def _finish(self, under_way: Callable[[], int]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FINISH_SECONDS
        while self.public.open_connections or self.direct.open_connections:
            if loop.time() >= deadline:
                LOGGER.error("stopped with requests under way", extra={"fields": {"requests": under_way()}})
                return
            self.public.close_idle()
            self.direct.close_idle()
            await asyncio.sleep(0.05)
        LOGGER.info("stopped: every request was answered")
