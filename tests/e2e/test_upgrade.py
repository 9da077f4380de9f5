"""An upgrade of the operator restarts nothing: pods are made from the stored revision."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo import install
from demo.shell import ROOT, Kubernetes
from tests.e2e.releases import MANIFEST, Service, sound

CHART = str(ROOT / "charts" / "plimsoll")
METRICS = f"/api/v1/namespaces/{install.SYSTEM}/services/plimsoll-operator:8085/proxy/metrics"
SELECTOR = "plimsoll.dev/inferenceservice=digits"
OPERATOR = "app.kubernetes.io/component=operator"


@pytest.fixture
def serving(kubernetes: Kubernetes, namespace: str) -> str:
    """The namespace, where a model serves."""
    service = Service(kubernetes, namespace)
    service.make_bucket()
    service.publish(1, sound())
    service.kubectl("apply", "-f", "-", stdin=json.dumps(MANIFEST))
    service.kubectl("wait", "inf/digits", "--for=condition=Promoted", "--timeout=300s")
    return namespace


@pytest.fixture
def upgraded(kubernetes: Kubernetes, serving: str) -> Iterator[Callable[[], None]]:
    """Upgrades the operator to another serving image, which nothing could even start."""

    def upgrade() -> None:
        values = ("--reuse-values", "--set", "image.serving.tag=other")
        old = kubernetes.kubectl("-n", install.SYSTEM, "get", "pods", "-l", OPERATOR, "-o", "name").split()
        kubernetes.run("helm", "upgrade", "plimsoll", CHART, "-n", install.SYSTEM, *values, "--wait", "--timeout", "5m")
        # Helm waits for the new pod only; the old one could still answer, and even act, for a moment.
        kubernetes.kubectl("-n", install.SYSTEM, "wait", *old, "--for=delete", "--timeout=300s")
        eventually(lambda: passes(kubernetes) >= 1, "the new operator looked at the InferenceService")

    yield upgrade
    install.install(kubernetes)


def test_an_upgrade_of_the_operator_restarts_no_pod_and_the_next_revision_takes_the_new_image(
    kubernetes: Kubernetes, serving: str, upgraded: Callable[[], None]
) -> None:
    before, made = pods(kubernetes, serving), deployments(kubernetes, serving)
    assert before
    upgraded()
    assert pods(kubernetes, serving) == before
    assert deployments(kubernetes, serving) == made, "no Deployment was even written"

    change = {"spec": {"runtime": {"env": [{"name": "TRIED", "value": "yes"}]}}}
    kubernetes.kubectl("-n", serving, "patch", "inf", "digits", "--type=merge", "-p", json.dumps(change))
    eventually(lambda: len(deployments(kubernetes, serving)) == 2, "the candidate has a Deployment")
    images = {name: found[1] for name, found in deployments(kubernetes, serving).items()}
    new = next(name for name in images if name not in made)
    assert images[new].endswith(":other"), "the next revision takes the new serving image"
    eventually(lambda: status(kubernetes, serving).get("heldReason") == "ImageUnavailable", "the release is held")
    assert before.items() <= pods(kubernetes, serving).items(), "the stable pods serve on"


def pods(kubernetes: Kubernetes, namespace: str) -> dict[str, tuple[str, int]]:
    """Name → UID and restarts."""
    return {
        one["metadata"]["name"]: (
            one["metadata"]["uid"],
            sum(container.get("restartCount", 0) for container in one["status"].get("containerStatuses", ())),
        )
        for one in listed(kubernetes, namespace, "pods")
    }


def deployments(kubernetes: Kubernetes, namespace: str) -> dict[str, tuple[int, str]]:
    """Name → generation and image."""
    return {
        one["metadata"]["name"]: (
            one["metadata"]["generation"],
            one["spec"]["template"]["spec"]["containers"][0]["image"],
        )
        for one in listed(kubernetes, namespace, "deployments")
    }


def listed(kubernetes: Kubernetes, namespace: str, kind: str) -> list[dict[str, Any]]:
    found = kubernetes.kubectl("-n", namespace, "get", kind, "-l", SELECTOR, "-o", "json")
    items: list[dict[str, Any]] = json.loads(found)["items"]
    return items


def status(kubernetes: Kubernetes, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = kubernetes.get("inf", "digits", namespace).get("status", {})
    return found


def passes(kubernetes: Kubernetes) -> float:
    """Passes over InferenceServices of the operator that answers now."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(kubernetes.kubectl("get", "--raw", METRICS, check=False))
        for sample in family.samples
        if sample.name == "plimsoll_reconcile_total" and sample.labels["kind"] == "InferenceService"
    )


def eventually(fact: Callable[[], Any], what: str, seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := fact():
            return found
        time.sleep(0.5)
    pytest.fail(f"{what}: not within {seconds:g} s")
