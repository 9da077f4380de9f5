"""Small programs in real pods, and what they print."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from kubernetes.client import ApiClient, ApiException, CoreV1Api

Manifest = dict[str, Any]
Found = TypeVar("Found")


def image() -> str:
    """Any image with Python that the cluster has."""
    registry = os.environ.get("REGISTRY")
    return f"{registry.rstrip('/')}/plimsoll-serving:0.1.0" if registry else "localhost/plimsoll-serving:dev"


def eventually(found: Callable[[], Found | None], what: str, seconds: float = 180) -> Found:
    """The first result that is not None. Fails when there is none for `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = found()
        if result is not None:
            return result
        time.sleep(0.05)
    pytest.fail(f"{what}: not within {seconds:g} s")


@dataclass(frozen=True)
class Pods:
    """Pods of one namespace that enforces Pod Security `restricted`."""

    api: ApiClient
    namespace: str

    def run(self, name: str, program: str, labels: dict[str, str] | None = None, volume: str | None = None) -> None:
        """Run a Python program; with `volume`, that ConfigMap is mounted at /config. Returns when the pod is ready."""
        container: Manifest = {
            "name": "main",
            "image": image(),
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-u", "-c", program],
            "resources": {
                "requests": {"cpu": "10m", "memory": "32Mi"},
                "limits": {"cpu": "500m", "memory": "64Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        spec: Manifest = {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        }
        if volume:
            spec["volumes"] = [{"name": "config", "configMap": {"name": volume}}]
            container["volumeMounts"] = [{"name": "config", "mountPath": "/config"}]
        body = {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}
        eventually(lambda: self._created(body), f"pod {name} is created")
        eventually(lambda: self._ready(name), f"pod {name} is ready")

    def _created(self, body: Manifest) -> bool | None:
        """None while the namespace's ServiceAccount is not there yet."""
        try:
            CoreV1Api(self.api).create_namespaced_pod(self.namespace, body)
        except ApiException as error:
            if "serviceaccount" in str(error.body):
                return None
            raise
        return True

    def _ready(self, name: str) -> bool | None:
        status = CoreV1Api(self.api).read_namespaced_pod(name, self.namespace).status
        return True if any(one.type == "Ready" and one.status == "True" for one in status.conditions or ()) else None

    def printed(self, name: str) -> list[str]:
        """Whole lines that the program has printed."""
        core = CoreV1Api(self.api)
        text: str = core.read_namespaced_pod_log(name, self.namespace, _preload_content=False).data.decode()
        return text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]

    def annotate(self, name: str, value: str) -> None:
        """As the operator does it to make kubelet look at the pod's volumes."""
        body = {"metadata": {"annotations": {"plimsoll.dev/route-epoch": value}}}
        CoreV1Api(self.api).patch_namespaced_pod(name, self.namespace, body)
