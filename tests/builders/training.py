"""TrainingJobs, ModelVersions and what the Job controller, kubelet and our programs make of their Jobs."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from plimsoll.core.conditions import timestamp
from plimsoll.facts import Manifest, Ref

from tests.builders.world import FakeWorld

NAMESPACE = "demo"
DIGEST = hashlib.sha256(b"a model").hexdigest()
OTHER_DIGEST = hashlib.sha256(b"another model").hexdigest()
SIGNATURE = {
    "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 64]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
}
Modifier = Callable[[dict[str, Any]], None]


def training_job(*modifiers: Modifier, name: str = "digits") -> dict[str, Any]:
    """Logistic regression on the digits with one gate: accuracy at least 0.9."""
    manifest: dict[str, Any] = {
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": "digits",
            "data": {"training": {"uri": "sklearn://digits"}, "split": {"fraction": 0.25}},
            "trainer": {"sklearn": {"estimator": "LogisticRegression", "parameters": {"C": 0.1}}},
            "gates": [{"metric": "accuracy", "min": 0.9}],
            "seed": 7,
        },
    }
    return modified(manifest, *modifiers)


def model_version(*modifiers: Modifier, name: str = "digits-v1") -> dict[str, Any]:
    """A version that a user made: in the namespace's own bucket, without a signature of the operator."""
    manifest: dict[str, Any] = {
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": "digits",
            "artifact": {
                "uri": f"s3://plimsoll-{NAMESPACE}/models/digits/sha256/{DIGEST}/model.onnx",
                "sha256": DIGEST,
                "sizeBytes": 12345,
                "format": "onnx",
            },
        },
    }
    return modified(manifest, *modifiers)


def inference_service(*modifiers: Modifier, name: str = "digits", model: str = "digits") -> dict[str, Any]:
    """A service of the model that serves nothing yet."""
    manifest: dict[str, Any] = {
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"model": {"name": model}},
    }
    return modified(manifest, *modifiers)


def modified(manifest: dict[str, Any], *modifiers: Modifier) -> dict[str, Any]:
    made = copy.deepcopy(manifest)
    for modifier in modifiers:
        modifier(made)
    return made


def with_spec(**fields: Any) -> Modifier:
    """Set fields of the spec, named as in manifests."""
    return lambda manifest: manifest["spec"].update(fields)


def with_status(**fields: Any) -> Modifier:
    """Set fields of the status, named as in manifests."""
    return lambda manifest: manifest.setdefault("status", {}).update(fields)


def with_container(image: str = "example.org/trainer:1") -> Modifier:
    """Train by a program of the user's."""
    container = {"image": image, "command": ["python", "train.py"], "env": [{"name": "EPOCHS", "value": "3"}]}
    return with_spec(trainer={"container": container})


def holding(digest: str) -> Modifier:
    """A version of this file."""
    uri = f"s3://plimsoll-{NAMESPACE}/models/digits/sha256/{digest}/model.onnx"
    return with_spec(artifact={"uri": uri, "sha256": digest, "sizeBytes": 12345, "format": "onnx"})


def comparing(service: str = "digits", tolerance: float = 0.01) -> Modifier:
    """A gate against a champion."""
    gate = {"metric": "accuracy", "comparedTo": {"inferenceService": service}, "tolerance": tolerance}
    return with_spec(gates=[gate])


# --- results ----------------------------------------------------------------------------------------------------------


def result(run: str, *modifiers: Modifier, digest: str = DIGEST) -> dict[str, Any]:
    """`result.json` of a run that passed with accuracy 0.9711."""
    folder = f"s3://plimsoll-{NAMESPACE}/models/digits/sha256/{digest}"
    gate = {
        "metric": "accuracy",
        "requirement": "min 0.9",
        "measured": 0.97111,
        "passed": True,
        "message": "accuracy 0.9711 ≥ 0.9",
    }
    document: dict[str, Any] = {
        "formatVersion": 1,
        "run": {"hash": run, "namespace": NAMESPACE, "trainingJob": "digits", "uid": "any"},
        "verdict": "Passed",
        "reason": None,
        "artifact": {"uri": f"{folder}/model.onnx", "sha256": digest, "sizeBytes": 12345, "format": "onnx"},
        "signature": SIGNATURE,
        "metrics": {"accuracy": 0.97111},
        "gates": [gate],
        "profile": {"uri": f"{folder}/profile.json", "sha256": OTHER_DIGEST},
        "datasets": [{"name": "sklearn://digits", "version": f"sha256:{OTHER_DIGEST}", "rows": 1797}],
        "rows": {"training": 1347, "evaluation": 450},
    }
    return modified(document, *modifiers)


def gates_failed(document: dict[str, Any]) -> None:
    gate = {
        "metric": "accuracy",
        "requirement": "min 0.9",
        "measured": 0.8711,
        "passed": False,
        "message": "accuracy 0.8711 < required 0.9",
    }
    document.update(verdict="GatesFailed", gates=[gate], metrics={"accuracy": 0.8711})


def rejected(document: dict[str, Any]) -> None:
    document.update(verdict="Rejected", reason="the graph has external data", signature=None, profile=None)
    document.update(metrics={}, gates=[], artifact={**document["artifact"], "uri": None})


def body_of(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def message_of(document: Mapping[str, Any]) -> str:
    """The termination message of publish or verify."""
    artifact = document["artifact"] or {}
    body = {"verdict": document["verdict"], "digest": artifact.get("sha256")}
    return json.dumps(body | {"result": hashlib.sha256(body_of(document)).hexdigest()})


# --- what controllers and kubelets do ---------------------------------------------------------------------------------


def job_ref(name: str) -> Ref:
    return Ref("batch/v1", "Job", NAMESPACE, name)


def pod_of(job: Manifest, number: int, status: Mapping[str, Any]) -> dict[str, Any]:
    """A pod as the Job controller makes it."""
    meta, template = job["metadata"], job["spec"]["template"]
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{meta['name']}-{number}",
            "namespace": meta["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [reference],
            "creationTimestamp": timestamp(1795348800 + number),
        },
        "spec": template["spec"],
        "status": dict(status),
    }


def terminated(container: str, code: int, message: str = "", reason: str = "") -> dict[str, Any]:
    """Status of a container that ended."""
    end = {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error"), "message": message}
    return {"name": container, "state": {"terminated": end}}


def waiting(container: str, reason: str, message: str = "") -> dict[str, Any]:
    """Status of a container that cannot start."""
    return {"name": container, "state": {"waiting": {"reason": reason, "message": message}}}


def add_pod(world: FakeWorld, job: str, phase: str, *containers: Mapping[str, Any], **more: Any) -> None:
    """Another pod of the Job with these init container statuses, or container statuses for publish and upload."""
    manifest = world.cluster.read(job_ref(job))
    number = sum(1 for pod in world.cluster.all("Pod") if pod["metadata"]["name"].startswith(job))
    main = [one for one in containers if one["name"] in ("publish", "upload")]
    init = [one for one in containers if one["name"] not in ("publish", "upload")]
    status = {"phase": phase, "containerStatuses": main, "initContainerStatuses": init, **more}
    world.cluster.add(pod_of(manifest, number, status))


def end_job(world: FakeWorld, job: str, type_: str = "Complete", reason: str = "", message: str = "") -> None:
    """What the Job controller writes in the end."""
    at = timestamp(world.time)
    condition = {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": at}
    status: dict[str, Any] = {"conditions": [condition], "startTime": at}
    if type_ == "Complete":
        status |= {"completionTime": at, "succeeded": 1}
    world.cluster.edit(job_ref(job), lambda body: body.update(status=status), spec=False)


def complete_train(world: FakeWorld, job: str) -> None:
    """The model was trained and handed over."""
    ends = [terminated(name, 0) for name in ("fetch", "train", "upload")]
    add_pod(world, job, "Succeeded", *ends)
    end_job(world, job)


def complete_publish(world: FakeWorld, job: str, document: Mapping[str, Any], key: str) -> None:
    """The program wrote its result and its message."""
    world.store.objects.setdefault((NAMESPACE, key), body_of(document))
    add_pod(world, job, "Succeeded", terminated("publish", 0, message_of(document)))
    end_job(world, job)
