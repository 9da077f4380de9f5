"""The pod that sends traffic, and what it counted."""

from __future__ import annotations

import json
from typing import Any

from sklearn.datasets import load_digits

from demo.shell import ROOT, Kubernetes

POD = "traffic"
RATE = 80


def start(kubernetes: Kubernetes, namespace: str, service: str, image: str, *options: str, pod: str = POD) -> None:
    """A pod of its own that sends real rows to `service`; one that runs already is replaced."""
    stop(kubernetes, namespace, pod)
    rows = [[int(value) for value in row] for row in load_digits().data]
    files = {
        "traffic.py": (ROOT / "demo" / "traffic.py").read_text(),
        "rows.json": json.dumps(rows, separators=(",", ":")),
    }
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": POD}, "data": files}
    kubernetes.kubectl(
        "-n", namespace, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(config)
    )
    kubernetes.kubectl(
        "-n",
        namespace,
        "create",
        "-f",
        "-",
        stdin=json.dumps(_pod(namespace, service, image, options) | {"metadata": _head(pod)}),
    )
    kubernetes.kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=300s")


def stop(kubernetes: Kubernetes, namespace: str, pod: str = POD) -> None:
    """End the traffic."""
    kubernetes.kubectl("-n", namespace, "delete", "pod", pod, "--ignore-not-found", "--grace-period=1", "--wait=true")


def report(kubernetes: Kubernetes, namespace: str, pod: str = POD) -> dict[str, Any]:
    """What was counted so far: see traffic.Tally.report."""
    counted: dict[str, Any] = json.loads(
        kubernetes.kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}:9000/proxy/report")
    )
    return counted


def _pod(namespace: str, service: str, image: str, options: tuple[str, ...]) -> dict[str, Any]:
    url = f"http://{service}.{namespace}.svc/v2/models/{service}/infer"
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    container = {
        "name": POD,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "python3",
            "/traffic/traffic.py",
            "--url",
            url,
            "--rows",
            "/traffic/rows.json",
            "--rate",
            str(RATE),
            *options,
        ],
        "ports": [{"containerPort": 9000}],
        "readinessProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "securityContext": security,
        "volumeMounts": [{"name": "traffic", "mountPath": "/traffic"}],
    }
    spec = {
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "traffic", "configMap": {"name": POD}}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _head(POD),
        "spec": spec,
    }


def _head(pod: str) -> dict[str, Any]:
    return {"name": pod, "labels": {"app.kubernetes.io/name": POD}}
