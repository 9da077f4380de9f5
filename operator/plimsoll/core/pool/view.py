"""How a service of a pool looks to its release: as if each of its revisions had the pool's pods for its own.

The release asks how many pods of a revision are ready, which epoch they follow and what they counted. In a pool each
pod answers that for every revision that it knows, so the same release judges, promotes and takes back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from plimsoll import names
from plimsoll.core import route
from plimsoll.core.pool.template import object_name
from plimsoll.core.release.observed import Observed, Pool, Trouble, is_ready, pod_trouble
from plimsoll.facts import Manifest, ModelState


def key_of(service: str) -> str:
    """The service's key in the pool's ConfigMap, and the name of its file in the pods."""
    return f"{service}.json"


def revisions(observed: Observed) -> tuple[str, ...]:
    """The revisions that the pods are asked about or keep, the stable one first."""
    status = observed.status
    named = [one.revision for one in (status.stable, status.candidate) if one is not None]
    return tuple(dict.fromkeys((*named, *(one.revision for one in status.retiring))))


def as_seen(observed: Observed) -> Observed:
    """With pods and a Deployment for each revision, the document where the route is looked for, and what is wrong."""
    pool = observed.pool
    assert pool is not None
    wanted = revisions(observed)
    text = ((pool.config_map or {}).get("data") or {}).get(key_of(observed.name))
    maps = dict(observed.config_maps)
    if text is not None:
        maps[route.name(observed.name)] = {"data": {names.ROUTE_KEY: text}}
    pods = {revision: tuple(_pod_of(observed, pod, revision) for pod in pool.pods) for revision in wanted}
    return replace(
        observed,
        pods=tuple(pod for own in pods.values() for pod in own),
        deployments={name: _deployment(pool, own) for name, own in pods.items() if pool.deployment is not None},
        config_maps=maps,
        troubles={revision: found for revision in wanted if (found := _trouble(observed, pool, revision)) is not None},
    )


def _pod_of(observed: Observed, pod: Manifest, revision: str) -> Manifest:
    """The pod as one of this revision: ready when the pod is and has served it."""
    meta = pod["metadata"]
    labels = {**(meta.get("labels") or {}), names.LABEL_REVISION: revision}
    ready = is_ready(pod) and _serves(observed, meta["name"], revision)
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        **pod,
        "metadata": {**meta, "labels": labels},
        "status": {**(pod.get("status") or {}), "conditions": conditions},
    }


def _serves(observed: Observed, pod: str, revision: str) -> bool:
    """What the pod says itself. Silence proves nothing of a candidate, and nothing against what serves already."""
    sample = observed.sample
    if sample is None or pod not in sample.models:
        return not _is_candidate(observed, revision) or observed.status.primary == revision
    said = sample.models[pod].get(revision, ModelState(""))
    return said.state == "ready" and not (said.reason and _is_candidate(observed, revision))


def _is_candidate(observed: Observed, revision: str) -> bool:
    candidate = observed.status.candidate
    return candidate is not None and candidate.revision == revision


def _deployment(pool: Pool, pods: tuple[Manifest, ...]) -> dict[str, Any]:
    return {"spec": {"replicas": pool.replicas}, "status": {"readyReplicas": sum(map(is_ready, pods))}}


# --- what is wrong --------------------------------------------------------------------------------------------------


def _trouble(observed: Observed, pool: Pool, revision: str) -> Trouble | None:
    """A model that cannot be loaded is to blame; the pool's own troubles are nobody's in particular."""
    if pool.deployment is None or pool.config_map is None:
        if pool.exists:
            return Trouble("PoolNotReady", f"ServingPool {pool.name} is being set up; see {_see(observed, pool)}")
        return Trouble(
            "PoolNotFound", f"spec.runtime.pool.name: there is no ServingPool {pool.name} in this namespace; make it"
        )
    found = list(_models(observed, revision))
    if not found and not any(is_ready(pod) for pod in pool.pods):
        own = (one for pod in pool.pods if (one := pod_trouble(pod)) is not None)
        found = [replace(one, fault=False) for one in own]
    return max(found, key=lambda one: one.fault, default=None)


def _models(observed: Observed, revision: str) -> Iterator[Trouble]:
    for pod, states in sorted((observed.sample.models if observed.sample else {}).items()):
        state = states.get(revision)
        if state is None or not state.reason:
            continue
        why = f"pod {pod} cannot serve {revision}: {state.reason}"
        if state.state == "failed":
            yield Trouble("ModelFailed", why, fault=True)
        elif state.state == "waiting":
            yield Trouble("ArtifactUnavailable", why)
        elif state.state == "ready" and _is_candidate(observed, revision):
            yield Trouble("InsufficientMemory", why)


def _see(observed: Observed, pool: Pool) -> str:
    return f"kubectl describe servingpool -n {observed.namespace} {pool.name}"


def config_map_name(pool: Pool) -> str:
    """The ConfigMap that the services of the pool write their keys to."""
    return object_name(pool.name)


def document(observed: Observed, content: dict[str, Any]) -> dict[str, Any]:
    """What the pods need beyond the route: which model it is, and of every revision that may be asked for its files
    and settings."""
    files = {
        one.name: {"version": one.version, **one.template["files"], **one.template.get("settings", {})}
        for name in revisions(observed)
        if (one := observed.revision(name)) is not None
    }
    return {**content, "service": observed.name, "model": observed.spec.model.name, "revisions": files}


def text_of(content: dict[str, Any]) -> str:
    """As the key holds it."""
    return json.dumps(content, sort_keys=True)
