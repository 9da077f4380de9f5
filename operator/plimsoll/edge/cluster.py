"""ports.Cluster on the real API server: cached and live reads, guarded effects.

Every effect first asks the guard whether the lease lasts longer than a request may take. What the API server answers
goes into the cache at once, so that the next pass reads what this one wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plimsoll.edge.cache import Cache, controller_of
from plimsoll.edge.events import Recorder
from plimsoll.edge.resources import path_of, resource_of
from plimsoll.edge.rest import APPLY_PATCH, JSON, JSON_PATCH, MERGE_PATCH, Api, ApiError, Json, Request
from plimsoll.edge.telemetry import count_transitions
from plimsoll.facts import (
    Action,
    AnnotatePod,
    Apply,
    Create,
    Delete,
    Manifest,
    Notice,
    PutObject,
    Ref,
    Scale,
    WriteKey,
)
from plimsoll.failures import Conflict, NameConflict, Refused, Unavailable
from plimsoll.names import FIELD_MANAGER

_MANAGER = {"fieldManager": FIELD_MANAGER}


def _all_there(api_version: str, kind: str, field: str = "") -> str | None:
    return None


class Cluster:
    """`lease_left` says for how many seconds we may surely act, `missing` why an add-on's kind is not there."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        recorder: Recorder,
        lease_left: Callable[[], float],
        missing: Callable[[str, str, str], str | None] = _all_there,
    ) -> None:
        self._api = api
        self._missing = missing
        self._cache = cache
        self._recorder = recorder
        self._lease_left = lease_left

    def cached(
        self, api_version: str, kind: str, namespace: str, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """Objects of a kind from the watch cache, filtered by equality of labels, ordered by name."""
        return self._cache.select(api_version, kind, namespace, labels)

    def missing(self, api_version: str, kind: str, field: str = "") -> str | None:
        """Why there can be no object of an add-on's kind, or none with this field, with the remedy; None: there can."""
        return self._missing(api_version, kind, field)

    async def get(self, ref: Ref) -> Manifest | None:
        """The object as the API server has it now; None when there is none. Raises Refused or Unavailable."""
        found = await self._send(ref, "GET", path_of(ref))
        return {"apiVersion": ref.api_version, "kind": ref.kind, **found} if found is not None else None

    async def act(self, owner: Manifest, action: Action) -> Manifest | None:
        """Carry out one action for `owner`. Raises Conflict, NameConflict, Refused or Unavailable."""
        self._guard()
        match action:
            case Create():
                return await self._create(owner, action)
            case Apply():
                return await self._apply(owner, action)
            case Scale(ref=ref, replicas=replicas):
                await self._write(ref, "PATCH", path_of(ref, "scale"), {"spec": {"replicas": replicas}}, MERGE_PATCH)
            case Delete():
                await self._delete(action)
            case AnnotatePod():
                return await self._annotate(action)
            case WriteKey():
                return await self._write_key(action)
            case PutObject():
                raise TypeError("an object of the store is the store's to write")
        return None

    async def write_status(self, owner: Manifest, status: Mapping[str, Any]) -> Manifest:
        """Replace the status, guarded by the owner's resourceVersion. Raises Conflict, Refused or Unavailable."""
        self._guard()
        ref = Ref.of(owner)
        body = {**owner, "status": {key: value for key, value in status.items() if value is not None}}
        written = self._keep(ref, await self._write(ref, "PUT", path_of(ref, "status"), body))
        count_transitions(owner, written)
        return written

    async def notify(self, owner: Manifest, notice: Notice) -> None:
        """Record an Event and an audit line. An Event that cannot be posted is logged: it is news, not state."""
        self._guard()
        await self._recorder.record(owner, notice)

    async def _create(self, owner: Manifest, action: Create) -> Manifest:
        manifest = action.manifest if action.adopt else owned_by(owner, action.manifest)
        ref = Ref.of(manifest)
        resource = resource_of(ref.api_version, ref.kind)
        request = Request("POST", resource.path(ref.namespace), resource.plural, manifest, _MANAGER)
        try:
            return self._keep(ref, await self._api.call(request))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise _failure(ref, error) from error
        live = await self.get(ref)
        if live is None:
            raise Conflict(f"{ref.kind} {ref.name} was there and is gone")
        if not action.adopt and (controller_of(live) or {}).get("uid") != owner["metadata"]["uid"]:
            raise NameConflict(ref)
        return self._keep(ref, live)

    async def _apply(self, owner: Manifest, action: Apply) -> Manifest:
        """What the manifest leaves out stays as Create made it: creating is not applying to the API server."""
        if not action.uid:
            raise ValueError("an Apply without the UID of its object could take over somebody else's")
        manifest = owned_by(owner, action.manifest)
        guard = {"uid": action.uid} | ({"resourceVersion": action.resource_version} if action.resource_version else {})
        manifest["metadata"] |= guard
        ref = Ref.of(manifest)
        resource = resource_of(ref.api_version, ref.kind)
        path = resource.path(ref.namespace, ref.name)
        request = Request("PATCH", path, resource.plural, manifest, _MANAGER | {"force": "true"}, APPLY_PATCH)
        try:
            return self._keep(ref, await self._api.call(request))
        except ApiError as error:
            # Another object has the name now: the API server says that its UID cannot be changed.
            if error.status == 422 and "metadata.uid" in str(error):
                raise Conflict(f"{ref.kind} {ref.name} is another object than the one that was planned for") from error
            raise _failure(ref, error) from error

    async def _annotate(self, action: AnnotatePod) -> Manifest | None:
        """None when the pod is gone."""
        ref = Ref("v1", "Pod", action.namespace, action.pod)
        body = {"metadata": {"annotations": {action.annotation: action.value}}}
        found = await self._send(ref, "PATCH", path_of(ref), body, MERGE_PATCH)
        return None if found is None else self._keep(ref, found)

    async def _write_key(self, action: WriteKey) -> Manifest:
        """A JSON patch: only its own key is compared and written, so that other keys' writers are in nobody's way."""
        ref, plural = action.ref, resource_of(action.ref.api_version, action.ref.kind).plural
        request = Request("PATCH", path_of(ref), plural, _key_patch(action), _MANAGER, JSON_PATCH)
        try:
            return self._keep(ref, await self._api.call(request))
        except ApiError as error:
            # A test of the patch that does not hold is answered 422, too.
            if error.status == 422:
                raise Conflict(f"{ref.kind} {ref.name}: {action.key} changed meanwhile: {error}") from error
            raise _failure(ref, error) from error

    async def _delete(self, action: Delete) -> None:
        """Gone already, or replaced by another object of that name: done."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": action.uid}}
        ref = action.ref
        request = Request("DELETE", path_of(ref), resource_of(ref.api_version, ref.kind).plural, body)
        try:
            await self._api.call(request)
        except ApiError as error:
            if error.status not in (404, 409):
                raise _failure(ref, error) from error

    async def _write(self, ref: Ref, verb: str, path: str, body: Any, content_type: str = JSON) -> Json:
        found = await self._send(ref, verb, path, body, content_type)
        if found is None:
            raise Conflict(f"{ref.kind} {ref.name} is gone")
        return found

    async def _send(self, ref: Ref, verb: str, path: str, body: Any = None, content_type: str = JSON) -> Json | None:
        """None for 404."""
        params = None if verb == "GET" else _MANAGER
        plural = resource_of(ref.api_version, ref.kind).plural
        try:
            return await self._api.call(Request(verb, path, plural, body, params, content_type))
        except ApiError as error:
            if error.status == 404:
                return None
            raise _failure(ref, error) from error

    def _keep(self, ref: Ref, answer: Mapping[str, Any]) -> Manifest:
        manifest = {"apiVersion": ref.api_version, "kind": ref.kind, **answer}
        self._cache.put(manifest)
        return manifest

    def _guard(self) -> None:
        if self._lease_left() <= self._api.timeout:
            raise Unavailable("the Lease is not ours for long enough to act")


def _key_patch(action: WriteKey) -> list[dict[str, Any]]:
    path = f"/data/{action.key}"
    tests = [{"op": "test", "path": "/metadata/uid", "value": action.uid}]
    if action.before is not None:
        tests.append({"op": "test", "path": path, "value": action.before})
    else:
        tests.append({"op": "test", "path": "/metadata/resourceVersion", "value": action.resource_version})
    if action.value is None:
        return [*tests, {"op": "remove", "path": path}]
    return [*tests, {"op": "add", "path": path, "value": action.value}]


def owned_by(owner: Manifest, manifest: Manifest) -> dict[str, Any]:
    """`manifest` with `owner` as its controller. Deleting the owner never waits for the child."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [reference]}}


def _failure(ref: Ref, error: ApiError) -> Exception:
    """409 is a lost race; a namespace that goes or a missing one is too: the next pass finds the owner gone."""
    if error.status in (404, 409):
        return Conflict(str(error))
    if error.status == 401:
        return Unavailable(f"API server: not logged in: {error}")
    return Refused(ref, str(error))
