"""Real pods: the cluster that `make cluster` brings up, with the chart installed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from demo import cluster, install
from demo.shell import Kubernetes


@pytest.fixture(scope="session")
def kubernetes() -> Kubernetes:
    """The cluster with the operator installed for all namespaces."""
    found = cluster.ready(os.environ.get("CONTEXT"))
    install.install(found)
    return found


@pytest.fixture
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    """A fresh namespace that enforces Pod Security `restricted`."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    install.restricted_namespace(kubernetes, name)
    yield name
    kubernetes.kubectl("delete", "namespace", name, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failing test shows what happened in the namespaces that it touched."""
    report = yield
    if report.failed and "kubernetes" in getattr(item, "funcargs", {}):
        kubernetes: Kubernetes = item.funcargs["kubernetes"]  # type: ignore[attr-defined]
        for name in {item.funcargs.get("namespace"), install.SYSTEM} - {None}:  # type: ignore[attr-defined]
            report.sections.append((f"namespace {name}", what_happened(kubernetes, str(name))))
    return report


def what_happened(kubernetes: Kubernetes, namespace: str) -> str:
    """Objects with their columns, the last events, and the last log lines of every pod."""
    parts = [
        kubernetes.kubectl("-n", namespace, "get", "tj,mv,inf,spool,jobs,deployments,pods", "-o", "wide", check=False)
    ]
    events = kubernetes.kubectl("-n", namespace, "get", "events", "--sort-by=.lastTimestamp", check=False)
    parts.append("\n".join(events.splitlines()[-20:]))
    for pod in kubernetes.kubectl("-n", namespace, "get", "pods", "-o", "name", check=False).split():
        parts.append(f"--- {pod}")
        parts.append(kubernetes.kubectl("-n", namespace, "logs", pod, "--all-containers", "--tail=25", check=False))
    return "\n".join(parts)
