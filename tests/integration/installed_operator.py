"""An operator that `make demo` or an end-to-end test left installed would act on the objects of these tests too."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from kubernetes.client import ApiClient, ApiException, AppsV1Api, CoreV1Api

NAMESPACE, NAME = "plimsoll-system", "plimsoll-operator"
PODS = "app.kubernetes.io/name=plimsoll,app.kubernetes.io/component=operator"
#: Holds the replicas while they are 0, so that tests which were killed are made good by the next ones.
REMEMBERED = "plimsoll.dev/replicas-before-tests"


@contextlib.contextmanager
def away(api: ApiClient) -> Iterator[None]:
    """No pod of the installed operator runs inside the block; without an install nothing happens."""
    apps = AppsV1Api(api)
    try:
        found = apps.read_namespaced_deployment(NAME, NAMESPACE)
    except ApiException as error:
        if error.status != 404:
            raise
        yield
        return
    replicas = int((found.metadata.annotations or {}).get(REMEMBERED, found.spec.replicas))
    _remember(apps, str(replicas))
    _scale(apps, 0)
    try:
        _await_no_pods(api)
        yield
    finally:
        _scale(apps, replicas)
        _remember(apps, None)


def _remember(apps: AppsV1Api, replicas: str | None) -> None:
    apps.patch_namespaced_deployment(NAME, NAMESPACE, {"metadata": {"annotations": {REMEMBERED: replicas}}})


def _scale(apps: AppsV1Api, replicas: int) -> None:
    """As `kubectl scale` does. Written to the Deployment itself, the field would no longer be Helm's to change."""
    apps.patch_namespaced_deployment_scale(NAME, NAMESPACE, {"spec": {"replicas": replicas}})


def _await_no_pods(api: ApiClient) -> None:
    core, deadline = CoreV1Api(api), time.monotonic() + 180
    while pods := core.list_namespaced_pod(NAMESPACE, label_selector=PODS).items:
        if time.monotonic() > deadline:
            pytest.fail(f"the installed operator still runs: {', '.join(pod.metadata.name for pod in pods)}")
        time.sleep(0.2)
