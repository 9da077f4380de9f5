from __future__ import annotations

from typing import Any

from plimsoll.edge import lister as module
from plimsoll.edge.cache import Cache
from plimsoll.edge.lister import Lister
from plimsoll.edge.rest import Api, Request
from plimsoll.facts import Ref


async def test_a_list_finds_what_vanished_unseen_and_tells_of_it(
    rest: Api, cache: Cache, namespace: str, custom_resources: None, config_map: Any, post: Any
) -> None:
    kept, vanished = await post(config_map("kept")), await post(config_map("vanished"))
    lister = Lister(rest, cache, [namespace], lambda: 0.0)
    await lister.sync()
    heard: list[str] = []
    cache.subscribe(lambda manifest: heard.append(manifest["metadata"]["name"]))
    await rest.call(Request("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/vanished", "configmaps"))

    assert await lister.sync() == 1

    assert heard == ["vanished"]
    assert cache.get(Ref.of(vanished)) is None
    assert cache.get(Ref.of(kept)) is not None


async def test_only_managed_objects_of_builtin_kinds_are_listed(
    rest: Api, cache: Cache, namespace: str, custom_resources: None, config_map: Any, post: Any
) -> None:
    foreign = config_map("foreign")
    foreign["metadata"]["labels"] = {}
    await post(foreign)
    await post(config_map("managed"))

    await Lister(rest, cache, [namespace], lambda: 0.0).sync()

    assert [m["metadata"]["name"] for m in cache.select("v1", "ConfigMap", namespace)] == ["managed"]


async def test_a_list_in_chunks_is_whole(
    rest: Api, cache: Cache, namespace: str, custom_resources: None, config_map: Any, post: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(module, "_CHUNK", "2")
    for number in range(5):
        await post(config_map(f"cm-{number}"))

    lister = Lister(rest, cache, [namespace], lambda: 0.0)
    await lister.sync()

    assert len(cache.select("v1", "ConfigMap", namespace)) == 5
    assert lister.synced.is_set()
