"""Parts die in the middle of real releases, and nothing is lost: the release ends as it would have, users see nothing.

The operator is a process of this machine here (operator_process.py), so that it can be killed at will.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from demo import install, load, story, watch
from demo.shell import ROOT, Kubernetes
from devcluster.network import NODE_NAME, POD_RANGE
from devcluster.paths import Paths
from tests.e2e import operator_process
from tests.e2e.follow import following
from tests.e2e.operator_process import OperatorProcess
from tests.e2e.releases import MANIFEST, SERVICE, Service, Status

pytestmark = pytest.mark.usefixtures("kubernetes", "namespace", "last_words")

IMAGE = "localhost/plimsoll-serving:dev"
NAMESPACE = f"e2e-faults-{uuid.uuid4().hex[:6]}"
TRANSITION = ("phase", "step", "epoch", "attempt")
METRICS_PORT = 8082
#: The controllers go with it, as they do on one machine: left alone with old news, they would take the silent node's
#: pods out of every Service themselves.
CONTROL_PLANE = ("controller-manager", "apiserver")
#: Longer than the operator may live without renewing its Lease, which is 15 s. kubelet comes back the later, the longer
#: it was alone: it asks for what it watches at growing intervals.
OUTAGE_SECONDS = 25


@dataclass
class Killed:
    """What was seen while the operator that made a transition was killed right after it, each time."""

    transitions: list[tuple[Any, ...]] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    routes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def phases(self) -> set[str]:
        return {one[0] for one in self.transitions}


@pytest.fixture(scope="module")
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    install.restricted_namespace(kubernetes, NAMESPACE)
    yield NAMESPACE
    kubernetes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def operator(kubernetes: Kubernetes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    if why := operator_process.unreachable(kubernetes):
        pytest.skip(why)
    with operator_process.instead_of_the_pod(kubernetes, tmp_path_factory.mktemp("operator")) as running:
        yield running


@pytest.fixture
def last_words(operator: OperatorProcess) -> Iterator[None]:
    yield
    print(operator.said_of(NAMESPACE))


@contextlib.contextmanager
def killing(operator: OperatorProcess, service: Service) -> Iterator[Killed]:
    """SIGKILL at every transition of the service's status and of the TrainingJob's phase."""
    killed, where = Killed(), (service.kubernetes, service.namespace)

    def at(fields: tuple[str, ...]) -> Callable[[Status], None]:
        last: list[tuple[Any, ...]] = []

        def changed(status: Status) -> None:
            now = tuple(status.get(one) for one in fields)
            if last and now != last[-1]:
                operator.kill()
                killed.transitions.append(now)
            last.append(now)

        return changed

    with (
        following(*where, f"inf/{SERVICE}", ".status", at(TRANSITION)) as killed.statuses,
        following(*where, "tj/digits-tree", ".status", at(("phase",))),
        following(*where, f"configmap/{SERVICE}-route", r".data.route\.json") as killed.routes,
    ):
        yield killed
        # Who waited for the end has a watch of its own: this one may come to know a moment later.
        wait_for(lambda: transition(killed.statuses[-1]) == transition(service.status))


def transition(status: Status) -> tuple[Any, ...]:
    return tuple(status.get(one) for one in TRANSITION)


@contextlib.contextmanager
def share_stays(service: Service) -> Iterator[None]:
    """The candidate of a release keeps its share while the block runs, however slow the machine is."""
    stay(service, "10m")
    try:
        yield
    finally:
        stay(service, "8s")


def stay(service: Service, duration: str) -> None:
    """For at least so long at each step, also of a release that is under way."""
    steps = [one | {"minDuration": duration} for one in MANIFEST["spec"]["release"]["steps"]]
    change = {"spec": {"release": {"steps": steps}}}
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(change))


@pytest.fixture(scope="module")
def first(kubernetes: Kubernetes, namespace: str, operator: OperatorProcess) -> tuple[Service, Killed]:
    """The service with its first version, trained and deployed while the operator was killed at every transition."""
    service = Service(kubernetes, namespace)
    service.kubectl("apply", "-f", str(story.EXAMPLES / "01-train.yaml"))
    service.kubectl("apply", "-f", "-", stdin=json.dumps(MANIFEST))
    with killing(operator, service) as killed:
        operator.start()
        service.until(lambda status: status.get("phase") == "Idle" and status["followedEpoch"] == status["epoch"], 540)
    return service, killed


@pytest.fixture(scope="module")
def service(first: tuple[Service, Killed]) -> Iterator[Service]:
    """The service under traffic, with a good second version and a third that fails on some rows."""
    service = first[0]
    service.publish_candidates()
    load.start(service.kubernetes, service.namespace, SERVICE, IMAGE)
    yield service
    load.stop(service.kubernetes, service.namespace)


def lawful(killed: Killed) -> None:
    """Epochs only rise, and after a verdict against it a candidate gets no more than it has."""
    for epochs in ([one.get("epoch", 0) for one in killed.statuses], [one["epoch"] for one in killed.routes]):
        assert epochs == sorted(epochs)
    failed: dict[int, int] = {}
    for status in killed.statuses:
        attempt, weight = status.get("attempt", 0), status.get("weight") or 0
        assert weight <= failed.get(attempt, 100)
        if (status.get("verdict") or {}).get("outcome") == "Fail":
            failed[attempt] = weight


# --- the operator ---------------------------------------------------------------------------------------------------


def test_an_operator_killed_at_every_transition_trains_one_version_and_serves_it(
    first: tuple[Service, Killed],
) -> None:
    service, killed = first
    print(killed.transitions)
    assert killed.phases >= {"Training", "Publishing", "Succeeded", "Preparing", "Warming", "Promoting", "Idle"}
    lawful(killed)
    assert set(service.names("mv")) <= {"digits-v1", "digits-v2", "digits-v3"}
    of_the_run = "plimsoll.dev/trainingjob=digits-tree"
    assert [name.rsplit("-", 1)[1] for name in sorted(service.names("jobs", of_the_run))] == ["publish", "train"]
    assert [one["outcome"] for one in killed.statuses[-1]["history"]] == ["Promoted"]


def test_an_operator_killed_at_every_transition_promotes_a_better_version_once(
    service: Service, operator: OperatorProcess
) -> None:
    with service.users_notice_nothing(), killing(operator, service) as killed:
        attempt = service.release("2")
        ended = service.ended(attempt)
    print(killed.transitions)
    assert killed.phases >= {"Preparing", "Warming", "Analyzing", "Promoting", "Probation", "Idle"}
    lawful(killed)
    assert (ended["stable"]["version"], ended["attempt"]) == ("2", attempt)
    assert [one["outcome"] for one in ended["history"] if one["version"] == "2"] == ["Promoted"]
    assert len(service.names("deployments", "plimsoll.dev/version=2")) == 1
    assert windows_of(service, attempt) > 1


def windows_of(service: Service, attempt: int) -> int:
    """How many windows the ledger of the attempt has; their numbers must follow one another."""
    data = service.kubernetes.get("configmap", f"{SERVICE}-attempt-{attempt}", service.namespace)["data"]
    numbers = [window[0] for window in json.loads(data["ledger.json"])["windows"]]
    assert numbers == list(range(1, len(numbers) + 1)), "no window is lost, none counts twice"
    return len(numbers)


def test_an_operator_killed_at_every_transition_takes_a_bad_version_back_once(
    service: Service, operator: OperatorProcess
) -> None:
    before = service.status
    with service.users_notice_nothing(), killing(operator, service) as killed:
        attempt = service.release("3")
        ended = service.ended(attempt)
    print(killed.transitions)
    assert killed.phases >= {"Preparing", "Warming", "Analyzing", "RollingBack", "RolledBack"}
    lawful(killed)
    assert (ended["phase"], ended["stable"], ended["attempt"]) == ("RolledBack", before["stable"], attempt)
    assert [one["outcome"] for one in ended["history"] if one["version"] == "3"] == ["RolledBack"]
    assert [one["version"] for one in ended["quarantine"]] == ["3"]
    assert sorted(service.names("mv")) == ["digits-v1", "digits-v2", "digits-v3"]


# --- the API server -------------------------------------------------------------------------------------------------


def on_the_development_cluster(kubernetes: Kubernetes) -> bool:
    return kubernetes.kubeconfig == Paths.from_environment().kubeconfig and os.geteuid() == 0


def devcluster(*arguments: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "devcluster"), *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def api_server_away(kubernetes: Kubernetes) -> Iterator[None]:
    if not on_the_development_cluster(kubernetes):
        pytest.skip("only the API server of the development cluster can be stopped")
    renewed = lease(kubernetes)
    for part in CONTROL_PLANE:
        devcluster("stop", part)
    try:
        yield
    finally:
        devcluster("start", "apiserver")
        wait_for(lambda: lease(kubernetes) > renewed)
        devcluster("start", "controller-manager")


def lease(kubernetes: Kubernetes) -> str:
    """When kubelet last said that it is there."""
    return str(kubernetes.get("lease", NODE_NAME, "kube-node-lease")["spec"]["renewTime"])


def test_an_api_server_that_is_away_delays_a_release_and_changes_nothing(
    service: Service, operator: OperatorProcess
) -> None:
    with service.users_notice_nothing():
        with share_stays(service):
            attempt = service.release("1")
            before = service.measured(attempt)
            with api_server_away(service.kubernetes):
                time.sleep(OUTAGE_SECONDS)
            during = service.until(lambda status: status["attempt"] == attempt)
        ended = service.ended(attempt)
    assert operator.ended, "without its Lease the operator must not act: it ends and is started again"
    assert during["epoch"] >= before["epoch"]
    assert during["history"][-len(before["history"]) :] == before["history"]
    assert (ended["attempt"], ended["history"][0]["outcome"]) == (attempt, "Promoted")
    assert windows_of(service, attempt) > 1


# --- the evidence ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def metrics_away(kubernetes: Kubernetes) -> Iterator[None]:
    """The operator's process, and nobody else, is refused by every pod's metrics."""
    if not on_the_development_cluster(kubernetes):
        pytest.skip("only on the development cluster do the operator's packets pass through this machine's filter")
    packets = ("-d", POD_RANGE, "-p", "tcp", "--dport", str(METRICS_PORT), "-m", "owner")
    rule = (
        "OUTPUT",
        *packets,
        "--gid-owner",
        str(operator_process.GROUP),
        "-j",
        "REJECT",
        "--reject-with",
        "tcp-reset",
    )
    subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def test_metrics_that_cannot_be_read_hold_a_release_until_they_can(service: Service) -> None:
    with service.users_notice_nothing():
        with share_stays(service):
            attempt = service.release("1")
            before = service.measured(attempt)
            with metrics_away(service.kubernetes):
                blind = service.until(lambda status: sum("gap" in one for one in status["windows"]) >= 5)
                inf = service.kubernetes.get("inf", SERVICE, service.namespace)
        ended = service.ended(attempt)
    assert (blind["phase"], blind["weight"]) == ("Analyzing", before["weight"])
    assert blind["verdict"]["outcome"] == "Inconclusive", "no data is never a pass and never a failure"
    assert re.search(r"no evidence \(down: none of \d+ pods answered", blind["message"]), blind["message"]
    assert watch.condition(inf, "Progressing")["reason"] == "EvidenceUnavailable"
    assert ended["history"][0]["outcome"] == "Promoted"


def test_without_requests_a_release_neither_passes_nor_fails(service: Service) -> None:
    load.stop(service.kubernetes, service.namespace)
    attempt = service.release("1")
    idle = service.measured(attempt, windows=10)
    assert (idle["attempt"], idle["verdict"]["outcome"]) == (attempt, "Inconclusive")
    assert "no requests reached the candidate" in idle["message"]
    load.start(service.kubernetes, service.namespace, SERVICE, IMAGE)
    with service.users_notice_nothing():
        ended = service.ended(attempt)
    assert ended["history"][0]["outcome"] == "Promoted"


# --- what belongs to the operator -----------------------------------------------------------------------------------


def edit_status(service: Service, change: Any) -> None:
    arguments = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": change}))
    service.kubectl("patch", "inf", SERVICE, *arguments)


def test_a_status_that_is_edited_by_hand_is_put_right(service: Service) -> None:
    where = (service.kubernetes, service.namespace, f"configmap/{SERVICE}-route", r".data.route\.json")
    with service.users_notice_nothing(), following(*where) as routes:
        with share_stays(service):
            attempt = service.release("1")
            before = service.measured(attempt)
            edit_status(service, {"weight": 95, "message": "all is well", "conditions": []})
            service.until(lambda status: status["weight"] == before["weight"] and status["message"] != "all is well")
        ended = service.ended(attempt)
    assert {"Ready", "Promoted"} <= {one["type"] for one in ended["conditions"]}
    assert (ended["attempt"], ended["history"][0]["outcome"]) == (attempt, "Promoted")
    candidates = before["candidate"]["revision"]
    shares = [arm["weight"] for route in routes for arm in route["arms"] if arm["revision"] == candidates]
    assert 95 not in shares, "what was written by hand never became traffic"


def test_a_status_that_is_lost_in_a_release_is_found_again_and_the_release_begun_anew(service: Service) -> None:
    where = (service.kubernetes, service.namespace, f"configmap/{SERVICE}-route", r".data.route\.json")
    with service.users_notice_nothing(), following(*where) as routes:
        with share_stays(service):
            attempt = service.release("1")
            before = service.measured(attempt)
            edit_status(service, None)
            found = service.until(lambda status: status.get("candidate"))
        ended = service.until(lambda status: status["phase"] == "Idle" and status["stable"] == before["candidate"])
    assert found["stable"] == before["stable"], "users stay with what the route names"
    assert found["attempt"] > attempt, "the number of an attempt, and so of its ledger, is never used again"
    assert ended["history"][0]["outcome"] == "Promoted"
    epochs = [route["epoch"] for route in routes]
    assert epochs == sorted(epochs)


def edited(route: dict[str, Any], candidate: str, rise: int) -> str:
    """The document with all requests for the candidate."""
    arms = [arm | {"weight": 100 if arm["revision"] == candidate else 0} for arm in route["arms"]]
    return json.dumps(route | {"arms": arms, "primary": candidate, "epoch": route["epoch"] + rise})


def test_a_route_that_is_edited_by_hand_is_put_right(service: Service) -> None:
    with service.users_notice_nothing():
        with share_stays(service):
            attempt = service.release("1")
            before = service.measured(attempt)
            candidate = before["candidate"]["revision"]
            for text in (edited(service.route, candidate, 0), "nonsense", edited(service.route, candidate, 100)):
                change = {"data": {"route.json": text}}
                service.kubectl("patch", "configmap", f"{SERVICE}-route", "--type=merge", "-p", json.dumps(change))
                wait_for(lambda: shares(service, candidate) == (before["primary"], before["weight"]))
        ended = service.ended(attempt)
    assert (ended["attempt"], ended["history"][0]["outcome"]) == (attempt, "Promoted")
    # The route is written after the status that wants it.
    wait_for(lambda: service.route["epoch"] == ended["epoch"])


def shares(service: Service, candidate: str) -> tuple[str, int] | None:
    """The primary, and the candidate's share; None while the document cannot be read."""
    with contextlib.suppress(ValueError):
        route = service.route
        return route["primary"], next(arm["weight"] for arm in route["arms"] if arm["revision"] == candidate)
    return None


def wait_for(fact: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.2)


def test_a_stable_pod_that_is_deleted_in_a_release_is_replaced_and_nobody_notices(service: Service) -> None:
    service.scale(2)
    with service.users_notice_nothing():
        with share_stays(service):
            attempt = service.release("1")
            stable = f"plimsoll.dev/revision={service.measured(attempt)['stable']['revision']}"
            before = service.names("pods", stable)
            service.kubectl("delete", "pod", before[0], "--wait=false")
            wait_for(lambda: before[0] not in service.names("pods", stable))
            assert len(service.names("pods", stable)) == 2
        ended = service.ended(attempt)
    assert ended["history"][0]["outcome"] == "Promoted"
