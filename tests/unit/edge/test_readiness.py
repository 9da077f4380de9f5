"""What `/readyz` says while the operator cannot begin."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from plimsoll.edge.rest import ApiError, Request
from plimsoll.process import Process
from plimsoll.settings import load

from tests.ports import free_port


class WithoutCrds:
    """An API server that serves none of our kinds."""

    timeout = 5.0

    async def call(self, request: Request) -> dict[str, Any]:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")


async def test_without_the_custom_resources_it_waits_and_readiness_names_them() -> None:
    port = free_port()
    environment = {
        "PLIMSOLL_HTTP_PORT": str(port),
        "PLIMSOLL_STORE_ENDPOINT": "http://127.0.0.1:1",
        "PLIMSOLL_STORE_ACCESS_KEY_ID": "root",
        "PLIMSOLL_STORE_SECRET_ACCESS_KEY": "unused",
    }

    async def login() -> Any:
        raise AssertionError("nothing is watched yet")

    running = asyncio.create_task(Process(load(environment), WithoutCrds(), login, {}).run())  # type: ignore[arg-type]
    status, text = await answer(f"http://127.0.0.1:{port}/readyz", running)

    assert (status, text) == (503, "waiting for the custom resources: install the CRDs\n")
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def answer(url: str, running: asyncio.Task[None]) -> tuple[int, str]:
    """As soon as the server listens."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while not running.done():
            try:
                async with session.get(url) as response:
                    return response.status, await response.text()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.02)
    raise AssertionError("the operator ended")
