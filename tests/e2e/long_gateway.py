"""Releases behind a real Envoy Gateway. `make test-gateway` builds it first: it is not part of `make test`."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from sklearn.datasets import load_digits

from demo import install, load
from demo.shell import ROOT, Kubernetes
from tests.e2e import envoy_gateway
from tests.e2e.envoy_gateway import RealGateway
from tests.e2e.releases import MANIFEST, SERVICE, Service, Status, serving
from tests.e2e.test_faults import on_the_development_cluster
from tests.e2e.test_judged_models import command

IMAGE = "localhost/plimsoll-serving:dev"
EXAMPLES = ROOT / "examples" / "gateway"
NAMESPACE = f"e2e-gateway-{uuid.uuid4().hex[:6]}"
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
        print("\n".join(["Envoy's answers that are none:", *envoy_gateway.failures(kubernetes)[-10:]]))


@pytest.fixture(scope="module")
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    install.restricted_namespace(kubernetes, NAMESPACE)
    yield NAMESPACE
    kubernetes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def service(kubernetes: Kubernetes, namespace: str, gateway: RealGateway) -> Service:
    """Version 1 behind the Gateway, a sound version 2, a version 3 that fails, and users who come through it."""
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"]["traffic"] = yaml.safe_load((EXAMPLES / "serve.yaml").read_text())["spec"]["traffic"]
    manifest["spec"]["release"]["steps"] = STEPS
    service = serving(kubernetes, namespace, manifest)
    service.kubectl("apply", "-f", str(EXAMPLES / "retries.yaml"))
    service.until(lambda status: condition(status, "RouteAccepted") == "True", 180)
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
            assert_share(Counter(ask(gateway).version for _ in range(600)), weight)
            assert answers(gateway, {"x-arm": "candidate"}) == {"2"}
            assert answers(gateway, {"x-arm": "stable"}) == {"1"}
            command(service, "resume")
        ended = service.ended(attempt)
        assert (ended["phase"], ended["stable"]["version"]) == ("Idle", "2"), ended
        # The header means nothing at other times, as soon as the gateway has heard of it.
        until(lambda: answers(gateway, {"x-arm": "stable"}) == {"2"})
        assert answers(gateway) == {"2"}

        back = service.ended(service.release("3"))
        assert (back["phase"], back["stable"]["version"]) == ("RolledBack", "2"), back
        print(f"rolled back {back['rollbackSeconds']} s after the verdict: {back['reason']}")
        assert answers(gateway) == answers(gateway, {"x-arm": "candidate"}) == {"2"}
        before = load.report(service.kubernetes, service.namespace)["requests"]
        time.sleep(3)
        after = load.report(service.kubernetes, service.namespace)["requests"]
        assert after.get("3") == before.get("3") and after["2"] > before["2"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("type_", ["Cookie", "Header"])
def test_a_session_stays_with_its_version_while_shares_rise_and_goes_back_when_the_version_is_taken_back(
    service: Service, gateway: RealGateway, type_: str
) -> None:
    name = f"x-digits-{type_.lower()}"
    refer(service, {"session": {"type": type_, "name": name}})
    with service.users_notice_nothing():
        stable = service.status["stable"]["version"]
        other = "1" if stable == "2" else "2"
        attempt = service.release(other)
        in_force(service, attempt, WEIGHTS[0])
        sessions = [ask(gateway) for _ in range(80)]
        assert {one.version for one in sessions} == {stable, other}, "a session is begun by the weights"
        for one in sessions:
            assert answers(gateway, one.session(name), 3) == {one.version}
        wait_at(service, attempt, WEIGHTS[0])
        command(service, "resume")
        in_force(service, attempt, WEIGHTS[1])
        for one in sessions:
            assert answers(gateway, one.session(name), 2) == {one.version}
        assert len(answers(gateway, None, 40)) == 2, "who has no session is sent by the weights"
        command(service, "abort")
        assert service.ended(attempt)["phase"] == "RolledBack"
        gone = [one for one in sessions if one.version == other]
        until(lambda: all(answers(gateway, one.session(name), 1) == {stable} for one in gone))
        assert {version for one in sessions for version in answers(gateway, one.session(name), 1)} == {stable}


#: Those that send all users to the new version at once. With Recreate nothing but the spec's bound takes it back.
AT_ONCE: dict[str, dict[str, Any]] = {
    "BlueGreen": {"probation": "10s", "holdback": 10},
    "Recreate": {"probation": "10s", "holdback": None, "analysis": {"errorRate": {"max": 0.05}}},
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("strategy", AT_ONCE)
def test_all_users_go_to_a_sound_version_at_once_and_come_back_from_a_bad_one(
    service: Service, gateway: RealGateway, strategy: str
) -> None:
    """Of the bad one they see what fails, until the verdict."""
    before = service.status["stable"]["version"]
    sound = "1" if before == "2" else "2"
    with decided_by(service, {"strategy": strategy, "steps": None} | AT_ONCE[strategy]):
        with service.users_notice_nothing():
            ended = service.ended(service.release(sound))
            assert (ended["phase"], ended["stable"]["version"]) == ("Idle", sound), ended
            until(lambda: answers(gateway) == {sound})
        asked = answered(service, "3")
        back = service.ended(service.release("3"))
    assert (back["phase"], back["stable"]) == ("RolledBack", ended["stable"]), back
    assert back["history"][0]["reason"].startswith("Fail: error rate candidate "), back["history"][0]
    assert answered(service, "3") > asked, "users were with it"
    print(f"{strategy}: rolled back {back['rollbackSeconds']} s after the verdict: {back['history'][0]['reason']}")
    until(lambda: answers(gateway) == {sound})
    with service.users_notice_nothing():
        time.sleep(5)  # for requests to be counted: it is well again at once


def answered(service: Service, version: str) -> int:
    """How many users' requests the version has answered."""
    return int(load.report(service.kubernetes, service.namespace)["requests"].get(version, 0))


@contextlib.contextmanager
def decided_by(service: Service, release: dict[str, Any]) -> Iterator[None]:
    """Releases in the block go by this; afterwards by shares again, as they did."""
    before = service.kubernetes.get("inf", SERVICE, service.namespace)["spec"]
    shares = MANIFEST["spec"]["release"] | {"steps": STEPS, "analysis": {"errorRate": {"max": None}}}
    # One version at a time has no header that chooses, and nobody's session to keep.
    alone = {"traffic": {"gatewayRef": {"armHeader": None, "session": None}}}
    change(service, {"release": release} | alone)
    try:
        yield
    finally:
        change(service, {"release": shares, "traffic": before["traffic"]})


@pytest.mark.timeout(600)
def test_what_the_gateway_refuses_holds_a_release_in_its_own_words_and_users_inside_are_served(
    service: Service,
) -> None:
    refer(service, {"sectionName": "nowhere", "session": None})
    refused = service.until(lambda status: condition(status, "RouteAccepted") == "False", 60)
    assert condition(refused, "Ready") == "False"
    load.start(service.kubernetes, service.namespace, SERVICE, IMAGE)
    with service.users_notice_nothing():
        service.release("2")
        held = service.until(lambda status: status.get("heldReason") == "RouteNotAccepted", 120)
        assert "gateway.envoyproxy.io" in held["message"], held["message"]
        print(held["message"])
        refer(service, {"sectionName": "web"})
        service.until(lambda status: status["phase"] == "Analyzing" and status.get("stepSince"), 60)
        service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", '{"spec":{"traffic":null}}')
        service.until(lambda status: condition(status, "RouteAccepted") == "", 60)
        assert service.names("httproutes") == []


def wait_at(service: Service, attempt: int, weight: int) -> None:
    """Until this share is in force, has passed its evidence, and stays until somebody says resume."""
    wanted = (attempt, weight, "AwaitingApproval")
    service.until(lambda status: (status["attempt"], status.get("weight"), status.get("heldReason")) == wanted)


def in_force(service: Service, attempt: int, weight: int) -> None:
    """Until pods and the gateway follow this share."""
    service.until(
        lambda status: (status["attempt"], status.get("weight")) == (attempt, weight) and status.get("stepSince")
    )


def assert_share(found: Counter[str], weight: int) -> None:
    """Version 2 answered `weight` percent of the requests, but for six standard deviations."""
    share, requests = weight / 100, sum(found.values())
    print(f"at {weight} %: {dict(found)}")
    assert abs(found["2"] - requests * share) <= 6 * (requests * share * (1 - share)) ** 0.5, found


def refer(service: Service, to: dict[str, Any]) -> None:
    """Change what the service says of its Gateway."""
    change(service, {"traffic": {"gatewayRef": to}})


def change(service: Service, spec: dict[str, Any]) -> None:
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps({"spec": spec}))


def condition(status: Status, type_: str) -> str:
    return next((str(one["status"]) for one in status.get("conditions", ()) if one["type"] == type_), "")


@dataclass(frozen=True)
class Answer:
    """The version that answered, and the head of its answer."""

    version: str
    headers: Mapping[str, str]

    def session(self, name: str) -> dict[str, str]:
        """What a client sends to go on with the session that this answer began."""
        if (header := self.headers.get(name)) is not None:
            return {name: header}
        return {"Cookie": self.headers["set-cookie"].split(";")[0]}


def answers(gateway: RealGateway, headers: Mapping[str, str] | None = None, count: int = 10) -> set[str]:
    """The versions that answer so many requests. None fails."""
    return {ask(gateway, headers).version for _ in range(count)}


def ask(gateway: RealGateway, headers: Mapping[str, str] | None = None) -> Answer:
    """One request for a row, over a connection of its own. Raises HTTPError for an answer that is none."""
    head = {"Content-Type": "application/json"} | dict(headers or {})
    sent = urllib.request.Request(f"http://{gateway.address}{PATH}", body(), head)
    with urllib.request.urlopen(sent, timeout=10) as answer:
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(found["plimsoll-model-version"], found)


@functools.cache
def body() -> bytes:
    row = [float(value) for value in load_digits().data[0]]
    return json.dumps({"inputs": [{"name": "input", "shape": [1, len(row)], "datatype": "FP32", "data": row}]}).encode()


def until(fact: Callable[[], bool]) -> None:
    """Proxies learn of a route a moment after their controller has taken it."""
    for _ in range(50):
        if fact():
            return
        time.sleep(0.2)
    raise AssertionError("it did not come to be")
