"""Which objects of ours a change concerns: each of them gets a pass. Rather one pass too many than one too few."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plimsoll import names
from plimsoll.edge.cache import Cache, controller_of
from plimsoll.facts import Manifest, Ref


def concerned(cache: Cache, changed: Manifest) -> frozenset[Ref]:
    """The object itself when it is ours, its owners of ours, and what looks at it."""
    return frozenset(
        (
            *_itself(changed),
            *_owners(cache, changed),
            *_labelled(changed),
            *_pooled(cache, changed),
            *_lookers(cache, changed),
        )
    )


def _itself(changed: Manifest) -> Iterator[Ref]:
    if changed["apiVersion"] == names.API_VERSION:
        yield Ref.of(changed)


def _owners(cache: Cache, changed: Manifest) -> Iterator[Ref]:
    """Up the chain of controllers: a pod of a Job of ours concerns the owner of the Job."""
    current: Manifest | None = changed
    while current is not None and (owner := controller_of(current)) is not None:
        if owner["apiVersion"] == names.API_VERSION:
            yield _ours(owner["kind"], _namespace(changed), owner["name"])
        current = cache.by_uid(owner["uid"])


def _labelled(changed: Manifest) -> Iterator[Ref]:
    """Pods of a Deployment hang on a ReplicaSet, which is not watched: their labels name the owner."""
    labels = changed["metadata"].get("labels") or {}
    if changed["apiVersion"] == names.API_VERSION or labels.get(names.LABEL_MANAGED_BY) != names.FIELD_MANAGER:
        return
    if service := labels.get(names.LABEL_INFERENCE_SERVICE):
        yield _ours("InferenceService", _namespace(changed), service)
    if job := labels.get(names.LABEL_TRAINING_JOB):
        yield _ours("TrainingJob", _namespace(changed), job)


def _pooled(cache: Cache, changed: Manifest) -> Iterator[Ref]:
    """What a pool is made of concerns the pool, and those of its services that wait for it."""
    labels, namespace = changed["metadata"].get("labels") or {}, _namespace(changed)
    if labels.get(names.LABEL_COMPONENT) == "pool" and (pool := labels.get(names.LABEL_POOL)):
        yield _ours("ServingPool", namespace, pool)
        yield from _refs(one for one in _members(cache, namespace, pool) if _has_to_look(one, changed))


def _members(cache: Cache, namespace: str, pool: str) -> Iterator[Manifest]:
    services = cache.select(names.API_VERSION, "InferenceService", namespace)
    return (one for one in services if _pool(one) == pool)


def _has_to_look(service: Manifest, changed: Manifest) -> bool:
    """Of hundreds of services only those in motion, and those whose key of the pool's ConfigMap is not theirs.

    Whether the pool has ready pods at all concerns everybody: that is a change of the ServingPool's own status.
    """
    status = service.get("status") or {}
    if status.get("candidate") or status.get("followedEpoch", 0) < status.get("epoch", 0) or not status:
        return True
    if changed["kind"] != "ConfigMap":
        return False
    text = (changed.get("data") or {}).get(f"{service['metadata']['name']}.json", "")
    return f'"epoch": {status.get("epoch", 0)},' not in text


def _lookers(cache: Cache, changed: Manifest) -> Iterator[Ref]:
    """Versions and services look at each other, pools and services too; a gate looks at the service it compares to,
    and a service at those that go first."""
    if changed["apiVersion"] != names.API_VERSION:
        return
    namespace, spec = _namespace(changed), changed.get("spec") or {}
    if changed["kind"] == "ModelVersion":
        services = cache.select(names.API_VERSION, "InferenceService", namespace)
        yield from _refs(m for m in services if _model(m) == spec.get("model"))
        if job := (spec.get("lineage") or {}).get("trainingJob"):
            yield _ours("TrainingJob", namespace, job)
    if changed["kind"] == "ServingPool":
        yield from _refs(_members(cache, namespace, changed["metadata"]["name"]))
    if changed["kind"] == "InferenceService":
        if pool := _pool(changed):
            yield _ours("ServingPool", namespace, pool)
        versions = cache.select(names.API_VERSION, "ModelVersion", namespace)
        yield from _refs(m for m in versions if (m.get("spec") or {}).get("model") == _model(changed))
        jobs = cache.select(names.API_VERSION, "TrainingJob", namespace)
        yield from _refs(m for m in jobs if changed["metadata"]["name"] in _champions(m))
        services = cache.select(names.API_VERSION, "InferenceService", namespace)
        yield from _refs(m for m in services if changed["metadata"]["name"] in _predecessors(m))


def _pool(service: Manifest) -> Any:
    return (((service.get("spec") or {}).get("runtime") or {}).get("pool") or {}).get("name")


def _model(service: Manifest) -> Any:
    return ((service.get("spec") or {}).get("model") or {}).get("name")


def _champions(job: Manifest) -> set[str]:
    gates: Iterable[Mapping[str, Any]] = (job.get("spec") or {}).get("gates") or ()
    return {(gate.get("comparedTo") or {}).get("inferenceService", "") for gate in gates}


def _predecessors(service: Manifest) -> Iterable[str]:
    return ((service.get("spec") or {}).get("release") or {}).get("after") or ()


def _refs(manifests: Iterable[Manifest]) -> Iterator[Ref]:
    return (Ref.of(manifest) for manifest in manifests)


def _ours(kind: str, namespace: str, name: str) -> Ref:
    return Ref(names.API_VERSION, kind, namespace, name)


def _namespace(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", ""))
