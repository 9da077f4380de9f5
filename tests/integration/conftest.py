"""The cluster of integration tests: KUBECONFIG and CONTEXT, else the development cluster."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, ApiException, CoreV1Api

from tests.integration import installed_operator

ROOT = Path(__file__).resolve().parents[2]
PLURALS = ("trainingjobs", "modelversions", "inferenceservices", "servingpools")
MANAGER = "tests"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

# httpx gives up after 5 s where a test names no timeout; a busy machine may take longer.
_PATIENCE = inspect.signature(httpx.get).parameters["timeout"].default
_PATIENCE.connect = _PATIENCE.read = _PATIENCE.write = _PATIENCE.pool = 60.0


@dataclass(frozen=True)
class ClusterAccess:
    """Path of a kubeconfig, and its context (None: the current one)."""

    kubeconfig: str
    context: str | None


@pytest.fixture(scope="session")
def cluster_access() -> ClusterAccess:
    """Fails with one sentence when no cluster is configured."""
    path = os.environ.get("KUBECONFIG") or _devcluster_kubeconfig()
    if not Path(path).is_file():
        pytest.fail(
            f"no cluster: start one with `python3 devcluster up`, or set KUBECONFIG ({path} is not a file)",
            pytrace=False,
        )
    return ClusterAccess(path, os.environ.get("CONTEXT") or None)


def _devcluster_kubeconfig() -> str:
    printed = subprocess.run([sys.executable, ROOT / "devcluster", "env"], capture_output=True, text=True, check=False)
    lines = [line.removeprefix("export KUBECONFIG=") for line in printed.stdout.splitlines() if "KUBECONFIG=" in line]
    return lines[0].strip("'\"") if lines else "python3 devcluster env named none"


@pytest.fixture(scope="session")
def api(cluster_access: ClusterAccess) -> Iterator[ApiClient]:
    """The official client, logged in; an operator that is installed for all namespaces has no pods meanwhile."""
    client = config.new_client_from_config(cluster_access.kubeconfig, context=cluster_access.context)
    try:
        CoreV1Api(client).list_namespace(limit=1, _request_timeout=60)
    except Exception as error:
        pytest.fail(
            f"no cluster: {cluster_access.kubeconfig} leads to {client.configuration.host}: {error}", pytrace=False
        )
    with installed_operator.away(client):
        yield client
    client.close()


@pytest.fixture
def make_namespace(api: ApiClient) -> Iterator[Callable[[], str]]:
    """Fresh namespaces with Pod Security `restricted` enforced, deleted at the end."""
    core, made = CoreV1Api(api), list[str]()

    def make() -> str:
        name = f"test-{uuid.uuid4().hex[:10]}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        core.create_namespace({"metadata": {"name": name, "labels": labels}})
        made.append(name)
        return name

    yield make
    for name in made:
        core.delete_namespace(name, propagation_policy="Background")


@pytest.fixture
def namespace(make_namespace: Callable[[], str]) -> str:
    """A fresh namespace."""
    return make_namespace()


@pytest.fixture(scope="session")
def custom_resources(api: ApiClient) -> None:
    """Our CRDs, served."""
    for plural in PLURALS:
        manifest = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())
        _patch(
            api,
            f"{CRDS}/{manifest['metadata']['name']}?fieldManager={MANAGER}&force=true",
            "apply-patch+yaml",
            manifest,
        )
    for plural in PLURALS:
        _await_served(api, plural)
        _disown(api, f"{CRDS}/{plural}.plimsoll.dev")


def _disown(api: ApiClient, path: str) -> None:
    """Helm refuses to change what another manager has applied: an install must stay upgradable after these tests.

    One manager has to remain, the API server with the status it wrote: of an object that nobody manages, the next
    apply gives all fields to a manager called `before-first-apply`, and they conflict just so.
    """
    entries = _get(api, path)["metadata"]["managedFields"]
    others = [entry for entry in entries if entry["manager"] != MANAGER]
    assert others, f"{path}: served, but nobody wrote its status"
    _patch(api, path, "merge-patch+json", {"metadata": {"managedFields": others}})


def _get(api: ApiClient, path: str) -> Any:
    return _call(api, "GET", path, {"Accept": "application/json"})


def _patch(api: ApiClient, path: str, kind: str, body: Any) -> Any:
    return _call(api, "PATCH", path, {"Content-Type": f"application/{kind}", "Accept": "application/json"}, body)


def _call(api: ApiClient, method: str, path: str, headers: dict[str, str], body: Any = None) -> Any:
    answer = api.call_api(method, f"{api.configuration.host}{path}", headers, body, _request_timeout=60)
    text = answer.read().decode()
    if answer.status >= 300:
        raise ApiException(answer.status, f"{answer.reason}: {text}")
    return json.loads(text)


def _await_served(api: ApiClient, plural: str) -> None:
    url = f"{api.configuration.host}/apis/plimsoll.dev/v1alpha1/{plural}"
    for _ in range(900):
        if api.call_api("GET", url, {"Accept": "application/json"}, _request_timeout=60).status == 200:
            return
        time.sleep(0.1)
    pytest.fail(f"{plural} are not served within 90 s")
