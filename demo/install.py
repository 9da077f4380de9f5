"""Installing the chart, and a namespace that enforces Pod Security `restricted`."""

from __future__ import annotations

import json

from demo.cluster import image_values
from demo.shell import ROOT, Kubernetes, Stop, step

SYSTEM = "plimsoll-system"


def restricted_namespace(kubernetes: Kubernetes, name: str) -> None:
    """A namespace where only pods that need no privileges may run."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    kubernetes.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def install(
    kubernetes: Kubernetes, *, release: str = "plimsoll", namespace: str = SYSTEM, values: tuple[str, ...] = ()
) -> None:
    """`helm upgrade --install`, until operator and store are ready."""
    with step(f"Plimsoll: helm upgrade --install {release} charts/plimsoll -n {namespace}"):
        restricted_namespace(kubernetes, namespace)
        flags = [part for value in values for part in ("--set", value)]
        done = kubernetes.run(
            "helm", "upgrade", "--install", release, str(ROOT / "charts" / "plimsoll"), "--namespace", namespace,
            "--wait", "--timeout", "5m", "--take-ownership", *image_values(kubernetes), *flags, check=False,
        )  # fmt: skip
        if done.returncode:
            pods = kubernetes.kubectl("-n", namespace, "get", "pods", "-o", "wide", check=False)
            logs = kubernetes.kubectl(
                "-n", namespace, "logs", "-l", "app.kubernetes.io/component=operator", "--tail", "20", check=False
            )
            raise Stop(f"helm: {done.stderr.strip()}\n{pods}\n{logs}")
