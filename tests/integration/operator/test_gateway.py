"""HTTPRoutes on a real API server with the CRDs of the Gateway API. The test says what a gateway would say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient, ApiException, ApiextensionsV1Api, CustomObjectsApi
from plimsoll import names
from plimsoll.addons import AddOns
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.core import gateway, http_route
from plimsoll.core.release.observed import Gateway, Observed
from plimsoll.edge.cache import Cache
from plimsoll.edge.cluster import Cluster
from plimsoll.edge.resources import HTTP_ROUTE
from plimsoll.edge.rest import MERGE_PATCH, Api, Request, configuration
from plimsoll.facts import Apply, Create, Manifest, Ref, Settings
from plimsoll.failures import NameConflict
from plimsoll.handlers import Watch
from plimsoll.settings import load

from devcluster.build import GATEWAY, module
from devcluster.paths import Paths

PATIENCE = 120.0
CRD = "httproutes.gateway.networking.k8s.io"
REVISIONS = ("digits-r1", "digits-r2")


@pytest.fixture(scope="module")
def no_http_routes(api: ApiClient) -> None:
    """A cluster that does not serve HTTPRoutes, or these tests are not for it."""
    with_crd = [one.metadata.name for one in ApiextensionsV1Api(api).list_custom_resource_definition().items]
    if CRD in with_crd:
        pytest.skip("this cluster has the Gateway API already, and it is not ours to remove")


@pytest.fixture
async def add_ons(rest: Api, cache: Cache, cluster_access: Any, namespace: str) -> AsyncIterator[AddOns]:
    async def login() -> Any:
        return await configuration(cluster_access.context)

    def feed(manifest: Manifest, deleted: bool) -> None:
        cache.remove(manifest) if deleted else cache.put(manifest)

    install = load(
        {
            "PLIMSOLL_NAMESPACE": namespace,
            "PLIMSOLL_NAMESPACES": namespace,
            "PLIMSOLL_STORE_ENDPOINT": "http://127.0.0.1:1",
            "PLIMSOLL_STORE_ACCESS_KEY_ID": "root",
            "PLIMSOLL_STORE_SECRET_ACCESS_KEY": "unused",
        }
    )
    add_ons = AddOns(rest, cache, partial(Watch, feed, login, (namespace,)), install)
    yield add_ons
    add_ons.stop()


@dataclass(frozen=True)
class Crd:
    """The CRD of HTTPRoutes, to be put there and taken away."""

    extensions: ApiextensionsV1Api
    manifest: Manifest

    def install(self) -> None:
        """Done when it is served. It is made once: of one that is made anew the API server may be silent for long."""
        if self._there():
            return
        self.extensions.create_custom_resource_definition(self.manifest)
        self._wait(lambda: "Established" in self._true())

    def replace(self, manifest: Manifest) -> None:
        """Another CRD of this name in its place."""
        there = self.extensions.read_custom_resource_definition(CRD)
        version = {"resourceVersion": there.metadata.resource_version}
        self.extensions.replace_custom_resource_definition(CRD, manifest | {"metadata": manifest["metadata"] | version})

    def remove(self) -> None:
        """Done when it is gone, and every route with it."""
        with contextlib.suppress(ApiException):
            self.extensions.delete_custom_resource_definition(CRD)
        self._wait(lambda: not self._there())

    def _true(self) -> list[str]:
        found = self.extensions.read_custom_resource_definition(CRD)
        return [one.type for one in found.status.conditions or () if one.status == "True"]

    def _there(self) -> bool:
        return CRD in [one.metadata.name for one in self.extensions.list_custom_resource_definition().items]

    def _wait(self, fact: Callable[[], bool]) -> None:
        for _ in range(int(PATIENCE / 0.1)):
            if fact():
                return
            time.sleep(0.1)
        raise AssertionError(f"{CRD} did not come or go within {PATIENCE:.0f} s")


@pytest.fixture(scope="module")
def crd(api: ApiClient, no_http_routes: None) -> Iterator[Crd]:
    """Of the standard channel; gone at the end."""
    crd = Crd(ApiextensionsV1Api(api), _published("standard"))
    yield crd
    crd.remove()


def _published(channel: str) -> Manifest:
    """The CRD of HTTPRoutes as its makers publish it."""
    folder = module(Paths.from_environment(), GATEWAY, "sigs.k8s.io/gateway-api")
    text = (folder / f"config/crd/{channel}/gateway.networking.k8s.io_httproutes.yaml").read_text()
    found: Manifest = yaml.safe_load(text)
    return found


@pytest.fixture(scope="module")
def served(crd: Crd) -> None:
    """HTTPRoutes are served."""
    crd.install()


async def until(fact: Callable[[], Any]) -> Any:
    for _ in range(int(PATIENCE / 0.05)):
        if found := fact():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to be")


def observed(owner: Manifest, route: Manifest | None = None, **ref: Any) -> Observed:
    """What a pass knows of a service behind the Gateway `public`."""
    traffic = {"provider": "GatewayAPI", "gatewayRef": {"name": "public"} | ref}
    spec = InferenceServiceSpec.model_validate({"model": {"name": "digits"}, "traffic": traffic})
    return Observed(owner, spec, status(0), Settings(), 0.0, gateway=Gateway(route))


def status(weight: int) -> InferenceServiceStatus:
    """Two revisions, the candidate with this share."""
    stable, candidate = ({"revision": name, "version": str(n)} for n, name in enumerate(REVISIONS, 1))
    fields = {"phase": "Analyzing", "primary": REVISIONS[0], "stable": stable, "candidate": candidate, "weight": weight}
    return InferenceServiceStatus.model_validate(fields | {"epoch": 2, "attempt": 2})


async def say(rest: Api, route: Manifest, conditions: dict[str, str]) -> None:
    """What a gateway's controller writes into the status of a route."""
    meta = route["metadata"]
    generation, at = meta["generation"], "2026-11-27T00:00:00Z"
    said = [
        {"type": kind, "status": value, "reason": "Said", "message": "by the test"}
        | {"observedGeneration": generation, "lastTransitionTime": at}
        for kind, value in conditions.items()
    ]
    parent = {"parentRef": route["spec"]["parentRefs"][0], "controllerName": "example.org/gateway", "conditions": said}
    path = HTTP_ROUTE.path(meta["namespace"], meta["name"], "status")
    body = {"status": {"parents": [parent]}}
    await rest.call(Request("PATCH", path, HTTP_ROUTE.plural, body, content_type=MERGE_PATCH))


async def test_routes_are_watched_from_when_they_are_served(
    add_ons: AddOns, cache: Cache, cluster: Cluster, owner: Manifest, crd: Crd, api: ApiClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("plimsoll.addons._LOOK_SECONDS", 0.3)
    kind = (HTTP_ROUTE.api_version, HTTP_ROUTE.kind)
    await add_ons.look()
    assert "install the CRDs of the Gateway API" in (add_ons.missing(*kind) or "")
    running = asyncio.create_task(add_ons.run())
    await asyncio.to_thread(crd.install)
    await until(lambda: add_ons.missing(*kind) is None)
    made = await cluster.act(owner, Create(http_route.manifest(observed(owner), status(10), _ref(owner))))
    assert made is not None
    namespace = owner["metadata"]["namespace"]
    custom = CustomObjectsApi(api)
    where = (names.GATEWAY_GROUP, "v1", namespace, "httproutes", made["metadata"]["name"])
    custom.patch_namespaced_custom_object(*where, {"metadata": {"annotations": {"example.org/seen": "yes"}}})

    def seen() -> bool:
        found = cache.select(*kind, namespace)
        return bool(found) and found[0]["metadata"].get("annotations", {}).get("example.org/seen") == "yes"

    await until(seen)
    running.cancel()


async def test_weights_are_written_once_and_count_once_the_gateway_has_taken_them(
    served: None, cluster: Cluster, owner: Manifest, rest: Api
) -> None:
    everything = {"hostnames": ("a.example.com",), "sectionName": "web", "armHeader": "x-arm"}
    seen = observed(owner, **everything)
    ref = Ref(HTTP_ROUTE.api_version, HTTP_ROUTE.kind, seen.namespace, seen.name)
    await cluster.act(owner, Create(_wanted(seen, status(10))))
    made = await cluster.get(ref)
    assert made is not None and made["metadata"]["generation"] == 1
    seen = observed(owner, made, **everything)
    assert gateway.wanted(seen, status(10)) is None  # what the API server adds is no difference
    assert not gateway.followed(seen, status(10))

    await say(rest, made, {"Accepted": "True", "ResolvedRefs": "True"})
    made = await cluster.get(ref)
    seen = observed(owner, made, **everything)
    assert gateway.followed(seen, status(10))

    # All of it back, in one write; and without the hosts, that only an apply of the empty list takes away.
    assert made is not None
    back = status(0).model_copy(update={"phase": "RollingBack"})
    seen = observed(owner, made)
    await cluster.act(owner, Apply(_wanted(seen, back), made["metadata"]["uid"], made["metadata"]["resourceVersion"]))
    made = await cluster.get(ref)
    assert made is not None and made["metadata"]["generation"] == 2
    assert [one["weight"] for one in made["spec"]["rules"][0]["backendRefs"]] == [100, 0]
    assert not made["spec"].get("hostnames")
    seen = observed(owner, made)
    assert gateway.wanted(seen, back) is None
    assert not gateway.followed(seen, back)  # what was said of generation 1 is still there

    await say(rest, made, {"Accepted": "True", "ResolvedRefs": "False"})
    refused = gateway.refusal(observed(owner, await cluster.get(ref)), back)
    assert refused is not None and refused.message.endswith("HTTPRoute " + seen.name + ": Said: by the test")


async def test_whether_sessions_are_kept_is_what_the_api_server_says_of_its_channel(
    crd: Crd, served: None, add_ons: AddOns, cluster: Cluster, owner: Manifest
) -> None:
    session = (HTTP_ROUTE.api_version, HTTP_ROUTE.kind, names.SESSION_FIELD)
    await add_ons.look()
    assert "install the experimental channel" in (add_ons.missing(*session) or "")
    await asyncio.to_thread(crd.replace, _published("experimental"))
    for _ in range(int(PATIENCE / 0.2)):
        await add_ons.look()
        if add_ons.missing(*session) is None:
            break
        await asyncio.sleep(0.2)
    assert add_ons.missing(*session) is None
    kept = {"session": {"type": "Cookie", "name": "digits"}}
    seen = observed(owner, **kept)
    await cluster.act(owner, Create(_wanted(seen, status(10))))
    made = await cluster.get(Ref(HTTP_ROUTE.api_version, HTTP_ROUTE.kind, seen.namespace, seen.name))
    assert made is not None and made["spec"]["rules"][0]["sessionPersistence"]["sessionName"] == "digits"
    assert gateway.wanted(observed(owner, made, **kept), status(10)) is None  # what it adds is no difference


async def test_a_route_of_somebody_else_is_a_name_conflict(
    served: None, cluster: Cluster, owner: Manifest, api: ApiClient
) -> None:
    theirs = {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": {"name": owner["metadata"]["name"]},
        "spec": {"parentRefs": [{"name": "theirs"}]},
    }
    where = (names.GATEWAY_GROUP, "v1", owner["metadata"]["namespace"], "httproutes")
    CustomObjectsApi(api).create_namespaced_custom_object(*where, theirs)
    with pytest.raises(NameConflict):
        await cluster.act(owner, Create(_wanted(observed(owner), status(10))))


async def test_when_they_are_served_no_more_all_are_forgotten_and_the_operator_goes_on(
    served: None, add_ons: AddOns, cache: Cache, cluster: Cluster, owner: Manifest, crd: Crd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("plimsoll.addons._LOOK_SECONDS", 0.3)
    kind = (HTTP_ROUTE.api_version, HTTP_ROUTE.kind)
    await add_ons.look()
    running = asyncio.create_task(add_ons.run())
    await cluster.act(owner, Create(_wanted(observed(owner), status(10))))
    assert cache.select(*kind, owner["metadata"]["namespace"])
    await asyncio.to_thread(crd.remove)
    await until(lambda: add_ons.missing(*kind) is not None)
    assert cache.select(*kind, owner["metadata"]["namespace"]) == []
    assert not running.done()
    running.cancel()


def _ref(owner: Manifest) -> Any:
    found = gateway.reference(observed(owner))
    assert found is not None
    return found


def _wanted(seen: Observed, wanted: InferenceServiceStatus) -> Manifest:
    found = gateway.wanted(seen, wanted)
    assert found is not None
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]
