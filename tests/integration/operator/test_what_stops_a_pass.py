"""What a pass meets outside its object, on the real API server: a store that is away, a quota. Sentences are exact."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kubernetes.client import ApiClient, ApiException, BatchV1Api, CoreV1Api
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.converge import inferenceservice, modelversion, trainingjob
from plimsoll.converge.ports import Pass, Unavailable, World
from plimsoll.core.run import training_run
from plimsoll.edge.cache import Cache
from plimsoll.edge.cluster import Cluster
from plimsoll.edge.rest import Api
from plimsoll.edge.store import S3, StoreSettings
from plimsoll.edge.store_admin import StoreAdmin
from plimsoll.facts import Manifest, Ref, Settings

from tests.builders import training as t
from tests.builders.world import FakeMetrics, FakeSigner, FakeStore, Faults
from tests.ports import free_port

PASSES: dict[str, Pass] = {
    "TrainingJob": trainingjob.reconcile,
    "ModelVersion": modelversion.reconcile,
    "InferenceService": inferenceservice.reconcile,
}


class Passes:
    """Passes over objects of one namespace, with this store."""

    def __init__(self, cluster: Cluster, store: Any) -> None:
        self.cluster = cluster
        self.world = World(cluster, FakeMetrics(), store, FakeSigner(), Settings(), time.time)

    async def over(self, manifest: Manifest) -> None:
        ref = Ref.of(manifest)
        await PASSES[ref.kind](self.world, ref)

    async def said(self, manifest: Manifest, type_: str) -> tuple[str, str, str]:
        """Status, reason and message of a condition."""
        found = await self.cluster.get(Ref.of(manifest))
        assert found is not None
        (one,) = [one for one in found["status"]["conditions"] if one["type"] == type_]
        return one["status"], one["reason"], one["message"]


def here(namespace: str, *manifests: dict[str, Any]) -> list[dict[str, Any]]:
    """The manifests in this namespace, artifacts in its bucket."""
    for manifest in manifests:
        manifest["metadata"]["namespace"] = namespace
        if manifest["kind"] == "ModelVersion":
            manifest["spec"]["artifact"]["uri"] = f"s3://plimsoll-{namespace}/mine.onnx"
    return list(manifests)


@pytest.fixture
def nowhere() -> str:
    """An endpoint where nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def without_store(cluster: Cluster, rest: Api, nowhere: str) -> Passes:
    settings = StoreSettings(nowhere, nowhere, nowhere, "us-east-1", "root", "unused")
    return Passes(cluster, S3(settings, rest, StoreAdmin(nowhere, "us-east-1", ("root", "unused"))))


def away(what: str) -> tuple[str, str, str]:
    remedy = "It is tried again; should it last, look at the store and at the operator's settings of it: docs/store.md."
    return "False", "StoreUnavailable", f"The artifact store does not answer: store: {what}. {remedy}"


def not_made(nowhere: str) -> str:
    """What is said when the bucket is to be made."""
    host = nowhere.removeprefix("http://")
    address, port = host.split(":")
    return f"create-user: Cannot connect to host {host} ssl:default [Connect call failed ('{address}', {port})]"


async def test_a_store_that_is_away_is_said_by_what_is_to_be_verified(
    custom_resources: None, without_store: Passes, post: Any, namespace: str, nowhere: str
) -> None:
    (version,) = here(namespace, t.model_version())
    await post(version)
    with pytest.raises(Unavailable):
        await without_store.over(version)
    assert await without_store.said(version, "Ready") == away(not_made(nowhere))
    assert await without_store.said(version, "StoreAvailable") == away(not_made(nowhere))


async def test_a_store_that_is_away_is_said_by_what_is_to_be_trained_and_once_only(
    custom_resources: None, without_store: Passes, post: Any, namespace: str, nowhere: str
) -> None:
    (job,) = here(namespace, t.training_job())
    made = await post(job)
    key = training_run(made, TrainingJobSpec.model_validate(made["spec"])).accepted_key
    error = f"Generic S3 error: Error performing GET {nowhere}/plimsoll-{namespace}/{key}"
    written = []
    for _ in range(2):
        with pytest.raises(Unavailable):
            await without_store.over(job)
        said = away(f"{key} was not read: {error} - HTTP error: error sending request")
        assert await without_store.said(job, "Ready") == said
        found = await without_store.cluster.get(Ref.of(job))
        assert found is not None
        written.append(found["metadata"]["resourceVersion"])
    assert written[0] == written[1], "the second time nothing is written: nothing is new"


async def test_a_store_that_is_away_is_said_by_what_is_to_be_served(
    custom_resources: None, without_store: Passes, cache: Cache, post: Any, namespace: str, nowhere: str
) -> None:
    version, service = here(namespace, t.model_version(), t.inference_service())
    made = await post(version)
    ready = await without_store.cluster.write_status({**version, **made}, {"phase": "Ready"})
    cache.put(ready)
    await post(service)
    # One pass begins the release, the next would make the first pods.
    await without_store.over(service)
    with pytest.raises(Unavailable):
        await without_store.over(service)
    assert await without_store.said(service, "StoreAvailable") == away(not_made(nowhere))


async def test_a_quota_that_allows_no_jobs_is_said_with_its_name(
    custom_resources: None, cluster: Cluster, api: ApiClient, post: Any, namespace: str
) -> None:
    quota = {"metadata": {"name": "no-jobs"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    CoreV1Api(api).create_namespaced_resource_quota(namespace, quota)
    _until_in_force(api, namespace)
    passes = Passes(cluster, FakeStore(Faults()))
    (manifest,) = here(namespace, t.training_job())
    await post(manifest)
    await passes.over(manifest)
    status, reason, message = await passes.said(manifest, "Ready")
    (job,) = [word for word in message.split() if word.endswith("-train")][:1]
    assert (status, reason) == ("False", "Refused")
    assert message == (
        f'The API server does not allow it: Job {job} was refused: jobs.batch "{job}" is forbidden: '
        "exceeded quota: no-jobs, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0."
    )


def _until_in_force(api: ApiClient, namespace: str) -> None:
    """A quota counts once its controller has written its status, and the API server has heard of it."""
    container = {"name": "any", "image": "any"}
    job = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            BatchV1Api(api).create_namespaced_job(namespace, job | {"metadata": {"name": "any"}}, dry_run="All")
        except ApiException as error:
            if "exceeded quota" in str(error.body):
                return
        time.sleep(0.1)
    pytest.fail("the quota is not in force")
