"""Start, serve, drain: a pod with many models."""

import asyncio
import signal

import uvloop

from plimsoll_serving.pool.front import Front
from plimsoll_serving.pool.operations import PoolOperations
from plimsoll_serving.pool.pool import Pool
from plimsoll_serving.pool.settings import PoolSettings
from plimsoll_serving.ports import Ports
from plimsoll_serving.readiness import Readiness


class PoolServer:
    """The five ports of one pod and what stands behind them. Made inside a running event loop."""

    def __init__(self, settings: PoolSettings) -> None:
        self._stopping = asyncio.Event()
        self._readiness = Readiness()
        self._pool = Pool(settings, self._readiness)
        public, direct = (Front(self._pool, self._readiness, delegates) for delegates in (True, False))
        operations = PoolOperations(self._pool, self._readiness)
        self._ports = Ports(settings.common, self._readiness, public.handle, direct.handle, operations.handle)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        await self._ports.listen()
        self._pool.start()
        await self._stopping.wait()
        await self._ports.drain(lambda: self._pool.under_way)
        await self._pool.close()


def run(settings: PoolSettings) -> None:
    """Run a server until SIGTERM or SIGINT."""

    async def serve() -> None:
        await PoolServer(settings).run()

    uvloop.run(serve())
