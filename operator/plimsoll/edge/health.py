"""`/healthz`, `/readyz` and `/metrics` of the operator itself."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from plimsoll.edge.telemetry import REGISTRY


class HealthServer:
    """Serves on all addresses. `waiting_for` names what readiness still waits for, or is empty.

    A standby is ready too: it has its cache and knows that another holds the Lease.
    """

    def __init__(self, waiting_for: Callable[[], str], port: int) -> None:
        self._waiting_for = waiting_for
        self._port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "0.0.0.0", self._port).start()  # noqa: S104 - probes come from outside the pod

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        waiting = self._waiting_for()
        return web.Response(status=503, text=f"waiting for {waiting}\n") if waiting else web.Response(text="ok\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
