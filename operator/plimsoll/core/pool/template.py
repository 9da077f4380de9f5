"""What a ServingPool is made of: its pod template, rendered once and kept, and the children made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plimsoll import names
from plimsoll.api.servingpool import ServingPoolSpec
from plimsoll.core import serving_env, serving_pod
from plimsoll.core.drift import quantity
from plimsoll.core.revision import public_ports, sha256_of
from plimsoll.facts import Manifest, Settings

_DOCUMENT_PATH = "/plimsoll/models"
#: Beside the services' keys, so that the ConfigMap always has data.
FORMAT_KEY = "formatVersion"


@dataclass(frozen=True, slots=True)
class Template:
    """What the ControllerRevision of a pool holds. `number` rises with each of the pool, 0 until it is made."""

    name: str
    pool: str
    namespace: str
    inputs: str
    template: Mapping[str, Any]
    number: int = 0


def object_name(pool: str) -> str:
    """Name of the Deployment, the ConfigMap and the PodDisruptionBudget."""
    return f"{pool}-pool"


def selector(pool: str) -> dict[str, str]:
    """What picks the pool's pods."""
    return {names.LABEL_COMPONENT: "pool", names.LABEL_POOL: pool}


def inputs_hash(spec: ServingPoolSpec) -> str:
    """SHA-256 of what the user decided about the pods, without their number; defaults are left out."""
    return sha256_of(spec.model_dump(mode="json", exclude_defaults=True, exclude={"replicas"}))


def chosen(stored: Iterable[Template], meta: Manifest, spec: ServingPoolSpec, settings: Settings) -> Template:
    """The newest stored template with the spec's inputs, or one rendered now with the images of `settings`."""
    known = sorted(stored, key=lambda one: one.number)
    found = [one for one in known if one.inputs == inputs_hash(spec)]
    if found:
        return found[-1]
    pool, namespace = meta["name"], meta["namespace"]
    template = _template(pool, namespace, spec, settings)
    name = f"{object_name(pool)}-{sha256_of(template)[:8]}"
    return Template(name, pool, namespace, inputs_hash(spec), template, 1 + (known[-1].number if known else 0))


def stored(template: Template) -> dict[str, Any]:
    """The ControllerRevision of a template."""
    data = {"formatVersion": 1, "inputs": template.inputs, "template": template.template}
    head = _head("apps/v1", "ControllerRevision", template.pool, template.namespace, name=template.name)
    return {**head, "data": data, "revision": template.number}


def load(manifest: Manifest) -> Template:
    """The template that a ControllerRevision of ours holds. Raises KeyError when it is not one of ours."""
    data, meta = manifest["data"], manifest["metadata"]
    pool = meta["labels"][names.LABEL_POOL]
    return Template(meta["name"], pool, meta["namespace"], data["inputs"], data["template"], manifest["revision"])


def deployment(template: Template) -> dict[str, Any]:
    """The Deployment, without `replicas`: those are set through /scale."""
    spec = {
        "selector": {"matchLabels": selector(template.pool)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "revisionHistoryLimit": 1,
        "template": template.template,
    }
    return {**_head("apps/v1", "Deployment", template.pool, template.namespace), "spec": spec}


def config_map(pool: str, namespace: str) -> dict[str, Any]:
    """The ConfigMap that every pod of the pool mounts, before any service has written its key."""
    return {**_head("v1", "ConfigMap", pool, namespace), "data": {FORMAT_KEY: "1"}}


def disruption_budget(pool: str, namespace: str) -> dict[str, Any]:
    """At most one pod at a time is evicted; a pod that is broken anyway never blocks a node's drain."""
    spec = {
        "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": selector(pool)},
    }  # fmt: skip
    return {**_head("policy/v1", "PodDisruptionBudget", pool, namespace), "spec": spec}


def public_service(service: str, namespace: str, model: str, pool: str) -> dict[str, Any]:
    """The Service that users of one model call; any pod of the pool answers."""
    labels = names.labels("serve", model=model, inferenceservice=service, pool=pool)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service, "namespace": namespace, "labels": labels},
        "spec": {"selector": selector(pool), "ports": public_ports(), "type": "ClusterIP"},
    }


def _head(api_version: str, kind: str, pool: str, namespace: str, *, name: str = "") -> dict[str, Any]:
    meta = {"name": name or object_name(pool), "namespace": namespace, "labels": names.labels("pool", pool=pool)}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


# --- the pods -------------------------------------------------------------------------------------------------------


def _template(pool: str, namespace: str, spec: ServingPoolSpec, settings: Settings) -> dict[str, Any]:
    frame = serving_pod.Frame(selector(pool), spec.node_selector, spec.termination_grace_period_seconds)
    containers = {
        "initContainers": [_fetch(spec, settings)],
        "containers": [_server(pool, namespace, spec, settings)],
        "volumes": [
            {"name": "pool", "emptyDir": {"sizeLimit": spec.storage}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            {"name": "models", "configMap": {"name": object_name(pool)}},
            serving_pod.FEEDBACK_VOLUME,
        ],
    }
    return {
        "metadata": {"labels": names.labels("pool", pool=pool)},
        "spec": {**serving_pod.frame(frame), **containers},
    }


def _fetch(spec: ServingPoolSpec, settings: Settings) -> dict[str, Any]:
    """A sidecar: credentials of the store are with it, never with the process that runs models."""
    return {
        **serving_pod.fetch_container(settings),
        "args": ["fetch", "--pool"],
        "restartPolicy": "Always",
        "env": serving_env.variables({**_places(), "PLIMSOLL_POOL_STORAGE_BYTES": _bytes(spec.storage)}),
        "volumeMounts": [
            {"name": "pool", "mountPath": names.POOL_PATH},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod
            {"name": "models", "mountPath": _DOCUMENT_PATH, "readOnly": True},
        ],
    }


def _server(pool: str, namespace: str, spec: ServingPoolSpec, settings: Settings) -> dict[str, Any]:
    return {
        **serving_pod.server_container(settings, spec.resources),
        "args": ["serve", "--pool"],
        "env": _env(pool, namespace, spec),
        "volumeMounts": [
            # It leaves there which model it was loading, so that a model that kills it is known after the restart.
            {"name": "pool", "mountPath": names.POOL_PATH},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod
            {"name": "models", "mountPath": _DOCUMENT_PATH, "readOnly": True},
            {"name": "feedback", "mountPath": names.FEEDBACK_PATH, "readOnly": True},
        ],
    }


def _places() -> dict[str, str]:
    return {"PLIMSOLL_POOL_DOCUMENTS": _DOCUMENT_PATH, "PLIMSOLL_POOL_DIR": names.POOL_PATH}


def _env(pool: str, namespace: str, spec: ServingPoolSpec) -> list[dict[str, Any]]:
    fixed = {
        **_places(),
        "PLIMSOLL_POOL": pool,
        "PLIMSOLL_NAMESPACE": namespace,
        "PLIMSOLL_FEEDBACK_KEY_FILE": f"{names.FEEDBACK_PATH}/{names.FEEDBACK_KEY}",
        **serving_env.threads(spec.intra_op_threads),
        **serving_env.batching(spec.batching),
    }
    return serving_env.environment(spec.env, fixed)


def _bytes(text: str) -> str:
    return str(int(quantity(text)))
