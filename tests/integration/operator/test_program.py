"""`python -m plimsoll` as a process of its own: exit codes, signals, and a restart under the same name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from plimsoll.edge.resources import LEASE
from plimsoll.edge.rest import Api, ApiError, Request

from tests.ports import free_port

OPERATOR = Path(__file__).resolve().parents[3] / "operator"
PATIENCE = 120.0
STORE = {
    "PLIMSOLL_STORE_ENDPOINT": "http://127.0.0.1:1",
    "PLIMSOLL_STORE_ACCESS_KEY_ID": "root",
    "PLIMSOLL_STORE_SECRET_ACCESS_KEY": "very-secret",
}


async def run(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Exit code and all that was printed."""
    program = await begin(environment, *arguments)
    printed, _ = await asyncio.wait_for(program.communicate(), PATIENCE)
    assert program.returncode is not None
    return program.returncode, printed.decode()


async def begin(environment: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PLIMSOLL_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "plimsoll", *arguments,
        env=clean | {"PYTHONPATH": str(OPERATOR)} | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def test_the_help_shows_an_example() -> None:
    code, printed = await run({}, "--help")

    assert code == 0
    assert "python -m plimsoll" in printed
    assert "PLIMSOLL_STORE_ENDPOINT=http://" in printed


async def test_a_missing_variable_is_named_and_the_exit_code_is_2() -> None:
    assert await run({}) == (2, "plimsoll: PLIMSOLL_STORE_ENDPOINT is not set: give the store's URL, "
                                "for example http://plimsoll-store:7070\n")  # fmt: skip


async def test_without_a_cluster_the_remedy_is_said(tmp_path: Path) -> None:
    code, printed = await run(STORE | {"KUBECONFIG": str(tmp_path / "none")})

    assert code == 2
    assert "set KUBECONFIG or run in a pod" in printed


@dataclass(frozen=True)
class Program:
    """A running operator, and where it answers probes."""

    process: asyncio.subprocess.Process
    port: int

    async def until_ready(self) -> None:
        """It knows who holds the Lease. The Lease itself is there a moment before the API server's answer is."""
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
            while True:
                assert self.process.returncode is None, "it ended"
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.1)


Start = Callable[[str], Awaitable[Program]]


@pytest.fixture
async def start(cluster_access: Any, custom_resources: None, namespace: str) -> AsyncIterator[Start]:
    started: list[Program] = []

    async def start(pod: str) -> Program:
        port = free_port()
        environment = {
            "KUBECONFIG": cluster_access.kubeconfig,
            "PLIMSOLL_NAMESPACE": namespace,
            "PLIMSOLL_NAMESPACES": namespace,
            "PLIMSOLL_HTTP_PORT": str(port),
            "PLIMSOLL_POD": pod,
        }
        context = ("--context", cluster_access.context) if cluster_access.context else ()
        started.append(Program(await begin(STORE | environment, *context), port))
        return started[-1]

    yield start
    for program in started:
        if program.process.returncode is None:
            program.process.kill()
            await program.process.wait()


async def until_lease(rest: Api, namespace: str, holder: str, *, after: str = "") -> Any:
    """The Lease once `holder` has it, written since the resourceVersion `after`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await _lease(rest, namespace)
            if found and found["spec"]["holderIdentity"] == holder and found["metadata"]["resourceVersion"] != after:
                return found
            await asyncio.sleep(0.1)


async def _lease(rest: Api, namespace: str) -> Any:
    try:
        return await rest.call(Request("GET", LEASE.path(namespace, "plimsoll-operator"), LEASE.plural))
    except ApiError as error:
        if error.status != 404:
            raise
        return None


async def test_sigterm_stops_in_order_and_gives_up_the_lease(start: Start, rest: Api, namespace: str) -> None:
    program = await start("operator-0")
    await program.until_ready()
    await until_lease(rest, namespace, "operator-0")

    program.process.send_signal(signal.SIGTERM)
    printed, _ = await asyncio.wait_for(program.process.communicate(), PATIENCE)

    assert program.process.returncode == 0
    assert b"Stopped in order" in printed
    assert b"very-secret" not in printed
    await until_lease(rest, namespace, "")


async def test_a_container_restarted_after_sigkill_takes_its_lease_at_once(
    start: Start, rest: Api, namespace: str
) -> None:
    program = await start("operator-0")
    await until_lease(rest, namespace, "operator-0")
    program.process.kill()
    await program.process.wait()
    before = await until_lease(rest, namespace, "operator-0")

    await start("operator-0")
    after = await until_lease(rest, namespace, "operator-0", after=before["metadata"]["resourceVersion"])

    # It renewed its own lease: nobody waited for the end of another's.
    assert after["spec"]["leaseTransitions"] == before["spec"]["leaseTransitions"]
    assert after["spec"]["acquireTime"] == before["spec"]["acquireTime"]
