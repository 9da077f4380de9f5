"""Two revisions of a service as the operator renders them, their model in a real S3 store, their pods as processes."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store
from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.api.runtime import Runtime
from plimsoll.core import revision as revisions
from plimsoll.core import route
from plimsoll.core.release.observed import Observed
from plimsoll.core.revision import Revision
from plimsoll.core.serving_pod import Serving
from plimsoll.edge.rest import Api, Request
from plimsoll.edge.store import S3, StoreSettings
from plimsoll.edge.store_admin import StoreAdmin
from plimsoll.facts import Settings

from tests.builders import onnx_models
from tests.builders.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, running_s3_server
from tests.integration.contract.kubelet import NETWORK, Network, Pod
from tests.integration.serving.harness import COEFFICIENTS, INTERCEPTS, RIGHT, v2

NAMESPACE, SERVICE, MODEL = "demo", "digits", "digits"


class Posted(Api):
    """Keeps what the operator creates."""

    def __init__(self) -> None:
        self.manifests: list[Mapping[str, Any]] = []

    async def call(self, request: Request) -> dict[str, Any]:
        self.manifests.append(request.body)
        return dict(request.body)


@dataclass(frozen=True)
class Rendered:
    """What the operator makes of two versions, and the pods that run from it."""

    stable: Revision
    candidate: Revision
    pods: tuple[Pod, Pod]
    network: Network

    def status(self, **changes: Any) -> InferenceServiceStatus:
        """A release at 50 %."""
        base = {
            "stable": {"revision": self.stable.name, "version": self.stable.version},
            "candidate": {"revision": self.candidate.name, "version": self.candidate.version},
            "primary": self.stable.name,
            "phase": "Analyzing",
            "weight": 50,
            "epoch": 3,
        }
        return InferenceServiceStatus.model_validate(base | changes)

    def config_map(self, status: InferenceServiceStatus, **spec: Any) -> dict[str, Any]:
        """The route ConfigMap of a status."""
        service = {"model": {"name": MODEL}, **spec}
        observed = Observed(
            owner={"metadata": {"name": SERVICE, "namespace": NAMESPACE, "uid": "u"}},
            spec=InferenceServiceSpec.model_validate(service),
            status=status,
            settings=Settings(),
            now=time.time(),
        )
        return route.config_map(observed, route.document(observed, status))

    def follow(self, status: InferenceServiceStatus) -> None:
        """Let every pod have the route of a status."""
        for pod in self.pods:
            pod.mount(self.network.resolved(self.config_map(status)))


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    accounts = tmp_path_factory.mktemp("accounts")
    with running_s3_server(tmp_path_factory.mktemp("s3"), accounts) as server:
        yield server


@pytest.fixture(scope="module")
def secrets(s3: S3Server) -> Mapping[str, Mapping[str, str]]:
    """Secrets of the namespace as the operator makes them, with their user and bucket in the store."""
    posted, region = Posted(), "us-east-1"
    settings = StoreSettings(s3.endpoint, s3.endpoint, s3.endpoint, region, ACCESS_KEY, SECRET_KEY)
    store = S3(settings, posted, StoreAdmin(s3.endpoint, region, (ACCESS_KEY, SECRET_KEY)))
    asyncio.run(store.ensure_namespace(NAMESPACE))
    return {
        one["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in one["data"].items()}
        for one in posted.manifests
        if one["kind"] == "Secret"
    }


@pytest.fixture(scope="module")
def rendered(secrets: Mapping[str, Mapping[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rendered]:
    """Both pods ready; they have no route yet."""
    models = (RIGHT, onnx_models.linear_classifier(COEFFICIENTS, -INTERCEPTS))
    stable, candidate = (
        _revision(str(number), _uploaded(secrets, model)) for number, model in enumerate(models, start=1)
    )
    folder = tmp_path_factory.mktemp("pods")
    pods = tuple(_pod(folder, one, f"{NETWORK}.{one.version}", secrets) for one in (stable, candidate))
    public = revisions.public_service(SERVICE, NAMESPACE, MODEL, stable.name)
    services = [public, *map(revisions.direct_service, (stable, candidate))]
    try:
        for pod in pods:
            pod.initialize()
            pod.start()
        for pod in pods:
            pod.until_ready()
        yield Rendered(stable, candidate, (pods[0], pods[1]), Network(NAMESPACE, services, list(pods)))
    finally:
        for pod in pods:
            pod.kill()


def _uploaded(secrets: Mapping[str, Mapping[str, str]], model: bytes) -> dict[str, Any]:
    """The spec of a ModelVersion whose file and profile lie in the namespace's bucket, put there as its user."""
    secret = secrets[names.STORE_SECRET]
    bucket = secret["PLIMSOLL_BUCKET"]
    store = S3Store(
        bucket,
        endpoint=secret["AWS_ENDPOINT_URL"],
        region=secret["AWS_REGION"],
        access_key_id=secret["AWS_ACCESS_KEY_ID"],
        secret_access_key=secret["AWS_SECRET_ACCESS_KEY"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    digest = onnx_models.digest(model)
    folder = f"models/{MODEL}/sha256/{digest}"
    sample = [{"input": [1.0, 2.0, 3.0, 4.0]}]
    numbers = {"edges": [0.5], "counts": [500, 500], "range": [0.0, 9.0]}
    features = [{"name": name, "index": index, **numbers} for index, name in enumerate("abcd")]
    outputs = [{"name": "label", "values": [0, 1, 2], "counts": [1, 1, 1, 0]}, {"name": "probabilities", **numbers}]
    profile = json.dumps({"formatVersion": 1, "features": features, "outputs": outputs, "sample": sample}).encode()
    obstore.put(store, f"{folder}/model.onnx", model)
    obstore.put(store, f"{folder}/profile.json", profile)
    return {
        "model": MODEL,
        "artifact": {"uri": f"s3://{bucket}/{folder}/model.onnx", "sha256": digest, "sizeBytes": len(model)},
        "profile": {"uri": f"s3://{bucket}/{folder}/profile.json", "sha256": onnx_models.digest(profile)},
    }


def _revision(version: str, spec: dict[str, Any]) -> Revision:
    runtime = Runtime.model_validate({"intraOpThreads": 1, "env": [{"name": "MINE", "value": "1"}]})
    serving = Serving(SERVICE, NAMESPACE, version, ModelVersionSpec.model_validate(spec), runtime)
    return revisions.render(serving, Settings(), None, int(version))


def _pod(folder: Path, revision: Revision, address: str, secrets: Mapping[str, Mapping[str, str]]) -> Pod:
    template = revisions.deployment(revision)["spec"]["template"]
    return Pod(folder / revision.name, template, f"{revision.name}-x", address, secrets)


def row() -> dict[str, Any]:
    """An inference request that both versions answer."""
    return v2([1, 2, 3, 4])
