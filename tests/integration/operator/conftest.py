from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from kubernetes.client import ApiClient
from plimsoll import names
from plimsoll.edge.cache import Cache
from plimsoll.edge.cluster import Cluster
from plimsoll.edge.events import Recorder
from plimsoll.edge.resources import resource_of
from plimsoll.edge.rest import Api, Request, configuration
from plimsoll.facts import Manifest

Build = Callable[..., dict[str, Any]]


@pytest.fixture
async def rest(api: ApiClient, cluster_access: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """The operator's own connection."""
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", cluster_access.kubeconfig)
    rest = Api(await configuration(cluster_access.context))
    yield rest
    await rest.close()


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def cluster(rest: Api, cache: Cache) -> Cluster:
    """Holds its lease for ever."""
    return Cluster(rest, cache, Recorder(rest, "test", time.time), lambda: float("inf"))


@pytest.fixture
def config_map(namespace: str) -> Build:
    """A manifest of a ConfigMap of ours."""
    numbers = itertools.count()

    def build(name: str | None = None, **data: str) -> dict[str, Any]:
        metadata = {"name": name or f"cm-{next(numbers)}", "namespace": namespace, "labels": names.labels("route")}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    return build


@pytest.fixture
def post(rest: Api) -> Callable[[Manifest], Any]:
    """Create an object as a user does, past the operator's cluster."""

    async def post(manifest: Manifest) -> Any:
        resource = resource_of(manifest["apiVersion"], manifest["kind"])
        return await rest.call(
            Request("POST", resource.path(manifest["metadata"]["namespace"]), resource.plural, manifest)
        )

    return post


@pytest.fixture
async def owner(custom_resources: None, namespace: str, post: Any) -> Manifest:
    """A ModelVersion: an object of ours that needs nothing else."""
    return await post(model_version(namespace, f"m{uuid.uuid4().hex[:6]}"))


def model_version(namespace: str, model: str) -> dict[str, Any]:
    digest = "a" * 64
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": f"{model}-v1", "namespace": namespace},
        "spec": {
            "model": model,
            "artifact": {
                "uri": f"s3://plimsoll-{namespace}/m.onnx",
                "sha256": digest,
                "sizeBytes": 1,
                "format": "onnx",
            },
        },
    }
