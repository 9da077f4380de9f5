"""Releases behind a real Envoy Gateway. `make test-gateway` builds it first: it is not part of `make test`."""

from __future__ import annotations

import copy
import functools
import json
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from sklearn.datasets import load_digits

from demo import load, story
from demo.shell import ROOT, Kubernetes
from tests.e2e import envoy_gateway
from tests.e2e.envoy_gateway import RealGateway
from tests.e2e.releases import MANIFEST, SERVICE, Service, Status
from tests.e2e.test_faults import on_the_development_cluster
from tests.e2e.test_judged_models import command

IMAGE = "localhost/plimsoll-serving:dev"
EXAMPLES = ROOT / "examples" / "gateway"
PATH = f"/v2/models/{SERVICE}/infer"
WEIGHTS = (20, 50)
#: Each share stays until a person says resume, however slow the machine is.
STEPS = [{"weight": one, "minDuration": "5s", "minRequests": 100, "approval": "Manual"} for one in WEIGHTS]


@pytest.fixture(scope="module")
def gateway(kubernetes: Kubernetes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    if not on_the_development_cluster(kubernetes):
        pytest.skip("the image of Envoy Gateway is built for the development cluster alone")
    with envoy_gateway.installed(kubernetes, tmp_path_factory.mktemp("chart")) as found:
        yield found


@pytest.fixture
def service(kubernetes: Kubernetes, namespace: str, gateway: RealGateway) -> Service:
    """Version 1 behind the Gateway, a sound version 2, a version 3 that fails, and users who come through it."""
    service = Service(kubernetes, namespace)
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"]["traffic"] = yaml.safe_load((EXAMPLES / "serve.yaml").read_text())["spec"]["traffic"]
    manifest["spec"]["release"]["steps"] = STEPS
    service.kubectl("apply", "-f", str(story.EXAMPLES / "01-train.yaml"))
    service.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    service.kubectl("apply", "-f", str(EXAMPLES / "retries.yaml"))
    service.until(lambda status: status.get("phase") == "Idle" and condition(status, "RouteAccepted") == "True", 600)
    service.publish_candidates()
    load.start(kubernetes, namespace, SERVICE, IMAGE, "--url", f"http://{gateway.host}{PATH}")
    return service


@pytest.mark.timeout(900)
def test_envoy_gives_the_shares_of_the_route_a_sound_version_is_promoted_and_a_bad_one_costs_no_user_an_answer(
    service: Service, gateway: RealGateway
) -> None:
    with service.users_notice_nothing():
        attempt = service.release("2")
        for weight in WEIGHTS:
            wait_at(service, attempt, weight)
            assert_share(ask(gateway, 600), weight)
            assert ask(gateway, 10, {"x-arm": "candidate"}) == {"2": 10}
            assert ask(gateway, 10, {"x-arm": "stable"}) == {"1": 10}
            command(service, "resume")
        ended = service.ended(attempt)
        assert (ended["phase"], ended["stable"]["version"]) == ("Idle", "2"), ended
        assert ask(gateway, 50) == {"2": 50}
        assert ask(gateway, 10, {"x-arm": "stable"}) == {"2": 10}, "the header means nothing at other times"

        back = service.ended(service.release("3"))
        assert (back["phase"], back["stable"]["version"]) == ("RolledBack", "2"), back
        print(f"rolled back {back['rollbackSeconds']} s after the verdict: {back['reason']}")
        assert ask(gateway, 50) == {"2": 50}
        before = load.report(service.kubernetes, service.namespace)["requests"]
        time.sleep(3)
        after = load.report(service.kubernetes, service.namespace)["requests"]
        assert after.get("3") == before.get("3") and after["2"] > before["2"]


@pytest.mark.timeout(600)
def test_what_the_gateway_refuses_holds_a_release_in_its_own_words_and_users_inside_are_served(
    service: Service, gateway: RealGateway
) -> None:
    refer(service, {"sectionName": "nowhere"})
    refused = service.until(lambda status: condition(status, "RouteAccepted") == "False", 60)
    assert condition(refused, "Ready") == "False"
    load.start(service.kubernetes, service.namespace, SERVICE, IMAGE)
    with service.users_notice_nothing():
        attempt = service.release("2")
        held = service.until(lambda status: status["phase"] == "Held", 120)
        assert held["heldReason"] == "RouteNotAccepted" and "gateway.envoyproxy.io" in held["message"], held["message"]
        print(held["message"])
        refer(service, {"sectionName": "web"})
        for weight in WEIGHTS:
            wait_at(service, attempt, weight)
            command(service, "resume")
        assert service.ended(attempt)["stable"]["version"] == "2"

    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", '{"spec":{"traffic":null}}')
    service.until(lambda status: condition(status, "RouteAccepted") == "", 60)
    assert service.names("httproutes") == []


def wait_at(service: Service, attempt: int, weight: int) -> None:
    """Until this share is in force, has passed its evidence, and stays until somebody says resume."""
    wanted = (attempt, weight, "AwaitingApproval")
    service.until(lambda status: (status["attempt"], status.get("weight"), status.get("heldReason")) == wanted)


def assert_share(found: Counter[str], weight: int) -> None:
    """Version 2 answered `weight` percent of the requests, but for six standard deviations."""
    share, requests = weight / 100, sum(found.values())
    print(f"at {weight} %: {dict(found)}")
    assert abs(found["2"] - requests * share) <= 6 * (requests * share * (1 - share)) ** 0.5, found


def refer(service: Service, change: dict[str, Any]) -> None:
    """Change what the service says of its Gateway."""
    patch = {"spec": {"traffic": {"gatewayRef": change}}}
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(patch))


def condition(status: Status, type_: str) -> str:
    return next((str(one["status"]) for one in status.get("conditions", ()) if one["type"] == type_), "")


@dataclass(frozen=True)
class Answer:
    """The version that answered, and the head of its answer."""

    version: str
    headers: Mapping[str, str]


def ask(gateway: RealGateway, count: int, headers: Mapping[str, str] | None = None) -> Counter[str]:
    """So many requests, one after the other: answers by version. None fails."""
    return Counter(request(gateway, headers).version for _ in range(count))


@functools.cache
def body() -> bytes:
    row = [float(value) for value in load_digits().data[0]]
    return json.dumps({"inputs": [{"name": "input", "shape": [1, len(row)], "datatype": "FP32", "data": row}]}).encode()


def request(gateway: RealGateway, headers: Mapping[str, str] | None = None) -> Answer:
    """One request for a row, over a connection of its own. Raises HTTPError for an answer that is none."""
    head = {"Content-Type": "application/json"} | dict(headers or {})
    sent = urllib.request.Request(f"http://{gateway.address}{PATH}", body(), head)
    with urllib.request.urlopen(sent, timeout=10) as answer:
        return Answer(str(answer.headers["plimsoll-model-version"]), dict(answer.headers))
