"""Kinds that a cluster may lack: looked for, listed, watched while they are served, forgotten when they go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from plimsoll import addons, names
from plimsoll.addons import AddOns
from plimsoll.edge.cache import Cache
from plimsoll.edge.rest import ApiError, Request
from plimsoll.handlers import WatchEnded
from plimsoll.settings import load

from tests.unit.edge.objects import an_object

HTTP_ROUTE = (names.GATEWAY_API_VERSION, "HTTPRoute")


class ApiServer:
    """Stands in for plimsoll.edge.rest.Api: serves HTTPRoutes or not, and lists one."""

    def __init__(self) -> None:
        self.served = False
        self.refuses: ApiError | None = None
        self.refuses_sessions: ApiError | None = None
        self.asked: list[Request] = []

    async def call(self, request: Request) -> Any:
        self.asked.append(request)
        if request.verb == "POST" and self.refuses_sessions is not None:
            raise self.refuses_sessions
        if not self.served:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        if request.path == f"/apis/{names.GATEWAY_API_VERSION}":
            return {"resources": [{"name": "httproutes"}, {"name": "httproutes/status"}]}
        if self.refuses is not None:
            raise self.refuses
        return {
            "items": [an_object("HTTPRoute", "digits", 5, api_version=names.GATEWAY_API_VERSION)],
            "metadata": {"resourceVersion": "9"},
        }


class FakeWatch:
    """Runs until it is stopped or broken."""

    def __init__(self) -> None:
        self.running = 0
        self._over = asyncio.Event()
        self._broken = False

    async def run(self) -> None:
        self.running += 1
        await self._over.wait()
        self.running -= 1
        if self._broken:
            raise WatchEnded("404")

    def stop(self) -> None:
        self._over.set()

    def break_off(self) -> None:
        self._broken = True
        self._over.set()


class World:
    def __init__(self) -> None:
        self.api, self.cache, self.watches = ApiServer(), Cache(), list[FakeWatch]()
        settings = {
            "PLIMSOLL_NAMESPACE": "plimsoll-system",
            "PLIMSOLL_STORE_ENDPOINT": "http://store",
            "PLIMSOLL_STORE_ACCESS_KEY_ID": "root",
            "PLIMSOLL_STORE_SECRET_ACCESS_KEY": "unused",
        }
        self.add_ons = AddOns(self.api, self.cache, self._watch, load(settings))  # type: ignore[arg-type]

    def _watch(self, resources: Any) -> Any:
        assert [one.plural for one in resources] == ["httproutes"]
        self.watches.append(FakeWatch())
        return self.watches[-1]

    @property
    def missing(self) -> str | None:
        return self.add_ons.missing(*HTTP_ROUTE)

    @property
    def no_sessions(self) -> str | None:
        return self.add_ons.missing(*HTTP_ROUTE, names.SESSION_FIELD)

    @property
    def known(self) -> list[str]:
        return [one["metadata"]["name"] for one in self.cache.select(*HTTP_ROUTE, "demo")]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(addons, "_LOOK_SECONDS", 0.01)
    return World()


async def until(fact: Callable[[], bool]) -> None:
    for _ in range(12_000):
        if fact():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to be")


async def test_a_cluster_without_the_kind_is_told_what_to_install(world: World) -> None:
    await world.add_ons.look()
    assert world.missing is not None
    assert world.missing.startswith(
        "the cluster does not serve httproutes of gateway.networking.k8s.io/v1: install the"
    )


async def test_what_is_there_at_the_start_is_known_before_anything_is_decided(world: World) -> None:
    world.api.served = True
    await world.add_ons.look()
    assert world.missing is None
    assert world.known == ["digits"]


async def test_a_kind_that_may_not_be_listed_says_so(world: World) -> None:
    world.api.served, world.api.refuses = True, ApiError(403, "Forbidden", "httproutes is forbidden")
    await world.add_ons.look()
    assert world.missing is not None and "httproutes is forbidden" in world.missing
    world.api.refuses = None
    await world.add_ons.look()
    assert world.missing is None


async def test_whether_sessions_are_kept_is_asked_of_the_api_server_and_nothing_is_stored(world: World) -> None:
    await world.add_ons.look()
    assert [one.verb for one in world.api.asked] == ["GET"] and world.no_sessions is not None
    world.api.served = True
    world.api.refuses_sessions = ApiError(400, "BadRequest", 'strict decoding error: unknown field "spec.rules[0].…"')
    await world.add_ons.look()
    assert world.no_sessions is not None and "install the experimental channel" in world.no_sessions
    world.api.refuses_sessions = ApiError(403, "Forbidden", "httproutes is forbidden")
    await world.add_ons.look()
    assert world.no_sessions == "whether HTTPRoutes keep sessions is not known: httproutes is forbidden"
    world.api.refuses_sessions = None
    await world.add_ons.look()
    assert world.no_sessions is None
    asked = [one for one in world.api.asked if one.verb == "POST"]
    assert all((one.params or {}).get("dryRun") == "All" for one in asked) and len(asked) == 3
    assert asked[0].path == "/apis/gateway.networking.k8s.io/v1/namespaces/plimsoll-system/httproutes"


async def test_a_kind_that_comes_later_is_watched_from_then_on_and_one_that_goes_is_forgotten(world: World) -> None:
    await world.add_ons.look()
    running = asyncio.create_task(world.add_ons.run())
    await asyncio.sleep(0.05)
    assert world.watches == []
    world.api.served = True
    await until(lambda: bool(world.watches) and world.watches[0].running == 1)
    assert world.missing is None and world.known == ["digits"]
    world.api.served = False
    await until(lambda: world.watches[0].running == 0)
    assert world.missing is not None and world.known == []
    running.cancel()


async def test_a_watch_that_breaks_is_begun_anew(world: World) -> None:
    world.api.served = True
    await world.add_ons.look()
    running = asyncio.create_task(world.add_ons.run())
    await until(lambda: bool(world.watches) and world.watches[0].running == 1)
    world.watches[0].break_off()
    await until(lambda: len(world.watches) > 1 and world.watches[-1].running == 1)
    assert not running.done()
    running.cancel()
