"""Releases behind a real Envoy Gateway. `make test-gateway` builds it first: it is not part of `make test`."""

from __future__ import annotations

import copy
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from sklearn.datasets import load_digits

from demo import load, store, story
from demo.shell import ROOT, Kubernetes
from tests.e2e import envoy_gateway
from tests.e2e.envoy_gateway import RealGateway
from tests.e2e.releases import MANIFEST, SERVICE, Service, fragile, sound_too

IMAGE = "localhost/plimsoll-serving:dev"
EXAMPLE = ROOT / "examples" / "gateway" / "serve.yaml"
PATH = f"/v2/models/{SERVICE}/infer"


@pytest.fixture(scope="module")
def gateway(kubernetes: Kubernetes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    with envoy_gateway.installed(kubernetes, tmp_path_factory.mktemp("chart")) as found:
        yield found


@pytest.fixture
def service(kubernetes: Kubernetes, namespace: str, gateway: RealGateway) -> Service:
    """Version 1 behind the Gateway, a sound version 2, a version 3 that fails, and users who come through it."""
    service = Service(kubernetes, namespace)
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"]["traffic"] = yaml.safe_load(EXAMPLE.read_text())["spec"]["traffic"]
    service.kubectl("apply", "-f", str(story.EXAMPLES / "01-train.yaml"))
    service.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    service.until(lambda status: status.get("phase") == "Idle" and condition(status, "RouteAccepted") == "True", 600)
    uri = kubernetes.get("mv", "digits-v1", namespace)["spec"]["artifact"]["uri"]
    with store.bucket(kubernetes, namespace) as bucket:
        service.models["1"] = store.download(bucket, uri)
    service.publish(2, sound_too())
    service.publish(3, fragile())
    service.kubectl("wait", "mv/digits-v2", "mv/digits-v3", "--for=condition=Ready", "--timeout=180s")
    load.start(kubernetes, namespace, SERVICE, IMAGE, "--url", f"http://{gateway.host}{PATH}")
    return service


@pytest.mark.timeout(1200)
def test_a_real_gateway_carries_a_promotion_and_a_rollback_and_its_refusal_holds(
    service: Service, gateway: RealGateway
) -> None:
    with service.users_notice_nothing():
        attempt = service.release("2")
        service.measured(attempt)
        assert {answered_by(gateway, "candidate") for _ in range(10)} == {"2"}
        assert {answered_by(gateway, "stable") for _ in range(10)} == {"1"}
        ended = service.ended(attempt)
        assert ended["phase"] == "Idle" and ended["stable"]["version"] == "2", ended
    (shared, *_) = ended["windows"]
    assert shared["weight"] == 50 and all(requests(shared[arm]) for arm in ("stable", "candidate"))

    before = load.report(service.kubernetes, service.namespace)
    back = service.ended(service.release("3"))
    assert back["phase"] == "RolledBack" and back["stable"]["version"] == "2", back
    assert back["rollbackSeconds"] < 30
    time.sleep(1)  # what was on its way has arrived
    after = load.report(service.kubernetes, service.namespace)
    time.sleep(3)
    later = load.report(service.kubernetes, service.namespace)
    assert later["requests"].get("3", 0) == after["requests"].get("3", 0)
    assert later["failures"] == after["failures"]
    bad = sum(after["failures"].values()) - sum(before["failures"].values())
    print(f"rollback in {back['rollbackSeconds']} s after the verdict, {bad} bad answers: {back['verdict']['reason']}")
    load.stop(service.kubernetes, service.namespace)

    refer(service, {"sectionName": "nowhere"})
    refused = service.until(lambda status: condition(status, "RouteAccepted") == "False", 60)
    assert condition(refused, "Ready") == "False"
    service.release("1")
    held = service.until(lambda status: status["phase"] == "Held", 120)
    assert held["heldReason"] == "RouteNotAccepted" and "gateway.envoyproxy.io" in held["message"], held["message"]
    print(held["message"])
    refer(service, {"sectionName": "web"})
    service.until(lambda status: status["phase"] == "Analyzing" and status.get("stepSince"), 60)

    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", '{"spec":{"traffic":null}}')
    service.until(lambda status: condition(status, "RouteAccepted") == "", 60)
    assert service.names("httproutes") == []


def refer(service: Service, change: dict[str, Any]) -> None:
    """Change what the service says of its Gateway."""
    patch = {"spec": {"traffic": {"gatewayRef": change}}}
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(patch))


def condition(status: dict[str, Any], type_: str) -> str:
    return next((str(one["status"]) for one in status.get("conditions", ()) if one["type"] == type_), "")


def requests(shown: str) -> int:
    """Of `failures/requests`."""
    return int(shown.split("/")[1])


def answered_by(gateway: RealGateway, arm: str) -> str:
    """The version that answers a request for one arm."""
    row = [float(value) for value in load_digits().data[0]]
    body = {"inputs": [{"name": "input", "shape": [1, len(row)], "datatype": "FP32", "data": row}]}
    headers = {"Content-Type": "application/json", "x-arm": arm}
    request = urllib.request.Request(f"http://{gateway.address}{PATH}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.headers["plimsoll-model-version"])
