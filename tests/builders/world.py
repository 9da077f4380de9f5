"""A world in memory for whole passes: an API server with a cache that may lag, a store, a signer and a clock.

    world = FakeWorld()
    ref = world.cluster.add(manifest)
    await reconcile(world.ports, ref)

Everything is copied in and out, and must be JSON. Each effect (`Effect`) is written into `world.effects`. Faults are
set by `world.crash_after(k)` (the k-th effect from now is done, then the process dies), `world.lose(k)` (it is not
done) and `world.drop_answer(k)` (it is done, but the caller is told that it was not).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from plimsoll.converge.ports import Conflict, NameConflict, Sources, Unavailable, World
from plimsoll.core.conditions import timestamp
from plimsoll.core.release.observed import Inputs, Watched
from plimsoll.facts import (
    Action,
    AnnotatePod,
    Apply,
    Create,
    Delete,
    Manifest,
    Notice,
    PodInputs,
    PutObject,
    Ref,
    Sample,
    Scale,
    Settings,
    WriteKey,
)

#: 2026-11-22T12:00:00Z
NOON = 1795348800.0


class Crash(Exception):
    """The process died."""


@dataclass(frozen=True)
class Effect:
    """One write: `verb` is create, adopt, apply, scale, delete, annotate, key, status, event, put or ensure."""

    verb: str
    target: str
    detail: Any = None


class Faults:
    """Counts effects and lets one of them go wrong."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self._left = 0
        self._done = False
        self._error: Exception | None = None

    def arm(self, k: int, error: Exception, *, done: bool) -> None:
        """Raise `error` at the k-th effect from now, before or after it is done."""
        self._left, self._error, self._done = k, error, done

    def disarm(self) -> None:
        """Nothing goes wrong any more."""
        self._error = None

    def about_to(self) -> None:
        """Call before an effect."""
        if self._error is not None:
            self._left -= 1
            if self._left == 0 and not self._done:
                self._strike()

    def did(self, effect: Effect) -> None:
        """Call after an effect."""
        self.effects.append(effect)
        if self._error is not None and self._left == 0 and self._done:
            self._strike()

    def _strike(self) -> None:
        error, self._error = self._error, None
        assert error is not None
        raise error


@dataclass
class FakeCluster:
    """Implements `plimsoll.converge.ports.Cluster`."""

    faults: Faults
    now: Callable[[], float]
    objects: dict[Ref, dict[str, Any]] = field(default_factory=dict)
    notices: list[tuple[str, Notice]] = field(default_factory=list)
    refusals: dict[str, Exception] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    _snapshot: dict[Ref, dict[str, Any]] | None = None
    _version: int = 0

    # --- for tests ----------------------------------------------------------------------------------------------------

    def add(self, manifest: Manifest) -> Ref:
        """Store an object as a user, a controller or kubelet would; missing metadata are filled in."""
        stored = _copied(manifest)
        ref = Ref.of(stored)
        meta = stored["metadata"]
        self._version += 1
        meta.setdefault("uid", f"uid-{ref.kind.lower()}-{ref.name}-{self._version}")
        meta.setdefault("generation", 1)
        meta.setdefault("creationTimestamp", timestamp(self.now()))
        meta["resourceVersion"] = str(self._version)
        self.objects[ref] = stored
        return ref

    def read(self, ref: Ref) -> dict[str, Any]:
        """The object as it is. KeyError when there is none."""
        return copy.deepcopy(self.objects[ref])

    def edit(self, ref: Ref, change: Callable[[dict[str, Any]], None], *, spec: bool = True) -> None:
        """Change an object in place; a change of the spec raises its generation."""
        self._version += 1
        stored = self.objects[ref]
        change(stored)
        stored["metadata"]["resourceVersion"] = str(self._version)
        if spec:
            stored["metadata"]["generation"] += 1

    def remove(self, ref: Ref) -> None:
        """Delete an object and, as the garbage collector does, what it owns."""
        gone = self.objects.pop(ref, None)
        if gone is None:
            return
        uid = gone["metadata"]["uid"]
        for other in [one for one, body in self.objects.items() if _controller(body) == uid]:
            self.remove(other)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Objects of a kind, ordered by name."""
        found = [body for ref, body in self.objects.items() if ref.kind == kind]
        return copy.deepcopy(sorted(found, key=lambda body: body["metadata"]["name"]))

    def hold_cache(self) -> None:
        """From now on `cached` answers with what is there now, whatever happens."""
        self._snapshot = copy.deepcopy(self.objects)

    def catch_up(self) -> None:
        """The cache follows again."""
        self._snapshot = None

    def refuse(self, kind: str, error: Exception) -> None:
        """Creating this kind fails until `refusals` is cleared."""
        self.refusals[kind] = error

    # --- the port -----------------------------------------------------------------------------------------------------

    def cached(
        self, api_version: str, kind: str, namespace: str, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        objects = self.objects if self._snapshot is None else self._snapshot
        wanted = (labels or {}).items()
        found = [
            body
            for ref, body in objects.items()
            if (ref.api_version, ref.kind, ref.namespace) == (api_version, kind, namespace)
            and wanted <= (body["metadata"].get("labels") or {}).items()
        ]
        return copy.deepcopy(sorted(found, key=lambda body: body["metadata"]["name"]))

    def missing(self, api_version: str, kind: str, field: str = "") -> str | None:
        return self.absent.get(f"{kind}.{field}" if field else kind)

    async def get(self, ref: Ref) -> Manifest | None:
        return copy.deepcopy(self.objects.get(ref))

    async def act(self, owner: Manifest, action: Action) -> Manifest | None:
        self.faults.about_to()
        verb, ref, detail = self._perform(owner, action)
        self.faults.did(Effect(verb, f"{ref.kind} {ref.name}", detail))
        return copy.deepcopy(self.objects.get(ref))

    async def write_status(self, owner: Manifest, status: Mapping[str, Any]) -> Manifest:
        self.faults.about_to()
        ref = Ref.of(owner)
        stored = self.objects.get(ref)
        if stored is None or stored["metadata"]["resourceVersion"] != owner["metadata"]["resourceVersion"]:
            raise Conflict(f"{ref.kind} {ref.name}")
        self.edit(ref, lambda body: body.update(status=_copied(status)), spec=False)
        self.faults.did(Effect("status", f"{ref.kind} {ref.name}", _copied(status)))
        return copy.deepcopy(self.objects[ref])

    async def notify(self, owner: Manifest, notice: Notice) -> None:
        self.faults.about_to()
        self.notices.append((owner["metadata"]["name"], notice))
        self.faults.did(Effect("event", f"{owner['kind']} {owner['metadata']['name']}", notice))

    def _perform(self, owner: Manifest, action: Action) -> tuple[str, Ref, Any]:
        match action:
            case Create(manifest, adopt):
                return self._create(owner, manifest, adopt)
            case Apply(manifest, uid, version):
                return "apply", self._apply(manifest, uid, version), _copied(manifest)
            case Scale(ref, replicas):
                self.edit(ref, lambda body: body["spec"].update(replicas=replicas))
                return "scale", ref, replicas
            case Delete(ref, uid):
                if ref in self.objects and self.objects[ref]["metadata"]["uid"] == uid:
                    self.remove(ref)
                return "delete", ref, uid
            case AnnotatePod(namespace, pod, annotation, value):
                ref = Ref("v1", "Pod", namespace, pod)
                self.edit(
                    ref,
                    lambda body: body["metadata"].setdefault("annotations", {}).update({annotation: value}),
                    spec=False,
                )
                return "annotate", ref, value
            case WriteKey():
                return "key", self._write_key(action), {action.key: action.value}
            case PutObject():
                raise AssertionError("objects of the store are put into the store")

    def _create(self, owner: Manifest, manifest: Manifest, adopt: bool) -> tuple[str, Ref, Any]:
        ref = Ref.of(manifest)
        if ref.kind in self.refusals:
            raise self.refusals[ref.kind]
        existing = self.objects.get(ref)
        if existing is None:
            stored = _copied(manifest)
            if not adopt and _controller(stored) is None:
                stored["metadata"]["ownerReferences"] = [_reference(owner)]
            self.add(stored)
            return "create", ref, _copied(manifest)
        if not adopt and _controller(existing) != owner["metadata"]["uid"]:
            raise NameConflict(ref)
        return "adopt", ref, _copied(manifest)

    def _apply(self, manifest: Manifest, uid: str, version: str | None) -> Ref:
        ref = Ref.of(manifest)
        stored = self.objects.get(ref)
        if stored is None or stored["metadata"]["uid"] != uid:
            raise Conflict(f"{ref.kind} {ref.name} is another object")
        if version is not None and stored["metadata"]["resourceVersion"] != version:
            raise Conflict(f"{ref.kind} {ref.name}")
        self.edit(ref, lambda body: _merge(body, _copied(manifest)))
        return ref

    def _write_key(self, action: WriteKey) -> Ref:
        stored = self.objects.get(action.ref)
        if stored is None or stored["metadata"]["uid"] != action.uid:
            raise Conflict(f"{action.ref.name} is another object")
        if action.before is None and stored["metadata"]["resourceVersion"] != action.resource_version:
            raise Conflict(f"{action.ref.name} changed")
        if action.before is not None and stored["data"].get(action.key) != action.before:
            raise Conflict(f"{action.key} changed")
        data = {key: text for key, text in stored["data"].items() if key != action.key}
        data |= {} if action.value is None else {action.key: action.value}
        self.edit(action.ref, lambda body: body.update(data=data), spec=False)
        return action.ref


@dataclass
class FakeStore:
    """Implements `plimsoll.converge.ports.Store`. `down` makes every call fail."""

    faults: Faults
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    ensured: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    down: str | None = None

    async def ensure_namespace(self, namespace: str) -> None:
        self._available()
        self.ensured.append(namespace)

    async def read(self, namespace: str, key: str) -> bytes | None:
        self._available()
        self.reads.append(key)
        return self.objects.get((namespace, key))

    async def put_if_absent(self, namespace: str, key: str, body: bytes) -> bool:
        self._available()
        self.faults.about_to()
        written = (namespace, key) not in self.objects
        self.objects.setdefault((namespace, key), body)
        self.faults.did(Effect("put", key, written))
        return written

    def _available(self) -> None:
        if self.down:
            raise Unavailable(self.down)


@dataclass(frozen=True)
class FakeSigner:
    """Implements `plimsoll.converge.ports.Signer` with a keyed hash."""

    key: str = "test"

    def sign(self, digest: str) -> Mapping[str, str]:
        return {
            "signedBy": f"ed25519:{self.key}",
            "signature": hashlib.sha256(f"{self.key}{digest}".encode()).hexdigest(),
        }

    def verify(self, digest: str, provenance: Mapping[str, str]) -> bool:
        return dict(provenance) == dict(self.sign(digest))


@dataclass
class FakeMetrics:
    """Implements `plimsoll.converge.ports.Metrics`: hands out `samples` in order, then repeats the last one."""

    samples: list[Sample] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)

    async def inputs(self, pods: Sequence[Manifest]) -> Sequence[PodInputs]:
        return ()

    async def sample(self, namespace: str, pods: Sequence[Manifest]) -> Sample:
        self.asked.append([pod["metadata"]["name"] for pod in pods])
        if not self.samples:
            return Sample(at=NOON, pods=(), absent={pod["metadata"]["name"]: "no sample was prepared" for pod in pods})
        return self.samples.pop(0) if len(self.samples) > 1 else self.samples[0]


class FakeWorld:
    """The ports together; `ports` is what a pass gets. `time` is Unix seconds and moves only by `tick`."""

    def __init__(self, *, settings: Settings | None = None, time: float = NOON) -> None:
        self.time = time
        self.faults = Faults()
        self.cluster = FakeCluster(self.faults, lambda: self.time)
        self.store = FakeStore(self.faults)
        self.signer = FakeSigner()
        self.metrics = FakeMetrics()
        self.sources: Sources | None = None
        self.settings = settings or Settings()
        self.watched: dict[Ref, Watched] = {}
        self.remembered_inputs: dict[Ref, Inputs] = {}

    @property
    def ports(self) -> World:
        ports = (self.cluster, self.metrics, self.store, self.signer, self.settings)
        return World(*ports, lambda: self.time, self.watched, self.sources, self.remembered_inputs)

    @property
    def effects(self) -> list[Effect]:
        return self.faults.effects

    @property
    def writes(self) -> list[Effect]:
        """The effects that changed something: not the creation of what was there."""
        return [effect for effect in self.effects if effect.verb != "adopt" and effect.detail is not False]

    def tick(self, seconds: float) -> None:
        self.time += seconds

    def upgraded(self, **settings: Any) -> None:
        """Another release of the operator takes over."""
        self.settings = replace(self.settings, **settings)

    def crash_after(self, k: int) -> None:
        """The process dies when the k-th effect from now is done."""
        self.faults.arm(k, Crash(), done=True)

    def lose(self, k: int = 1, error: Exception | None = None) -> None:
        """The k-th effect from now is not done."""
        self.faults.arm(k, error or Unavailable("time-out"), done=False)

    def drop_answer(self, k: int = 1, error: Exception | None = None) -> None:
        """The k-th effect from now is done, but the caller is told that it was not."""
        self.faults.arm(k, error or Unavailable("time-out"), done=True)

    def state(self) -> dict[str, Any]:
        """Everything that lasts, without what differs from run to run: UIDs, versions and times."""
        objects = {
            f"{ref.kind} {ref.namespace}/{ref.name}": _lasting(body) for ref, body in self.cluster.objects.items()
        }
        stored = {f"{namespace}/{key}": body.decode() for (namespace, key), body in self.store.objects.items()}
        return {"objects": objects, "store": stored}


_FLEETING = {
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "lastTransitionTime",
    "startedAt",
    "finishedAt",
    "verifiedAt",
}


def _lasting(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _lasting(one) for key, one in value.items() if key not in _FLEETING}
    return [_lasting(one) for one in value] if isinstance(value, list | tuple) else value


def _copied(manifest: Mapping[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(manifest, allow_nan=False))
    return copied


def _controller(body: Manifest) -> str | None:
    references = body["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in references if one.get("controller")), None)


def _reference(owner: Manifest) -> dict[str, Any]:
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }


def _merge(body: dict[str, Any], change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, Mapping) and isinstance(body.get(key), dict):
            _merge(body[key], value)
        else:
            body[key] = value
