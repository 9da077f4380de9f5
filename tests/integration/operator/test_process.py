"""A whole operator process, in this event loop, on a real API server, with a pass of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from kubernetes.client import ApiClient, CoreV1Api
from plimsoll import names, process
from plimsoll.converge.ports import World
from plimsoll.edge.resources import LEASE
from plimsoll.edge.rest import MERGE_PATCH, Api, ApiError, Request, configuration
from plimsoll.facts import Create, Manifest, Ref
from plimsoll.handlers import Watch, WatchEnded
from plimsoll.process import Process
from plimsoll.settings import load

from tests.integration.operator.conftest import model_version
from tests.ports import free_port

PATIENCE = 120.0


class Passes:
    """Every ModelVersion gets one ConfigMap and the phase Ready; what was done is counted."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._begun = asyncio.Event()
        self._changed = asyncio.Event()

    async def __call__(self, world: World, ref: Ref) -> float | None:
        self._begun.set()
        await self.gate.wait()
        owner = await world.cluster.get(ref)
        if owner is not None:
            labels = names.labels("route")
            if not world.cluster.cached("v1", "ConfigMap", ref.namespace, {names.LABEL_COMPONENT: "route"}):
                metadata = {"name": ref.name, "namespace": ref.namespace, "labels": labels}
                child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}
                await world.cluster.act(owner, Create(child))
            if (owner.get("status") or {}).get("phase") != "Ready":
                await world.cluster.write_status(owner, {"phase": "Ready"})
        self.count += 1
        self._changed.set()
        return None

    async def until_begun(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._begun.wait()

    async def more_than(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.count <= count:
                self._changed.clear()
                await self._changed.wait()


class Recording(Api):
    """Remembers the writes that went out."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.writes: list[str] = []

    async def call(self, request: Request) -> dict[str, Any]:
        if request.verb != "GET":
            self.writes.append(f"{request.verb} {request.resource}")
        return await super().call(request)

    def besides_the_lease(self) -> list[str]:
        return [write for write in self.writes if not write.endswith(" leases")]


class Running:
    """One operator process of this namespace."""

    def __init__(self, api: Recording, port: int, identity: str, namespace: str, login: Any) -> None:
        self.api, self.port, self.passes = api, port, Passes()
        install = load(
            {
                "PLIMSOLL_NAMESPACE": namespace,
                "PLIMSOLL_NAMESPACES": namespace,
                "PLIMSOLL_POD": identity,
                "PLIMSOLL_HTTP_PORT": str(port),
                "PLIMSOLL_STORE_ENDPOINT": "http://127.0.0.1:1",
                "PLIMSOLL_STORE_ACCESS_KEY_ID": "root",
                "PLIMSOLL_STORE_SECRET_ACCESS_KEY": "unused",
            }
        )
        self.task = asyncio.create_task(Process(install, api, login, {"ModelVersion": self.passes}).run())

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.api.close()

    async def answer(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return response.status, await response.text()

    async def until_ready(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                if self.task.done():
                    self.task.result()
                try:
                    if (await self.answer("/readyz"))[0] == 200:
                        return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)


Start = Callable[[str], Awaitable[Running]]


@pytest.fixture
async def start(rest: Api, cluster_access: Any, custom_resources: None, namespace: str) -> AsyncIterator[Start]:
    started: list[Running] = []

    async def login() -> Any:
        return await configuration(cluster_access.context)

    async def start(identity: str) -> Running:
        port = free_port()
        started.append(Running(Recording(await login()), port, identity, namespace, login))
        return started[-1]

    yield start
    for running in started:
        await running.stop()


async def edited(rest: Api, version: Manifest, label: str) -> None:
    """A user labels an object: an event without anything to do."""
    path = f"/apis/{names.API_VERSION}/namespaces/{version['metadata']['namespace']}/modelversions"
    body = {"metadata": {"labels": {"example.org/touched": label}}}
    request = Request("PATCH", f"{path}/{version['metadata']['name']}", "modelversions", body, content_type=MERGE_PATCH)
    await rest.call(request)


async def test_an_object_is_reconciled_and_at_rest_nothing_is_written(
    start: Start, rest: Api, post: Any, namespace: str, api: ApiClient
) -> None:
    version = await post(model_version(namespace, "m"))
    operator = await start("a")
    await operator.passes.more_than(1)
    await edited(rest, version, "settled")
    await operator.passes.more_than(operator.passes.count)
    operator.api.writes.clear()

    for number in range(5):
        before = operator.passes.count
        await edited(rest, version, str(number))
        await operator.passes.more_than(before)

    assert operator.api.besides_the_lease() == []
    live = await rest.call(
        Request("GET", f"/apis/{names.API_VERSION}/namespaces/{namespace}/modelversions/m-v1", "modelversions")
    )
    assert "annotations" not in live["metadata"]
    assert "finalizers" not in live["metadata"]
    assert live["status"] == {"phase": "Ready"}
    assert CoreV1Api(api).list_namespaced_event(namespace).items == []


async def test_a_child_that_somebody_deletes_comes_back(start: Start, rest: Api, post: Any, namespace: str) -> None:
    await post(model_version(namespace, "m"))
    operator = await start("a")
    await operator.passes.more_than(1)
    path = f"/api/v1/namespaces/{namespace}/configmaps/m-v1"
    first = await rest.call(Request("GET", path, "configmaps"))
    before = operator.passes.count

    await rest.call(Request("DELETE", path, "configmaps"))
    await operator.passes.more_than(before)

    assert (await _eventually(rest, path))["metadata"]["uid"] != first["metadata"]["uid"]


async def test_objects_made_later_are_seen(start: Start, rest: Api, post: Any, namespace: str) -> None:
    operator = await start("a")
    await operator.until_ready()
    await post(model_version(namespace, "late"))
    await operator.passes.more_than(0)

    assert await _eventually(rest, f"/api/v1/namespaces/{namespace}/configmaps/late-v1")


async def test_a_standby_is_ready_acts_not_and_goes_on_when_the_first_stops(
    start: Start, rest: Api, post: Any, namespace: str
) -> None:
    first = await start("a")
    await first.until_ready()
    second = await start("b")
    await second.until_ready()
    await post(model_version(namespace, "m"))
    await first.passes.more_than(0)
    assert second.passes.count == 0
    assert second.api.writes == []

    await first.stop()
    await second.passes.more_than(0)

    assert (await _lease(rest, namespace))["holderIdentity"] == "b"


async def test_a_stop_lets_a_running_pass_finish_and_then_releases_the_lease(
    start: Start, rest: Api, post: Any, namespace: str
) -> None:
    operator = await start("a")
    operator.passes.gate.clear()
    await post(model_version(namespace, "m"))
    await operator.passes.until_begun()
    stopping = asyncio.create_task(operator.stop())
    await asyncio.wait([stopping], timeout=0.3)
    assert not stopping.done()
    assert (await _lease(rest, namespace))["holderIdentity"] == "a"

    operator.passes.gate.set()
    await stopping

    assert await _eventually(rest, f"/api/v1/namespaces/{namespace}/configmaps/m-v1")
    assert (await _lease(rest, namespace))["holderIdentity"] == ""


async def test_an_operator_that_starts_before_its_crds_waits_for_them(
    start: Start, namespace: str, post: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked, real = 0, Recording.call

    async def not_yet(self: Recording, request: Request) -> dict[str, Any]:
        nonlocal asked
        if request.path == f"/apis/{names.API_VERSION}" and (asked := asked + 1) <= 2:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        return await real(self, request)

    monkeypatch.setattr(Recording, "call", not_yet)
    monkeypatch.setattr(process, "_RETRY", 0.1)
    await post(model_version(namespace, "m"))
    operator = await start("a")
    await operator.passes.more_than(0)

    waits = [record.message for record in caplog.records if "install the CRDs" in record.message]
    assert len(waits) == 1


async def test_the_operators_own_metrics_are_served(start: Start, post: Any, namespace: str) -> None:
    await post(model_version(namespace, "m"))
    operator = await start("a")
    await operator.passes.more_than(0)

    _, text = await operator.answer("/metrics")

    assert 'plimsoll_reconcile_total{kind="ModelVersion",result="ok"}' in text
    assert 'plimsoll_api_requests_total{code="201",resource="configmaps",verb="POST"}' in text
    assert "plimsoll_queue_depth" in text
    assert (await operator.answer("/healthz"))[0] == 200


async def test_a_watch_whose_login_fails_ends_the_process() -> None:
    async def unreadable() -> Any:
        raise OSError("the token cannot be read")

    watch = Watch(lambda manifest, deleted: None, unreadable, ["default"])
    with pytest.raises(WatchEnded):
        async with asyncio.timeout(PATIENCE):
            await watch.run()


async def test_a_watch_that_may_not_log_in_ends_the_process(rest: Api, cluster_access: Any) -> None:
    async def nobody() -> Any:
        config = await configuration(cluster_access.context)
        config.cert_file = config.key_file = None
        config.api_key = {"BearerToken": "Bearer nobody"}
        return config

    watch = Watch(lambda manifest, deleted: None, nobody, ["default"])
    with pytest.raises(WatchEnded):
        async with asyncio.timeout(PATIENCE):
            await watch.run()


async def _lease(rest: Api, namespace: str) -> Any:
    path = LEASE.path(namespace, "plimsoll-operator")
    return (await rest.call(Request("GET", path, LEASE.plural)))["spec"]


async def _eventually(rest: Api, path: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await rest.call(Request("GET", path, "configmaps"))
            except ApiError as error:
                if error.status != 404:
                    raise
            await asyncio.sleep(0.05)
