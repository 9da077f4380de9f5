"""The plan of one pass over a ServingPool: its pods, its ConfigMap, and nothing of what its services release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from plimsoll.api.servingpool import ServingPoolSpec, ServingPoolStatus
from plimsoll.core import revision as revisions
from plimsoll.core.conditions import Finding, conditions, find, shortened
from plimsoll.core.drift import covers
from plimsoll.core.pool import template as templates
from plimsoll.core.pool.template import Template
from plimsoll.core.release.garbage import KEPT_REVISIONS, delete
from plimsoll.core.release.observed import is_ready, pod_trouble
from plimsoll.facts import Action, Apply, Create, Manifest, Notice, Plan, Ref, Scale, Settings, WriteKey

_KEY_SUFFIX = ".json"
#: As many as status.inUseBy may have.
_NAMED_SERVICES = 64


@dataclass(frozen=True, slots=True)
class Seen:
    """The pool and its children as they were seen. `services` are names of InferenceServices that name the pool.

    `gone` are services that have a key in the ConfigMap and, as the API server has confirmed, no longer name the pool.
    """

    owner: Manifest
    spec: ServingPoolSpec
    status: ServingPoolStatus
    settings: Settings
    now: float
    records: Mapping[str, Manifest] = field(default_factory=dict)
    deployment: Manifest | None = None
    config_map: Manifest | None = None
    budget: Manifest | None = None
    pods: tuple[Manifest, ...] = ()
    services: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The pool's name."""
        return str(self.owner["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The pool's namespace."""
        return str(self.owner["metadata"]["namespace"])


def plan(seen: Seen) -> Plan:
    """What this pass wants of the world. Empty when the world is as the spec asks."""
    stored = [templates.load(one) for one in seen.records.values()]
    template = templates.chosen(stored, seen.owner["metadata"], seen.spec, seen.settings)
    after = tuple(_actions(seen, template))
    status = _status(seen, template, acted=not after)
    news = _news(seen.status, status)
    changed = status.to_manifest() != seen.status.to_manifest()
    return Plan(status=status.to_manifest() if changed else None, after=after, notices=news)


def strangers(seen: Seen) -> tuple[str, ...]:
    """Services with a key in the ConfigMap that, by the cache, do not name the pool."""
    keys = (seen.config_map or {}).get("data") or {}
    named = {key.removesuffix(_KEY_SUFFIX) for key in keys if key.endswith(_KEY_SUFFIX)}
    return tuple(sorted(named - seen.services))


def troubled(seen: ServingPoolStatus, ready: Finding, now: float, generation: int | None) -> Plan:
    """Ready is False for a reason outside the pool; everything else stays as it was."""
    found = conditions(seen.conditions, (ready,), now=now, generation=generation)
    message = shortened(ready.message, 1024)
    after = seen.model_copy(update={"phase": seen.phase or "Pending", "message": message, "conditions": found})
    return Plan(status=after.to_manifest(), notices=_news(seen, after))


# --- children -------------------------------------------------------------------------------------------------------


def _actions(seen: Seen, template: Template) -> Iterator[Action]:
    """What the pods mount is there before the pods are."""
    if template.name not in seen.records:
        yield Create(templates.stored(template))
    if seen.config_map is None:
        yield Create(templates.config_map(seen.name, seen.namespace))
    else:
        yield from _without_strangers(seen, seen.config_map)
    if seen.deployment is None:
        yield Create(revisions.service_account(seen.namespace), adopt=True)
    yield from _ensure(seen.deployment, templates.deployment(template))
    have = 1 if seen.deployment is None else int((seen.deployment.get("spec") or {}).get("replicas", 0))
    if have != seen.spec.replicas:
        yield Scale(Ref("apps/v1", "Deployment", seen.namespace, templates.object_name(seen.name)), seen.spec.replicas)
    if seen.spec.replicas >= 2:
        yield from _ensure(seen.budget, templates.disruption_budget(seen.name, seen.namespace))
    elif seen.budget is not None:
        yield delete(seen.budget, "policy/v1", "PodDisruptionBudget")
    for old in sorted(seen.records.values(), key=lambda one: int(one["revision"]))[:-KEPT_REVISIONS]:
        if old["metadata"]["name"] != template.name:
            yield delete(old, "apps/v1", "ControllerRevision")


def _without_strangers(seen: Seen, have: Manifest) -> Iterator[WriteKey]:
    """The pods forget a service that was deleted: its owner is gone, so its key is the pool's to remove."""
    data, meta = have.get("data") or {}, have["metadata"]
    ref = Ref("v1", "ConfigMap", seen.namespace, meta["name"])
    for service in sorted(seen.gone):
        key = f"{service}{_KEY_SUFFIX}"
        if key in data:
            yield WriteKey(ref, meta["uid"], key, None, data[key])


def _ensure(have: Manifest | None, manifest: Mapping[str, Any]) -> Iterator[Action]:
    if have is None:
        yield Create(manifest)
    elif not covers(have, manifest):
        yield Apply(manifest, have["metadata"]["uid"])


# --- status ---------------------------------------------------------------------------------------------------------


def _status(seen: Seen, template: Template, *, acted: bool) -> ServingPoolStatus:
    ready = sum(is_ready(pod) for pod in seen.pods)
    finding = _ready(seen, ready)
    generation = seen.owner["metadata"].get("generation")
    without = "Degraded" if seen.status.phase in {"Ready", "Degraded"} else "Pending"
    return ServingPoolStatus.model_validate({
        "observed_generation": generation if acted else seen.status.observed_generation,
        "phase": "Ready" if ready else without,
        "template": template.name,
        "services": len(seen.services),
        "in_use_by": sorted(seen.services)[:_NAMED_SERVICES],
        "replicas": f"{ready}/{seen.spec.replicas}",
        "message": shortened(finding.message, 1024),
        "conditions": conditions(seen.status.conditions, (finding,), now=seen.now, generation=generation),
    })  # fmt: skip


def _ready(seen: Seen, ready: int) -> Finding:
    told = f"{ready} of {seen.spec.replicas} pods are ready for {len(seen.services)} services"
    if ready:
        return Finding("Ready", "True", "Serving", told)
    trouble = next((one for pod in seen.pods if (one := pod_trouble(pod)) is not None), None)
    if trouble is not None:
        message = trouble.message.replace("spec.runtime.resources", "spec.resources")
        return Finding("Ready", "False", trouble.reason, message)
    return Finding("Ready", "False", "NoPodReady", told)


def _news(before: ServingPoolStatus, after: ServingPoolStatus) -> tuple[Notice, ...]:
    was, now = find(before.conditions, "Ready"), find(after.conditions, "Ready")
    if now is None or (was is not None and (was.status, was.reason) == (now.status, now.reason)):
        return ()
    kind = "Normal" if now.status == "True" or after.phase == "Pending" else "Warning"
    return (Notice(kind, now.reason, now.message),)
