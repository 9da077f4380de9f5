"""What the docs tell users of kubectl to apply, taken by the real API server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient, ApiException, CoreV1Api
from plimsoll.api.kinds import KINDS

from config import render as plain
from demo.shell import ROOT, Kubernetes
from tests.integration.chart.rendering import helm

NAMESPACE = "plimsoll-system"
HEALTH = ROOT / "charts/plimsoll/argocd/health"


@pytest.fixture
def kubernetes(api: ApiClient, cluster_access: Any) -> Kubernetes:
    """kubectl lies beside helm on the development cluster."""
    return Kubernetes(Path(cluster_access.kubeconfig), cluster_access.context, str(Path(helm()).parent))


@pytest.fixture
def system_namespace(api: ApiClient) -> None:
    """There, as the README has it made."""
    try:
        CoreV1Api(api).create_namespace({"metadata": {"name": NAMESPACE}})
    except ApiException as error:
        if error.status != 409:
            raise


def test_the_api_server_takes_every_plain_manifest(kubernetes: Kubernetes, system_namespace: None) -> None:
    """Force, because a chart that is installed there owns the same fields."""
    command = ("apply", "--server-side", "--dry-run=server", "--force-conflicts", "--validate=strict")
    said = kubernetes.kubectl(*command, "-k", str(ROOT / "config"))
    manifests = [one for one in yaml.safe_load_all(plain.TARGET.read_text()) if one]
    taken = sorted(line.split("/", 1)[1] for line in said.splitlines())
    assert taken == sorted(f"{one['metadata']['name']} serverside-applied (server dry run)" for one in manifests)


def test_the_health_checks_are_installed_beside_other_settings_of_argo_cd(
    kubernetes: Kubernetes, namespace: str
) -> None:
    before = {"resource.customizations.health.example.org_Thing": "return {}"}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": before}
    kubernetes.kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(manifest))
    patch = ROOT / "charts/plimsoll/argocd/argocd-cm.yaml"
    kubernetes.kubectl("-n", namespace, "patch", "configmap", "argocd-cm", "--patch-file", str(patch))
    data = kubernetes.get("configmap", "argocd-cm", namespace)["data"]
    ours = {f"resource.customizations.health.plimsoll.dev_{one.stem}": one.read_text() for one in HEALTH.glob("*.lua")}
    assert len(ours) == len(KINDS)
    assert data == before | ours
