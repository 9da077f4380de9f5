"""Twenty services on one pool: one of them is released and taken back, and the others notice nothing."""

from __future__ import annotations

import contextlib
import copy
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from demo import install, load, store, watch
from demo.shell import Kubernetes, Stop
from examples.quickstart import elsewhere
from tests.e2e.releases import MANIFEST, fragile, sound, sound_too, wrong_answers

IMAGE = "localhost/plimsoll-serving:dev"
NAMESPACE = f"e2e-pool-{uuid.uuid4().hex[:6]}"
MODEL = "digits"
SERVICES = [f"digits-{number:02}" for number in range(20)]
MOVING, NEIGHBOUR = SERVICES[0], SERVICES[7]
#: The pod that sends the requests of the neighbour.
NEIGHBOURS = "traffic-neighbour"
AT_REST = ("Idle", "RolledBack")
POOL: dict[str, Any] = {
    "apiVersion": "plimsoll.dev/v1alpha1",
    "kind": "ServingPool",
    "metadata": {"name": "shared"},
    "spec": {
        "replicas": 2,
        "resources": {"cpu": "100m", "memory": "512Mi", "cpuLimit": "1"},
        "storage": "1Gi",
    },
}
COPIES = {"strategy": "Shadow", "steps": None, "shadow": {"percent": 100, "minDuration": "2s", "minRequests": 60}}
#: In a pool a version answers by itself under its own path. It takes one input, and 7 are demanded.
JUDGE = """
import json, os, pathlib, sys, urllib.request

asked = json.loads(os.environ["PLIMSOLL_DOCUMENT"])
service = f"http://{os.environ['PLIMSOLL_SERVICE']}.{os.environ['PLIMSOLL_NAMESPACE']}.svc"
model = f"{service}/v2/models/{asked['service']['model']}/versions/{asked['candidate']['version']}"
with urllib.request.urlopen(model, timeout=10) as answer:
    inputs = json.load(answer)["inputs"]
    served = answer.headers["plimsoll-model-version"]
pathlib.Path("/dev/termination-log").write_text(f"version {served} takes {len(inputs)} inputs")
sys.exit(0 if len(inputs) == 7 else 10)
"""
#: What a release of one service must leave as it is in every other.
LASTING = ("phase", "stable", "attempt", "epoch", "primary", "quarantine", "history")


class Pool:
    """The pool of the namespace and its services."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self.kubernetes = kubernetes
        self.models: dict[str, bytes] = {}

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.kubernetes.kubectl("-n", NAMESPACE, *arguments, stdin=stdin)

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def publish(self, number: int, content: bytes) -> None:
        """A version made elsewhere: its file, its ModelVersion."""
        uri = f"s3://plimsoll-{NAMESPACE}/uploads/{number}/model.onnx"
        with store.bucket(self.kubernetes, NAMESPACE) as bucket:
            store.upload(bucket, uri, content)
        self.apply(elsewhere.manifest(MODEL, number, uri, content))
        self.models[str(number)] = content

    def until(self, service: str, *phases: str, attempt: int = 0) -> dict[str, Any]:
        """The status once the service is in one of these phases, in this attempt or a later one."""

        def there(found: dict[str, Any]) -> bool:
            status = found.get("status", {})
            return status.get("phase") in phases and status.get("attempt", 0) >= attempt

        found = watch.until(self.kubernetes, NAMESPACE, "inferenceservice", service, there, seconds=300)
        status: dict[str, Any] = found["status"]
        return status

    def release(self, service: str, version: str, **release: Any) -> int:
        """Ask for a version, with this changed about how, although it was taken back before; returns the number of the
        attempt that it will be."""
        before = self.until(service, *AT_REST)
        if before["stable"]["version"] == version:  # a test runs again
            self.kubectl("delete", "inf", service)
            self.apply(manifest(service))
            before = self.until(service, "Idle", attempt=1)
        change = {"spec": {"model": {"version": version}, "release": release | {"retryToken": uuid.uuid4().hex}}}
        self.kubectl("patch", "inf", service, "--type=merge", "-p", json.dumps(change))
        return int(before["attempt"]) + 1

    def pods(self) -> dict[str, tuple[str, int]]:
        """UID and restarts of the pool's pods."""
        items = json.loads(self.kubectl("get", "pods", "-l", "plimsoll.dev/pool=shared", "-o", "json"))["items"]
        return {
            one["metadata"]["name"]: (
                one["metadata"]["uid"],
                sum(container["restartCount"] for container in one["status"]["containerStatuses"]),
            )
            for one in items
        }

    def others(self) -> dict[str, Any]:
        """What every service but the moving one is, and what its document says."""
        services = json.loads(self.kubectl("get", "inf", "-o", "json"))["items"]
        data = self.kubernetes.get("configmap", "shared-pool", NAMESPACE)["data"]
        return {
            one["metadata"]["name"]: [
                {key: one["status"].get(key) for key in LASTING},
                data[f"{one['metadata']['name']}.json"],
            ]
            for one in services
            if one["metadata"]["name"] != MOVING
        }

    def kill_the_operator(self) -> None:
        """SIGKILL, as far as the operator knows."""
        selector = "app.kubernetes.io/component=operator"
        self.kubernetes.kubectl(
            "-n", install.SYSTEM, "delete", "pod", "-l", selector, "--grace-period=0", "--force", "--wait=false"
        )

    @contextlib.contextmanager
    def nobody_notices(self) -> Iterator[None]:
        """Under traffic of two services no request fails, every answer is right, and all others stay as they are."""
        watched = {MOVING: load.POD, NEIGHBOUR: NEIGHBOURS}
        before = {pod: load.report(self.kubernetes, NAMESPACE, pod) for pod in watched.values()}
        pods, others = self.pods(), self.others()
        yield
        for pod in watched.values():
            after = load.report(self.kubernetes, NAMESPACE, pod)
            assert after["failures"] == before[pod]["failures"], after["failures"]
            assert sum(after["requests"].values()) > sum(before[pod]["requests"].values()) + 100
            assert wrong_answers(self.models, after["answers"]) == 0
        assert self.pods() == pods, "no pod of the pool was replaced or restarted"
        assert self.others() == others


@pytest.fixture(scope="module")
def pool(kubernetes: Kubernetes) -> Iterator[Pool]:
    """Twenty services serve version 1 of a model, two of them under traffic."""
    install.restricted_namespace(kubernetes, NAMESPACE)
    made = Pool(kubernetes)
    made.apply(POOL)
    kubernetes.kubectl("-n", NAMESPACE, "wait", "servingpool/shared", "--for=condition=Ready", "--timeout=300s")
    for number, content in enumerate((sound(), sound_too(), fragile()), 1):
        made.publish(number, content)
    for number in made.models:
        made.kubectl("wait", f"mv/{MODEL}-v{number}", "--for=condition=Ready", "--timeout=300s")
    made.apply(*(manifest(name) for name in SERVICES))
    for name in SERVICES:
        made.until(name, "Idle", attempt=1)
    load.start(kubernetes, NAMESPACE, MOVING, IMAGE)
    load.start(kubernetes, NAMESPACE, NEIGHBOUR, IMAGE, pod=NEIGHBOURS)
    yield made
    kubernetes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def namespace(pool: Pool) -> str:
    """What is shown when a test fails."""
    return NAMESPACE


def manifest(name: str) -> dict[str, Any]:
    found = copy.deepcopy(MANIFEST)
    found["metadata"]["name"] = name
    found["spec"]["runtime"] = {"pool": {"name": "shared"}}
    found["spec"]["model"] = {"name": MODEL, "version": "1"}
    return found


@pytest.mark.usefixtures("namespace")
def test_twenty_services_share_the_pods_of_one_pool(pool: Pool) -> None:
    assert len(pool.pods()) == 2
    deployments = pool.kubectl("get", "deployments", "-o", "name").split()
    assert deployments == ["deployment.apps/shared-pool"]
    assert pool.kubernetes.get("servingpool", "shared", NAMESPACE)["status"]["services"] == 20
    assert {name: found[0]["phase"] for name, found in pool.others().items()} == dict.fromkeys(SERVICES[1:], "Idle")


@pytest.mark.usefixtures("namespace")
def test_the_image_runs_compiled(pool: Pool) -> None:
    """An image whose compiled modules its Python cannot take would run from its sources, only slower."""
    for pod in pool.pods():
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8082/proxy/metrics?name[]=plimsoll_build_info"
        assert 'code="compiled"' in pool.kubernetes.kubectl("get", "--raw", path)


@pytest.mark.usefixtures("namespace")
def test_one_is_promoted_although_the_operator_is_killed_and_nobody_notices(pool: Pool) -> None:
    with pool.nobody_notices():
        attempt = pool.release(MOVING, "2")
        pool.until(MOVING, "Analyzing", attempt=attempt)
        pool.kill_the_operator()
        status = pool.until(MOVING, *AT_REST, attempt=attempt)
    assert (status["phase"], status["stable"]["version"]) == ("Idle", "2")
    assert status["verdict"]["outcome"] == "Pass"


@pytest.mark.usefixtures("namespace")
def test_one_is_taken_back_although_the_operator_is_killed_and_nobody_notices(pool: Pool) -> None:
    with pool.nobody_notices():
        attempt = pool.release(MOVING, "3")
        pool.until(MOVING, "Analyzing", "RollingBack", "RolledBack", attempt=attempt)
        pool.kill_the_operator()
        status = pool.until(MOVING, *AT_REST, attempt=attempt)
    assert status["phase"] == "RolledBack"
    assert status["history"][0]["outcome"] == "RolledBack"


@pytest.mark.usefixtures("namespace")
def test_a_shadow_in_a_pool_that_fails_on_copies_is_taken_back_and_answers_no_user(pool: Pool) -> None:
    answered = load.report(pool.kubernetes, NAMESPACE)["requests"].get("3")
    with pool.nobody_notices():
        attempt = pool.release(MOVING, "3", **COPIES)
        status = pool.until(MOVING, *AT_REST, attempt=attempt)
    assert (status["phase"], status["stable"]["version"]) == ("RolledBack", "2")
    assert status["verdict"]["outcome"] == "Fail" and not status.get("mirror")
    assert load.report(pool.kubernetes, NAMESPACE)["requests"].get("3") == answered


@pytest.mark.usefixtures("namespace")
def test_a_job_that_asks_the_candidate_of_a_pool_takes_it_back_with_its_words(pool: Pool) -> None:
    job = {"image": IMAGE, "command": ["python3", "-c", JUDGE], "interval": "2s", "timeout": "60s"}
    canary = {"strategy": "Canary", "shadow": None, "steps": MANIFEST["spec"]["release"]["steps"]}
    analysis = MANIFEST["spec"]["release"]["analysis"] | {"judges": [{"name": "smoke", "job": job}]}
    with pool.nobody_notices():
        attempt = pool.release(MOVING, "1", **canary, analysis=analysis)
        status = pool.until(MOVING, *AT_REST, attempt=attempt)
    assert (status["phase"], status["stable"]["version"]) == ("RolledBack", "2")
    assert status["history"][0]["reason"].startswith("Fail: judge smoke says Fail (window ")
    assert "version 1 takes 1 inputs" in status["history"][0]["reason"]


@pytest.mark.usefixtures("namespace")
def test_a_service_that_is_deleted_leaves_the_pods_to_the_others(pool: Pool) -> None:
    pods, gone = pool.pods(), SERVICES[-1]
    pool.kubectl("delete", "inf", gone, "--wait=true")

    def forgotten(found: dict[str, Any]) -> bool:
        return f"{gone}.json" not in found["data"]

    watch.until(pool.kubernetes, NAMESPACE, "configmap", "shared-pool", forgotten)
    assert pool.pods() == pods


@pytest.mark.usefixtures("namespace")
def test_a_pool_in_use_is_not_deleted_and_goes_with_its_pods_once_no_service_names_it(pool: Pool) -> None:
    pods = pool.pods()
    # The one that is gone is forgotten by the pods first, and then by the pool.
    others = len(SERVICES) - 1
    watch.until(
        pool.kubernetes, NAMESPACE, "servingpool", "shared", lambda found: found["status"]["services"] == others
    )
    with pytest.raises(Stop, match=r"shared is in use by 19 InferenceServices, digits-\d\d among them"):
        pool.kubectl("delete", "servingpool", "shared")
    assert "deletionTimestamp" not in pool.kubernetes.get("servingpool", "shared", NAMESPACE)["metadata"]
    assert pool.pods() == pods
    for name in (load.POD, NEIGHBOURS):
        load.stop(pool.kubernetes, NAMESPACE, name)
    pool.kubectl("delete", "inf", "--all", "--wait=true")
    watch.until(
        pool.kubernetes,
        NAMESPACE,
        "servingpool",
        "shared",
        lambda found: not found["status"].get("inUseBy"),
    )
    pool.kubectl("delete", "servingpool", "shared", "--wait=true")
    pool.kubectl("wait", *(f"pod/{name}" for name in pods), "--for=delete", "--timeout=300s")
