"""A service whose releases take seconds, versions to release, and users who notice everything that goes wrong."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy
import onnx
import onnxruntime
import yaml
from sklearn.datasets import load_digits

from demo import load, store, watch
from demo.shell import Kubernetes
from examples.quickstart import elsewhere

SERVICE = "digits"
AT_REST = ("Idle", "RolledBack")
#: Latency is left out: what is tried here does not depend on the speed of the machine.
MANIFEST: dict[str, Any] = {
    "apiVersion": "plimsoll.dev/v1alpha1",
    "kind": "InferenceService",
    "metadata": {"name": SERVICE},
    "spec": {
        "model": {"name": SERVICE, "version": "1"},
        "runtime": {"replicas": 1, "resources": {"cpu": "100m", "memory": "256Mi", "cpuLimit": "1"}},
        "release": {
            "strategy": "Canary",
            "steps": [{"weight": 50, "minDuration": "8s", "minRequests": 100}],
            "analysis": {"window": "1s", "latency": {"enabled": False}},
            "probation": "2s",
            "holdback": 10,
        },
    },
}

Status = dict[str, Any]


@dataclass
class Service:
    """The InferenceService of a namespace, and the models of its versions by number."""

    kubernetes: Kubernetes
    namespace: str
    models: dict[str, bytes] = field(default_factory=dict)
    _runs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def status(self) -> Status:
        found: Status = self.kubernetes.get("inf", SERVICE, self.namespace).get("status", {})
        return found

    @property
    def route(self) -> dict[str, Any]:
        """The route document as it is written."""
        data = self.kubernetes.get("configmap", f"{SERVICE}-route", self.namespace)["data"]
        found: dict[str, Any] = json.loads(data["route.json"])
        return found

    def until(self, fact: Callable[[Status], Any], seconds: float = 300) -> Status:
        """The status once `fact` holds of it."""
        found = watch.until(
            self.kubernetes,
            self.namespace,
            "inferenceservice",
            SERVICE,
            lambda inf: fact(inf.get("status", {})),
            seconds=seconds,
        )
        status: Status = found["status"]
        return status

    def release(self, version: str) -> int:
        """Ask for a new revision of `version`; returns the number of the attempt that it will be."""
        before = self.until(lambda status: status.get("phase") in AT_REST)
        runtime = {"env": [{"name": "RUN", "value": str(next(self._runs))}]}
        change = {"spec": {"model": {"version": version}, "runtime": runtime}}
        self.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(change))
        return int(before["attempt"]) + 1

    def scale(self, replicas: int) -> None:
        """So many pods, and all of them ready."""
        change = {"spec": {"runtime": {"replicas": replicas}}}
        self.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(change))
        self.until(lambda status: status["phase"] in AT_REST and status["replicas"] == f"{replicas}/{replicas}")

    def measured(self, attempt: int, windows: int = 1) -> Status:
        """The status once the candidate of the attempt has its share and so many windows were read."""
        return self.until(
            lambda status: (
                (status["attempt"], status["phase"]) == (attempt, "Analyzing")
                and len(status.get("windows", ())) >= windows
            )
        )

    def ended(self, attempt: int) -> Status:
        """The status once the attempt is over."""
        return self.until(
            lambda status: (
                status["phase"] in AT_REST and any(record["attempt"] == attempt for record in status.get("history", ()))
            )
        )

    def make_bucket(self) -> None:
        """It comes with the first version that anybody names."""
        nowhere = elsewhere.manifest("nothing", 1, f"s3://plimsoll-{self.namespace}/nothing.onnx", b"nothing")
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(nowhere))
        watch.until(self.kubernetes, self.namespace, "secret", "plimsoll-store", bool)

    def publish(self, number: int, content: bytes) -> None:
        """What a pipeline of the user's does: upload a file, apply its ModelVersion."""
        uri = f"s3://plimsoll-{self.namespace}/uploads/{number}/model.onnx"
        with store.bucket(self.kubernetes, self.namespace) as bucket:
            store.upload(bucket, uri, content)
        manifest = elsewhere.manifest(SERVICE, number, uri, content)
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
        self.models[str(number)] = content

    def publish_candidates(self) -> None:
        """Version 2, which is as good as the trained one, and version 3, which fails on some rows."""
        uri = self.kubernetes.get("mv", "digits-v1", self.namespace)["spec"]["artifact"]["uri"]
        with store.bucket(self.kubernetes, self.namespace) as bucket:
            self.models["1"] = store.download(bucket, uri)
        self.publish(2, sound_too())
        self.publish(3, fragile())
        self.kubectl("wait", "mv/digits-v2", "mv/digits-v3", "--for=condition=Ready", "--timeout=300s")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.kubernetes.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def names(self, kind: str, selector: str = "") -> list[str]:
        found = self.kubectl("get", kind, "-l", selector, "-o", "name").split()
        return [name.partition("/")[2] for name in found]

    @contextlib.contextmanager
    def users_notice_nothing(self) -> Iterator[None]:
        """Requests go on in the block, none fails, and every answer is what the model of its version says."""
        before = load.report(self.kubernetes, self.namespace)
        yield
        after = load.report(self.kubernetes, self.namespace)
        assert after["failures"] == before["failures"], after["failures"]
        assert sum(after["requests"].values()) > sum(before["requests"].values()) + 100
        assert wrong_answers(self.models, after["answers"]) == 0


def progressing(status: Status) -> dict[str, str]:
    """The condition of this type; empty words before there is one."""
    found = [one for one in status["conditions"] if one["type"] == "Progressing"]
    return found[0] if found else {"reason": "", "message": ""}


def serving(kubernetes: Kubernetes, namespace: str, manifest: dict[str, Any]) -> Service:
    """The service of this manifest serves version 1; 2 is as good, 3 fails on some rows. Nobody trained them here."""
    service = Service(kubernetes, namespace)
    service.make_bucket()
    for number, content in enumerate((sound(), sound_too(), fragile()), 1):
        service.publish(number, content)
    service.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    service.until(lambda status: status.get("phase") == "Idle" and status["followedEpoch"] == status["epoch"])
    service.kubectl("wait", *(f"mv/digits-v{n}" for n in service.models), "--for=condition=Ready", "--timeout=300s")
    return service


@functools.cache
def sound() -> bytes:
    return bytes(elsewhere.sound().SerializeToString(deterministic=True))


@functools.cache
def sound_again() -> bytes:
    """Another version that answers what `sound` does."""
    model = onnx.load_model_from_string(sound())
    model.doc_string = "trained again"
    return bytes(model.SerializeToString(deterministic=True))


@functools.cache
def sound_too() -> bytes:
    """A version that answers some rows otherwise than `sound`, and never fails."""
    model = onnx.load_model_from_string(sound())
    node = next(node for node in model.graph.node if node.op_type == "LinearClassifier")
    weights = next(attribute for attribute in node.attribute if attribute.name == "coefficients")
    weights.floats[:] = [weight if i % 5 else 0.0 for i, weight in enumerate(weights.floats)]
    return bytes(model.SerializeToString(deterministic=True))


@functools.cache
def fragile() -> bytes:
    """A version that fails on every fifth row."""
    return bytes(elsewhere.fragile().SerializeToString(deterministic=True))


def wrong_answers(models: dict[str, bytes], answers: dict[str, dict[str, dict[str, int]]]) -> int:
    """Answers that differ from what the version's own model gives for that row."""
    rows, wrong = load_digits().data.astype(numpy.float32), 0
    for version, by_row in answers.items():
        session = onnxruntime.InferenceSession(models[version])
        for row, labels in by_row.items():
            expected = str(session.run(["label"], {"input": rows[int(row)][None]})[0][0])
            wrong += sum(count for label, count in labels.items() if label != expected)
    return wrong
