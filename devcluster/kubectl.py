"""Speaking to the cluster through its own kubectl."""

import json
from typing import Any

from devcluster.commands import run
from devcluster.paths import Paths


def kubectl(paths: Paths, *arguments: str, stdin: str | None = None) -> str:
    return run([paths.bin / "kubectl", "--kubeconfig", paths.kubeconfig, *arguments], stdin=stdin)


def get(paths: Paths, *arguments: str) -> Any:
    """The parsed answer of ``kubectl get … -o json``."""
    return json.loads(kubectl(paths, "get", *arguments, "--output", "json"))


def apply(paths: Paths, objects: list[dict[str, Any]]) -> None:
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl(paths, "apply", "--server-side", "--filename", "-", stdin=document)
