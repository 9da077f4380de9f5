"""The development cluster itself, whatever KUBECONFIG says. A cluster that is not up is a failure, never a skip."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devcluster import images
from devcluster.kubectl import kubectl
from devcluster.paths import CHECKOUT, Paths
from devcluster.reporting import DevclusterError

SERVING = "localhost/plimsoll-serving:dev"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

Kubectl = Callable[..., str]


def devcluster(*verb: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHECKOUT / "devcluster"), *verb]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def paths() -> Paths:
    """Fails with one sentence when the cluster is not up or lacks the image that the pods of these tests run."""
    status = devcluster("status")
    if status.returncode != 0:
        pytest.fail(f"run `python3 devcluster up` first: {status.stdout}{status.stderr}", pytrace=False)
    paths = Paths.from_environment()
    if SERVING not in images.imported(paths):
        pytest.fail("run `python3 devcluster images serving` first", pytrace=False)
    return paths


@pytest.fixture
def in_namespace(paths: Paths) -> Iterator[Kubectl]:
    """kubectl in a fresh namespace that refuses pods outside the restricted standard; it goes with the test."""
    name = f"devcluster-{uuid.uuid4().hex[:8]}"
    kubectl(paths, "create", "namespace", name)
    kubectl(paths, "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")

    def run(*arguments: str, stdin: str | None = None) -> str:
        return kubectl(paths, "--namespace", name, *arguments, stdin=stdin)

    yield run
    kubectl(paths, "delete", "namespace", name, "--wait=false")


def pod(name: str, code: str, **spec: Any) -> str:
    """The manifest of a pod that runs Python ``code`` once."""
    container = {
        "name": "main",
        "image": SERVING,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", code],
        "securityContext": RESTRICTED,
        "volumeMounts": spec.pop("mounts", []),
    }
    body = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    metadata = {"name": name, "labels": {"app": name}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body})


def printed(run: Kubectl, name: str) -> str:
    """What the pod printed, once it ended well; a pod that does not fails the test with its events and log."""
    try:
        run("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=180s")
    except DevclusterError as error:
        pytest.fail(f"{error}\n{run('describe', 'pod', name)}\n{run('logs', name, '--ignore-errors')}", pytrace=False)
    return run("logs", name)
