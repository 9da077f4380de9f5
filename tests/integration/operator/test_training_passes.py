"""Passes over TrainingJobs against a real API server, with its Job controller, scheduler, kubelet and Pod Security."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from plimsoll.converge import modelversion, trainingjob
from plimsoll.converge.ports import Conflict, World
from plimsoll.core.conditions import timestamp
from plimsoll.edge.cache import Cache
from plimsoll.edge.cluster import Cluster
from plimsoll.edge.resources import resource_of
from plimsoll.edge.rest import Api, Request
from plimsoll.facts import Manifest, Ref, Settings

from tests.builders import training as t
from tests.builders.world import FakeMetrics, FakeSigner, FakeStore, Faults

ABSENT = "localhost/plimsoll-absent:1"
CHILDREN = (("batch/v1", "Job"), ("v1", "Pod"), ("v1", "ConfigMap"))


class Story:
    """A TrainingJob in a namespace of its own; the cache is filled by lists."""

    def __init__(self, rest: Api, cache: Cache, cluster: Cluster, manifest: Manifest) -> None:
        self.rest, self.cache = rest, cache
        self.ref = Ref.of(manifest)
        self.store = FakeStore(Faults())
        settings = Settings(training_image=ABSENT, image_pull_policy="Never")
        self.world = World(cluster, FakeMetrics(), self.store, FakeSigner(), settings, time.time)

    async def go(self) -> None:
        """One pass after one look at the cluster."""
        await self.look()
        try:
            await trainingjob.reconcile(self.world, self.ref)
        except Conflict:
            await trainingjob.reconcile(self.world, self.ref)

    async def look(self) -> None:
        for api_version, kind in CHILDREN:
            resource = resource_of(api_version, kind)
            listed = await self.rest.call(Request("GET", resource.path(self.ref.namespace), resource.plural))
            for item in listed["items"]:
                self.cache.put({"apiVersion": api_version, "kind": kind, **item})

    async def until(self, told: Callable[[Manifest], bool]) -> Manifest:
        """Passes until the status says so: for two minutes at least, kubelet may have much to do."""
        for _ in range(240):
            await self.go()
            status = (await self.read())["status"]
            if told(status):
                return status
            await asyncio.sleep(0.5)
        raise AssertionError(f"it never came: {status}")

    async def read(self) -> Manifest:
        found = await self.world.cluster.get(self.ref)
        assert found is not None
        return found

    async def edit(self, **spec: Any) -> None:
        resource = resource_of(self.ref.api_version, self.ref.kind)
        path = resource.path(self.ref.namespace, self.ref.name)
        await self.rest.call(
            Request("PATCH", path, resource.plural, {"spec": spec}, None, "application/merge-patch+json")
        )

    async def job(self, component: str) -> Manifest:
        run = (await self.read())["status"]["run"]
        name = f"{self.ref.name}-{run[:8]}-{component}"
        found = await self.world.cluster.get(Ref("batch/v1", "Job", self.ref.namespace, name))
        assert found is not None
        return found

    async def run_out_of_time(self, component: str) -> None:
        """Let the Job be past its deadline now, however long its pods took until here."""
        job = await self.job(component)
        resource = resource_of("batch/v1", "Job")
        path = resource.path(self.ref.namespace, job["metadata"]["name"])
        body = {"spec": {"activeDeadlineSeconds": 1}}
        await self.rest.call(Request("PATCH", path, resource.plural, body, None, "application/merge-patch+json"))

    async def pretend(self, component: str, *ends: Manifest) -> None:
        """Let the cache say that the Job is complete and how its containers ended."""
        job = copy.deepcopy(dict(await self.job(component)))
        number = int(job["metadata"]["resourceVersion"]) + 10_000_000
        job["metadata"]["resourceVersion"] = str(number)
        complete = {"type": "Complete", "status": "True", "lastTransitionTime": timestamp(time.time())}
        job["status"] = {"conditions": [complete], "completionTime": timestamp(time.time())}
        self.cache.put(job)
        pod = t.pod_of(job, 0, {"phase": "Succeeded", "containerStatuses": list(ends)})
        pod["metadata"] |= {"uid": f"pretended-{component}", "resourceVersion": str(number)}
        self.cache.put(pod)


@pytest.fixture
async def begin(
    custom_resources: None, rest: Api, cache: Cache, cluster: Cluster, namespace: str, post: Any
) -> Callable[..., Any]:
    async def begin(*modifiers: t.Modifier) -> Story:
        here = lambda manifest: manifest["metadata"].update(namespace=namespace)  # noqa: E731
        return Story(rest, cache, cluster, await post(t.training_job(*modifiers, here)))

    return begin


def reason(status: Manifest) -> str:
    return next(str(one["reason"]) for one in status["conditions"] if one["type"] == "Ready")


@pytest.mark.parametrize("trainer", [t.with_spec(), t.with_container(ABSENT)], ids=["sklearn", "container"])
async def test_pods_of_a_run_pass_pod_security_and_a_missing_image_is_named(begin: Any, trainer: t.Modifier) -> None:
    story = await begin(trainer)
    status = await story.until(lambda status: reason(status) == "ImagePullBackOff")
    ready = status["conditions"][0]["message"]
    assert ready.startswith(f"The image {ABSENT} of container fetch cannot be pulled")


async def test_a_job_that_runs_out_of_time_fails_with_what_it_waited_for(begin: Any) -> None:
    story = await begin()
    await story.until(lambda status: reason(status) == "ImagePullBackOff")
    await story.run_out_of_time("train")
    status = await story.until(lambda status: status["phase"] == "Failed")
    assert reason(status) == "ImagePullBackOff"
    message = status["conditions"][0]["message"]
    assert "ran past its deadline of 1 s" in message and "Before that: The image" in message


async def test_a_running_job_is_suspended_and_resumed(begin: Any) -> None:
    story = await begin()
    await story.go()
    await story.edit(suspend=True)
    await story.go()
    job = await story.job("train")
    assert job["spec"]["suspend"] is True
    assert job["spec"]["template"]["spec"]["initContainers"][0]["name"] == "fetch"
    assert (await story.read())["status"]["phase"] == "Suspended"
    await story.edit(suspend=False)
    await story.until(lambda status: status["phase"] == "Training")
    assert (await story.job("train"))["spec"]["suspend"] is False


async def test_an_edit_replaces_the_running_job(begin: Any) -> None:
    story = await begin()
    await story.go()
    old = await story.job("train")
    await story.edit(seed=8)
    await story.go()
    new = await story.job("train")
    assert new["metadata"]["name"] != old["metadata"]["name"]
    gone = await story.world.cluster.get(Ref.of(old))
    assert gone is None or gone["metadata"].get("deletionTimestamp")


async def test_what_a_run_writes_is_what_the_schemas_allow(begin: Any, rest: Api, cache: Cache) -> None:
    story = await begin()
    await story.go()
    await story.pretend("train", t.terminated("upload", 0))
    await trainingjob.reconcile(story.world, story.ref)
    run = (await story.read())["status"]["run"]
    document = t.result(run)
    folder = f"s3://plimsoll-{story.ref.namespace}/models/digits/sha256/{t.DIGEST}"
    document["artifact"] |= {"uri": f"{folder}/model.onnx"}
    document["profile"] |= {"uri": f"{folder}/profile.json"}
    story.store.objects[story.ref.namespace, f"runs/{run}/result.json"] = t.body_of(document)
    await story.pretend("publish", t.terminated("publish", 0, t.message_of(document)))
    for _ in range(4):
        await trainingjob.reconcile(story.world, story.ref)
    ended = await story.read()
    assert (ended["status"]["phase"], ended["status"]["modelVersion"]) == ("Succeeded", "digits-v1")
    assert await trainingjob.reconcile(story.world, story.ref) is None
    assert (await story.read())["metadata"]["resourceVersion"] == ended["metadata"]["resourceVersion"]
    await _version_is_ready(story)


async def _version_is_ready(story: Story) -> None:
    ref = replace(story.ref, kind="ModelVersion", name="digits-v1")
    key = f"models/digits/sha256/{t.DIGEST}/manifest.json"
    story.store.objects[story.ref.namespace, key] = b"{}"
    await modelversion.reconcile(story.world, ref)
    version = await story.world.cluster.get(ref)
    assert version is not None
    assert version["status"]["phase"] == "Ready"
    assert await modelversion.reconcile(story.world, ref) is None
    again = await story.world.cluster.get(ref)
    assert again is not None
    assert again["metadata"]["resourceVersion"] == version["metadata"]["resourceVersion"]


async def test_a_version_of_a_users_gets_a_verify_job_that_is_admitted(begin: Any, post: Any) -> None:
    story = await begin(t.with_spec(suspend=True))
    namespace = story.ref.namespace
    manifest = t.model_version()
    manifest["metadata"]["namespace"] = namespace
    manifest["spec"]["artifact"]["uri"] = f"s3://plimsoll-{namespace}/mine.onnx"
    await post(manifest)
    ref = Ref.of(manifest)
    for _ in range(240):
        await story.look()
        await modelversion.reconcile(story.world, ref)
        version = await story.world.cluster.get(ref)
        assert version is not None
        if reason(version["status"]) == "ImagePullBackOff":
            return
        await asyncio.sleep(0.5)
    raise AssertionError(version["status"])
