"""Manifests of what a run needs: ServiceAccounts, run ConfigMaps and the train, publish and verify Jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll import names
from plimsoll.api.common import Resources
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.core.drift import quantity
from plimsoll.core.run import Run
from plimsoll.facts import Create, Manifest, Settings

ANNOTATION_GENERATION = f"{names.GROUP}/generation"
ANNOTATION_RUN = f"{names.GROUP}/run"
USER = 65532
#: Our programs load scikit-learn or onnxruntime: less memory than this kills them.
_LEAST_MEMORY = "512Mi"
_SIZE_LIMITS = {"inputs": "10Gi", "output": "3Gi", "tmp": "2Gi"}
#: Exit code of our programs for the user's mistake: repeating cannot help.
USER_ERROR = 2


@dataclass(frozen=True, slots=True)
class Order:
    """Whose Job it is and how it may run."""

    owner: Manifest
    run: Run
    labels: Mapping[str, str]
    settings: Settings
    resources: Resources
    backoff_limit: int
    deadline: int

    def with_component(self, component: str) -> dict[str, str]:
        return names.labels(component) | dict(self.labels)


def training_order(owner: Manifest, spec: TrainingJobSpec, run: Run, settings: Settings) -> Order:
    """How the Jobs of a TrainingJob are made."""
    labels = {names.LABEL_MODEL: spec.model, names.LABEL_TRAINING_JOB: run.name}
    return Order(owner, run, labels, settings, spec.resources, spec.backoff_limit, spec.active_deadline_seconds)


def controller_reference(owner: Manifest) -> dict[str, Any]:
    """The ownerReference of a child. Deleting the owner never waits for its children."""
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }


def controlled_by(uid: str, manifest: Manifest) -> bool:
    """Whether the controller ownerReference of `manifest` has this UID."""
    references = manifest["metadata"].get("ownerReferences") or ()
    return any(reference.get("controller") and reference.get("uid") == uid for reference in references)


def service_account(namespace: str, component: str) -> Create:
    """The namespace's own ServiceAccount of a component: it may do nothing, and no token of it is mounted."""
    meta = {"name": names.SERVICE_ACCOUNTS[component], "namespace": namespace, "labels": names.labels(component)}
    manifest = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "automountServiceAccountToken": False}
    return Create(manifest, adopt=True)


def run_config_map(order: Order, name: str, component: str, document: Mapping[str, Any]) -> Create:
    """The immutable ConfigMap that holds `run.json`."""
    body = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(order, name, component),
        "immutable": True,
        "data": {names.RUN_KEY: body},
    }
    return Create(manifest)


def train_job(order: Order, spec: TrainingJobSpec) -> Create:
    """fetch (credentials) → train (none) → upload (credentials). The user's container sees training rows only."""
    fetch = _ours(order, "fetch", ["fetch"], ("run", "inputs", "tmp"), store=True)
    upload = _ours(order, "upload", ["upload"], ("run", "output:ro", "tmp"), store=True)
    ours = ["fetch", "upload"]
    if spec.trainer.container:
        train = _users(order, spec)
    else:
        train = _ours(order, "train", ["train"], ("run", "inputs:ro", "output", "tmp"), store=False)
        train["resources"] = _resources(order.resources)
        ours.append("train")
    config_map = order.run.base
    pod = _pod("train", [fetch, train], [upload], config_map)
    return Create(_job(order, f"{order.run.base}-train", "train", pod, ours))


def publish_job(order: Order) -> Create:
    """Our image alone: evaluates what was handed over on data that the trainer never saw."""
    name = f"{order.run.base}-publish"
    publish = _ours(order, "publish", ["publish"], ("run", "tmp"), store=True)
    return Create(_job(order, name, "publish", _pod("publish", [], [publish], name), ["publish"]))


def verify_job(order: Order, name: str) -> Create:
    """Like publish, for an artifact that a user named."""
    publish = _ours(order, "publish", ["verify"], ("run", "tmp"), store=True)
    return Create(_job(order, name, "verify", _pod("publish", [], [publish], name), ["publish"]))


def _metadata(order: Order, name: str, component: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": order.run.namespace,
        "labels": order.with_component(component),
        "annotations": {
            ANNOTATION_RUN: order.run.hash,
            ANNOTATION_GENERATION: str(order.owner["metadata"].get("generation", 1)),
        },
        "ownerReferences": [controller_reference(order.owner)],
    }


def _job(order: Order, name: str, component: str, pod: dict[str, Any], ours: Sequence[str]) -> dict[str, Any]:
    rules: list[dict[str, Any]] = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    rules += [
        {"action": "FailJob", "onExitCodes": {"containerName": container, "operator": "In", "values": [USER_ERROR]}}
        for container in ours
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(order, name, component),
        "spec": {
            "backoffLimit": order.backoff_limit,
            "activeDeadlineSeconds": order.deadline,
            "podFailurePolicy": {"rules": rules},
            "template": {"metadata": {"labels": order.with_component(component)}, "spec": pod},
        },
    }


def _pod(account: str, before: Sequence[Manifest], main: Sequence[Manifest], config_map: str) -> dict[str, Any]:
    mounted = {mount["name"] for container in (*before, *main) for mount in container["volumeMounts"]}
    volumes: list[dict[str, Any]] = [{"name": "run", "configMap": {"name": config_map}}]
    volumes += [
        {"name": name, "emptyDir": {"sizeLimit": limit}} for name, limit in _SIZE_LIMITS.items() if name in mounted
    ]
    pod: dict[str, Any] = {
        "serviceAccountName": names.SERVICE_ACCOUNTS[account],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": list(main),
        "volumes": volumes,
    }
    return pod | ({"initContainers": list(before)} if before else {})


def _ours(order: Order, name: str, args: list[str], mounts: Sequence[str], *, store: bool) -> dict[str, Any]:
    container = _container(name, order.settings.training_image, mounts)
    container |= {
        "imagePullPolicy": order.settings.image_pull_policy,
        "args": args,
        "env": _variables(
            PLIMSOLL_RUN=f"{names.RUN_PATH}/{names.RUN_KEY}",
            PLIMSOLL_INPUTS=names.INPUTS_PATH,
            PLIMSOLL_OUTPUT=names.OUTPUT_PATH,
            HOME="/tmp",  # noqa: S108 the container's own emptyDir
        ),
        "resources": _helper_resources(order.resources),
    }
    return container | ({"envFrom": [{"secretRef": {"name": names.STORE_SECRET}}]} if store else {})


def _users(order: Order, spec: TrainingJobSpec) -> dict[str, Any]:
    trainer = spec.trainer.container
    assert trainer is not None
    fixed = {
        "PLIMSOLL_INPUTS": names.INPUTS_PATH,
        "PLIMSOLL_OUTPUT": names.OUTPUT_PATH,
        "PLIMSOLL_SEED": str(spec.seed),
        "PLIMSOLL_TARGET": spec.target,
    }
    own = {"HOME": "/tmp"} | {variable.name: variable.value for variable in trainer.env}  # noqa: S108
    container = _container("train", trainer.image, ("inputs:ro", "output", "tmp"))
    container |= {"imagePullPolicy": "IfNotPresent", "env": _variables(**own | fixed)}
    container["resources"] = _resources(order.resources)
    container |= {"command": list(trainer.command)} if trainer.command else {}
    return container | ({"args": list(trainer.args)} if trainer.args else {})


def _container(name: str, image: str, mounts: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_mount(mount) for mount in mounts],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _mount(mount: str) -> dict[str, Any]:
    name, _, mode = mount.partition(":")
    paths = {"run": names.RUN_PATH, "inputs": names.INPUTS_PATH, "output": names.OUTPUT_PATH, "tmp": "/tmp"}  # noqa: S108
    return {"name": name, "mountPath": paths[name]} | ({"readOnly": True} if mode == "ro" or name == "run" else {})


def _variables(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def _resources(wanted: Resources) -> dict[str, Any]:
    limit = wanted.cpu_limit or f"{int(quantity(wanted.cpu) * 2000)}m"
    return {
        "requests": {"cpu": wanted.cpu, "memory": wanted.memory},
        "limits": {"cpu": limit, "memory": wanted.memory},
    }


def _helper_resources(wanted: Resources) -> dict[str, Any]:
    memory = max(wanted.memory, _LEAST_MEMORY, key=quantity)
    return {"requests": {"cpu": "100m", "memory": memory}, "limits": {"cpu": "1", "memory": memory}}
