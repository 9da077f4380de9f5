"""The pod of a pool that the operator renders, run by the real sidecar and server, and read by the operator."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.api.servingpool import ServingPoolSpec
from plimsoll.core import following, route
from plimsoll.core import revision as revisions
from plimsoll.core.pool import template as templates
from plimsoll.core.pool import view
from plimsoll.core.release.observed import Observed, Pool
from plimsoll.core.revision import Revision
from plimsoll.core.serving_pod import Serving
from plimsoll.edge.metrics import Scrape
from plimsoll.facts import Sample, Settings

from tests.builders import onnx_models
from tests.integration.contract.conftest import MODEL, NAMESPACE, SERVICE, _uploaded, row
from tests.integration.contract.kubelet import NETWORK, Pod
from tests.integration.serving.harness import COEFFICIENTS, INTERCEPTS, RIGHT, SOURCES, eventually

ADDRESS = f"{NETWORK}.9"


class PooledPod(Pod):
    """Its init container is a sidecar: it runs as long as the pod."""

    def initialize(self) -> None:
        (sidecar,) = self.spec["initContainers"]
        assert sidecar["restartPolicy"] == "Always"
        self._sidecar = self._start(sidecar, self._folder / "fetch.log")

    def kill(self) -> None:
        super().kill()
        self._sidecar.kill()
        self._sidecar.wait(60)


class Member:
    """A service of the pool whose versions are given, as the operator sees it."""

    def __init__(self, *versions: Revision) -> None:
        self.revisions = versions

    def observed(self, status: InferenceServiceStatus, config_map: dict[str, Any]) -> Observed:
        spec = {"model": {"name": MODEL}, "runtime": {"pool": {"name": "shared"}}}
        return Observed(
            owner={"metadata": {"name": SERVICE, "namespace": NAMESPACE, "uid": "u"}},
            spec=InferenceServiceSpec.model_validate(spec), status=status, settings=Settings(), now=time.time(),
            revisions=self.revisions, pool=Pool("shared", True, {}, config_map),
        )  # fmt: skip

    def status(self, weight: int, epoch: int, mirror: int | None = None) -> InferenceServiceStatus:
        stable, candidate = ({"revision": one.name, "version": one.version} for one in self.revisions)
        told = {"stable": stable, "candidate": candidate, "primary": stable["revision"], "phase": "Analyzing"}
        return InferenceServiceStatus.model_validate(told | {"weight": weight, "epoch": epoch, "mirror": mirror})

    def config_map(self, status: InferenceServiceStatus) -> dict[str, Any]:
        """The pool's ConfigMap once this service has written its key."""
        empty = templates.config_map("shared", NAMESPACE)
        observed = self.observed(status, empty)
        text = view.text_of(view.document(observed, route.document(observed, status)))
        return {**empty, "data": {**empty["data"], view.key_of(SERVICE): text}}


@pytest.fixture(scope="module")
def member(secrets: Mapping[str, Mapping[str, str]]) -> Member:
    runtime = InferenceServiceSpec.model_validate({"model": {"name": MODEL}, "runtime": {"pool": {"name": "shared"}}})

    def made(number: int, model: bytes) -> Revision:
        spec = ModelVersionSpec.model_validate(_uploaded(secrets, model))
        return revisions.render(
            Serving(SERVICE, NAMESPACE, str(number), spec, runtime.runtime), Settings(), None, number
        )

    failing = onnx_models.failing_classifier(COEFFICIENTS, INTERCEPTS, feature=0, threshold=100.0)
    return Member(made(1, RIGHT), made(2, failing))


@pytest.fixture(scope="module")
def pod(
    member: Member, secrets: Mapping[str, Mapping[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PooledPod]:
    spec = ServingPoolSpec.model_validate({"storage": "64Mi"})
    chosen = templates.chosen((), {"name": "shared", "namespace": NAMESPACE}, spec, Settings())
    template = templates.deployment(chosen)["spec"]["template"]
    made = PooledPod(tmp_path_factory.mktemp("pool"), template, "shared-pool-x", ADDRESS, secrets)
    made.mount(member.config_map(member.status(0, 1)))
    try:
        made.initialize()
        made.start()
        made.until_ready()
        yield made
    finally:
        made.kill()


async def scraped(pod: PooledPod, member: Member) -> Sample:
    reader = Scrape(time.time, timeout=30.0)
    try:
        return await reader.pooled([pod.manifest], [one.name for one in member.revisions])
    finally:
        await reader.close()


def ask(pod: PooledPod, first: float = 1.0) -> httpx.Response:
    body = row()
    body["inputs"][0]["data"][0] = first
    url = f"http://{pod.address}:{pod.port('http')}/v2/models/{MODEL}/infer"
    return httpx.post(url, json=body, headers={"host": f"{SERVICE}.{NAMESPACE}.svc"}, timeout=60)


def test_every_variable_of_the_pod_is_one_that_the_programs_read(pod: PooledPod) -> None:
    command = [sys.executable, "-m", "plimsoll_serving", "--help"]
    environment = {"PYTHONPATH": str(SOURCES)}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"PLIMSOLL_[A-Z0-9_]+", printed))
    for container in (*pod.spec["initContainers"], *pod.spec["containers"]):
        given = {one["name"] for one in container["env"] if one["name"].startswith("PLIMSOLL_")}
        assert given - known == set(), container["name"]


async def test_a_document_that_the_operator_writes_is_split_counted_and_read_as_the_release_needs_it(
    pod: PooledPod, member: Member
) -> None:
    stable, candidate = (one.name for one in member.revisions)
    pod.mount(member.config_map(member.status(50, 2)))

    def followed() -> bool:
        told = httpx.get(f"http://{pod.address}:{pod.port('metrics')}/route").json()["services"][SERVICE]
        return bool(told["epoch"] == 2)

    eventually(followed, "epoch 2")
    eventually(lambda: ask(pod).status_code == 200, "an answer")
    before = await scraped(pod, member)
    answers = [ask(pod) for _ in range(40)]
    assert {one.headers["plimsoll-revision"] for one in answers} == {stable, candidate}
    assert {ask(pod, 200.0).status_code for _ in range(30)} == {200}, "the primary answers for a candidate that fails"
    after = await scraped(pod, member)

    assert {name: one.state for name, one in after.models["shared-pool-x"].items()} == {
        stable: "ready",
        candidate: "ready",
    }
    first, second = after.pods
    assert (first.pod, first.revision, second.pod) == ("shared-pool-x", stable, f"shared-pool-x/{candidate}")
    assert (first.epoch, second.epoch) == (2, 2)
    assert second.arm_requests == {}
    assert first.arm_requests[candidate, "server_error"] > before.pods[0].arm_requests[candidate, "server_error"]
    asked = sum(first.arm_requests.values()) - sum(before.pods[0].arm_requests.values())
    assert 40 <= asked <= 70, "what a breaker keeps from the candidate belongs to no arm"
    assert first.latency[-1] > before.pods[0].latency[-1]


async def test_the_view_of_the_release_sees_pods_that_are_ready_and_follow(pod: PooledPod, member: Member) -> None:
    status = member.status(50, 2)
    config_map = member.config_map(status)
    pod.mount(config_map)
    sample = await scraped(pod, member)
    ready = {**pod.manifest, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    observed = member.observed(status, config_map)
    pool = Pool("shared", True, {"spec": {"replicas": 1}}, config_map, (ready,))
    seen = view.as_seen(Observed(**{
        **{name: getattr(observed, name) for name in Observed.__dataclass_fields__}, "pool": pool, "sample": sample,
    }))  # fmt: skip
    assert [seen.ready(one.name) for one in member.revisions] == [1, 1]
    assert following.followed(seen, status)
    assert not following.uninformed(seen)
    assert seen.troubles == {}


async def test_copies_that_the_operator_asks_for_are_compared_and_read_as_pairs(pod: PooledPod, member: Member) -> None:
    stable, candidate = (one.name for one in member.revisions)
    pod.mount(member.config_map(member.status(0, 3, mirror=100)))

    def followed() -> bool:
        told = httpx.get(f"http://{pod.address}:{pod.port('metrics')}/route").json()["services"][SERVICE]
        return bool(told["epoch"] == 3)

    eventually(followed, "epoch 3")
    before = await scraped(pod, member)
    assert {ask(pod).headers["plimsoll-revision"] for _ in range(10)} == {stable}
    assert {ask(pod, 200.0).status_code for _ in range(5)} == {200}, "only the shadow fails on these"
    keys = {outcome: ("pair", stable, candidate, outcome) for outcome in ("match", "mismatch", "candidate_error")}

    def pairs(sample: Sample) -> dict[str, float]:
        counted, other = sample.pods
        assert not [key for key in other.counts if key[0] == "pair"], "counted once for the pod"
        return {outcome: counted.counts.get(key, 0) for outcome, key in keys.items()}

    for _ in range(600):
        after = await scraped(pod, member)
        grown = {outcome: count - pairs(before)[outcome] for outcome, count in pairs(after).items()}
        if sum(grown.values()) >= 15:
            break
        await asyncio.sleep(0.1)
    assert grown == {"match": 10, "mismatch": 0, "candidate_error": 5}
    assert after.pods[1].latency[-1] - before.pods[1].latency[-1] == 15, "the times of copies are the shadow's"
    failed = [one.pods[0].arm_requests[candidate, "server_error"] for one in (before, after)]
    assert failed[0] == failed[1], "no user was given to the shadow"


def test_the_server_has_no_credentials_and_the_sidecar_no_port(pod: PooledPod) -> None:
    (sidecar,) = pod.spec["initContainers"]
    assert not set(pod.environment(pod.server)) & {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(pod.environment(sidecar))
    assert "ports" not in sidecar
    assert json.dumps(pod.server["env"]).count(names.STORE_SECRET) == 0
