"""Manifests of what a run needs: ServiceAccounts, run ConfigMaps and the train, publish and verify Jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll import names
from plimsoll.api.common import Resources
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.core.containers import POD_SECURITY, program, users_trainer
from plimsoll.core.run import Run
from plimsoll.facts import Create, Manifest, Settings

ANNOTATION_GENERATION = f"{names.GROUP}/generation"
ANNOTATION_RUN = f"{names.GROUP}/run"
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
    settings, wanted = order.settings, order.resources
    fetch = program(settings, "fetch", ("run", "inputs", "tmp"), wanted, store=True)
    upload = program(settings, "upload", ("run", "output:ro", "tmp"), wanted, store=True)
    ours = ["fetch", "upload"]
    if spec.trainer.container:
        train = users_trainer(spec)
    else:
        train = program(settings, "train", ("run", "inputs:ro", "output", "tmp"), wanted, store=False)
        ours.append("train")
    pod = _pod("train", [fetch, train], [upload], order.run.base)
    return Create(_job(order, f"{order.run.base}-train", "train", pod, ours))


def publish_job(order: Order) -> Create:
    """Our image alone: evaluates what was handed over on data that the trainer never saw."""
    return _judging_job(order, f"{order.run.base}-publish", "publish")


def verify_job(order: Order, name: str) -> Create:
    """Like publish, for an artifact that a user named."""
    return _judging_job(order, name, "verify")


def _judging_job(order: Order, name: str, verb: str) -> Create:
    container = program(order.settings, verb, ("run", "tmp"), order.resources, store=True)
    return Create(_job(order, name, verb, _pod("publish", [], [container], name), ["publish"]))


def _metadata(order: Order, name: str, component: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": order.run.namespace,
        "labels": order.with_component(component),
        "annotations": {
            ANNOTATION_RUN: order.run.hash,
            ANNOTATION_GENERATION: str(order.owner["metadata"].get("generation", 1)),
        },
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
        "securityContext": dict(POD_SECURITY),
        "containers": list(main),
        "volumes": volumes,
    }
    return pod | ({"initContainers": list(before)} if before else {})
