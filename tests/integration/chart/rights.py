"""What the operator really asks of the API server: its own edge on an API that only writes down what is called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from plimsoll import names
from plimsoll.edge.cache import Cache
from plimsoll.edge.cluster import Cluster
from plimsoll.edge.events import Recorder
from plimsoll.edge.lease import Lease, Terms
from plimsoll.edge.lister import Lister
from plimsoll.edge.resources import ADD_ONS, SERVICE_ACCOUNT, WATCHED
from plimsoll.edge.rest import ApiError, Request
from plimsoll.edge.signing import load_signer
from plimsoll.edge.store import S3, StoreSettings
from plimsoll.facts import Action, AnnotatePod, Apply, Create, Delete, Manifest, Notice, Ref, Scale, WriteKey

#: Group, resource (with its subresource) and verb, as a rule of RBAC names them.
Right = tuple[str, str, str]
OWN, USERS = "plimsoll-system", "demo"
API_VERSIONS = {one.kind: one.api_version for one in (*WATCHED, *ADD_ONS, SERVICE_ACCOUNT)}
STORE = StoreSettings("http://store:7070", "http://store:7070", "http://store:7070", "us-east-1", "root", "secret")
OWNER: Manifest = {
    "apiVersion": names.API_VERSION,
    "kind": "InferenceService",
    "metadata": {"name": "digits", "namespace": USERS, "uid": "owner", "resourceVersion": "1"},
}


class RecordingApi:
    """Stands in for plimsoll.edge.rest.Api. Whatever is created is there afterwards; `calls` are (namespace, right)."""

    timeout = 5.0

    def __init__(self) -> None:
        self.calls: set[tuple[str, Right]] = set()
        self._objects: dict[str, Any] = {}

    async def call(self, request: Request) -> Any:
        namespace, name, right = parsed(request)
        self.calls.add((namespace, right))
        if request.verb == "GET" and not name:
            return {"items": [], "metadata": {"resourceVersion": "1"}}
        if request.verb == "GET" and request.path not in self._objects:
            raise ApiError(404, "NotFound", "not found")
        if request.verb == "GET":
            return self._objects[request.path]
        body = _stored(request.body)
        path = f"{request.path}/{body['metadata'].get('name')}" if request.verb == "POST" else request.path
        if request.verb == "POST" and path in self._objects:
            raise ApiError(409, "AlreadyExists", "already exists")
        if request.verb in ("POST", "PUT"):
            self._objects[path] = body
        return body


def _stored(body: Any) -> dict[str, Any]:
    body = {} if isinstance(body, list) else body  # a JSON patch
    metadata = {"name": "any", "namespace": USERS, "uid": "any", "resourceVersion": "2"} | body.get("metadata", {})
    return {**body, "metadata": metadata}


def parsed(request: Request) -> tuple[str, str, Right]:
    """Namespace and name (each empty where the path has none) and the right."""
    root, *parts = urlsplit(request.path).path.strip("/").split("/")
    group = parts[0] if root == "apis" else ""
    parts = parts[2:] if root == "apis" else parts[1:]
    namespace, parts = (parts[1], parts[2:]) if parts[0] == "namespaces" else ("", parts)
    plural, name, subresource = (*parts, "", "")[:3]
    verbs = {"GET": "get" if name else "list", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    return namespace, name, (group, f"{plural}/{subresource}" if subresource else plural, verbs[request.verb])


async def of_effects(effects: Iterable[tuple[str, str]], reads: Iterable[str]) -> set[Right]:
    """Rights for effects of passes (the verb of tests/builders/world.py, and the kind), and for live reads of kinds."""
    api = RecordingApi()
    cluster = _cluster(api)
    for verb, kind in effects:
        if verb == "status":
            await cluster.write_status(_object(kind), {})
        elif verb == "event":
            for _ in range(2):
                await cluster.notify(OWNER, Notice("Normal", "Tried", "said twice"))
        elif verb != "put":
            await cluster.act(OWNER, _action(verb, kind))
    for kind in reads:
        await cluster.get(Ref.of(_object(kind)))
    assert {namespace for namespace, _ in api.calls} == {USERS}
    return {right for _, right in api.calls}


def _cluster(api: Any) -> Cluster:
    return Cluster(api, Cache(), Recorder(api, "test", lambda: 0.0), lambda: float("inf"))


def _object(kind: str) -> dict[str, Any]:
    metadata = {"name": "one", "namespace": USERS, "uid": "one", "resourceVersion": "1"}
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata}


def _action(verb: str, kind: str) -> Action:
    manifest = _object(kind)
    ref = Ref.of(manifest)
    match verb:
        case "create" | "adopt":
            return Create(manifest, adopt=True)
        case "apply":
            return Apply(manifest, uid="one")
        case "scale":
            return Scale(ref, 1)
        case "delete":
            return Delete(ref, "one")
        case "annotate":
            return AnnotatePod(USERS, "one", names.ANNOTATION_ROUTE_EPOCH, "1")
        case "key":
            return WriteKey(ref, "one", "a.json", "{}", before="")
    raise KeyError(verb)


async def of_taking_up_what_is_there(kinds: Iterable[str]) -> set[Right]:
    """Rights to create what somebody created before: the operator looks whose it is."""
    api = RecordingApi()
    for kind in kinds:
        for _ in range(2):
            await _cluster(api).act(OWNER, Create(_object(kind), adopt=True))
    return {right for _, right in api.calls}


async def of_the_store(*, managed: bool) -> set[Right]:
    """Rights for what every namespace needs: its Secret, when the store is ours, and its ServiceAccounts."""
    api = RecordingApi()
    await S3(STORE, api, _Admin() if managed else None).ensure_namespace(USERS)  # type: ignore[arg-type]
    return {right for _, right in api.calls}


class _Admin:
    """Stands in for plimsoll.edge.store_admin.StoreAdmin, which does not speak to the API server."""

    async def create_user(self, user: str, key: str) -> None: ...

    async def create_bucket(self, bucket: str, owner: str) -> None: ...


async def of_the_process() -> set[Right]:
    """Rights in its own namespace: Lease and signing key."""
    api: Any = RecordingApi()
    lease = Lease(api, Terms(OWN, "plimsoll-operator", "pod-1"), lambda: 0.0)
    await lease.acquire()
    await lease.acquire()
    await lease.release()
    await load_signer(api, OWN)
    assert {namespace for namespace, _ in api.calls} == {OWN}
    return {right for _, right in api.calls}


async def of_watching() -> set[Right]:
    """Rights for lists, and for kopf's watches of the same."""
    api: Any = RecordingApi()
    await Lister(api, Cache(), (), lambda: 0.0, (*WATCHED, *ADD_ONS)).sync()
    return {right for _, right in api.calls} | {(group, plural, "watch") for _, (group, plural, _) in api.calls}
