"""Faults that take minutes, in the middle of a release under load: `make soak` runs them."""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from demo import install, load, watch
from demo.shell import ROOT, Kubernetes
from tests.e2e.follow import following
from tests.e2e.releases import AT_REST, MANIFEST, SERVICE, Service, progressing, serving
from tests.e2e.test_faults import devcluster, on_the_development_cluster, share_stays, shares, transition, wait_for

CHART = str(ROOT / "charts" / "plimsoll")
IMAGE = "localhost/plimsoll-serving:dev"
NAMESPACE = f"e2e-long-faults-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    install.restricted_namespace(kubernetes, NAMESPACE)
    yield NAMESPACE
    kubernetes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def service(kubernetes: Kubernetes, namespace: str) -> Service:
    """Version 1 serves under traffic; 2 is as good, 3 fails on some rows."""
    service = serving(kubernetes, namespace, MANIFEST)
    load.start(kubernetes, namespace, SERVICE, IMAGE)
    return service


@pytest.fixture
def installed_again(kubernetes: Kubernetes) -> Iterator[None]:
    yield
    install.install(kubernetes)


@pytest.mark.parametrize(("version", "outcome"), [("2", "Promoted"), ("3", "RolledBack")])
@pytest.mark.usefixtures("installed_again")
def test_a_helm_upgrade_of_the_operator_in_a_release_changes_nothing_about_its_outcome(
    service: Service, version: str, outcome: str
) -> None:
    with service.users_notice_nothing():
        attempt = service.release(version)
        service.until(lambda status: (status["attempt"], status.get("candidate") is not None) == (attempt, True))
        values = ("--reuse-values", "--set", "logLevel=debug")
        service.kubernetes.run(
            "helm", "upgrade", "plimsoll", CHART, "-n", install.SYSTEM, *values, "--wait", "--timeout", "5m"
        )
        ended = service.ended(attempt)
    assert (ended["attempt"], ended["history"][0]["outcome"]) == (attempt, outcome)


def test_a_commit_that_is_reverted_in_a_release_is_gone_at_once_and_may_come_again(service: Service) -> None:
    before = service.until(lambda status: status["phase"] in AT_REST)
    kept = spec(service)
    with service.users_notice_nothing():
        with share_stays(service):
            attempt = service.release("2")
            shared = service.measured(attempt)
            tried = spec(service)
            began = time.monotonic()
            commit(service, kept)
            wait_for(lambda: shares(service, shared["candidate"]["revision"]) in (None, (shared["primary"], 0)))
            print(f"reverted: no share left after {time.monotonic() - began:.1f} s")
        ended = service.ended(attempt)
        assert (ended["phase"], ended["stable"]) == ("Idle", before["stable"])
        assert ended["history"][0]["outcome"] == "Superseded"
        assert ended.get("quarantine", []) == before.get("quarantine", []), "nothing was held against it"
        commit(service, tried)
        again = service.ended(attempt + 1)
    assert (again["stable"]["revision"], again["history"][0]["outcome"]) == (
        shared["candidate"]["revision"], "Promoted",
    )  # fmt: skip


def spec(service: Service) -> dict[str, Any]:
    """What the manifest in Git says of the model and of how it runs."""
    found = service.kubernetes.get("inf", SERVICE, service.namespace)["spec"]
    return {"model": found["model"], "runtime": {"env": None} | found["runtime"]}


def commit(service: Service, said: dict[str, Any]) -> None:
    """The manifest with this in it, as a GitOps controller applies it."""
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps({"spec": said}))


def test_a_re_sync_of_a_version_that_was_taken_back_is_quiet_until_the_token_changes(service: Service) -> None:
    """What a GitOps controller does again and again: the same manifest, with a note of its own on it."""
    back = service.ended(service.release("3"))
    assert (back["phase"], [one["version"] for one in back["quarantine"]]) == ("RolledBack", ["3"])
    service.until(lambda status: not status.get("retiring"))
    said, events = spec(service), notices(service)
    deployments = sorted(service.names("deployments"))
    with (
        service.users_notice_nothing(),
        following(service.kubernetes, service.namespace, f"inf/{SERVICE}", ".status", lambda status: None) as seen,
    ):
        for number in range(10):
            service.kubectl("annotate", "inf", SERVICE, "--overwrite", f"example.com/synced={number}")
            commit(service, said)
            time.sleep(1)
    assert {transition(status) for status in seen} == {transition(back)}
    assert (notices(service), sorted(service.names("deployments"))) == (events, deployments)
    with service.users_notice_nothing():
        change_release(service, {"retryToken": "again"})
        again = service.ended(back["attempt"] + 1)
    assert (again["phase"], again["history"][0]["version"]) == ("RolledBack", "3")
    assert again["stable"] == back["stable"]


def notices(service: Service) -> set[str]:
    """The Events about the service, by name."""
    about = f"--field-selector=involvedObject.kind=InferenceService,involvedObject.name={SERVICE}"
    return set(service.kubectl("get", "events", about, "-o", "name").split())


def test_a_kubelet_that_is_stopped_delays_a_release_and_changes_nothing(service: Service) -> None:
    """Pods serve on; the route is not refreshed until kubelet is back, so no share is counted that is not in force."""
    if not on_the_development_cluster(service.kubernetes):
        pytest.skip("only the kubelet of the development cluster can be stopped")
    with service.users_notice_nothing():
        devcluster("stop", "kubelet")
        try:
            attempt = service.release("2")
            waiting = service.until(lambda status: status["attempt"] == attempt)
            assert not waiting.get("weight")
        finally:
            devcluster("start", "kubelet")
        ended = service.ended(attempt)
    assert (ended["attempt"], ended["history"][0]["outcome"]) == (attempt, "Promoted")


def tighten(service: Service, resource: str, used: int) -> None:
    """A quota that has room for what is there and nothing more."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {}}
    quota["spec"] = {"hard": {resource: str(used)}}
    service.kubectl("apply", "-f", "-", stdin=json.dumps(quota))


def test_a_quota_that_leaves_no_room_holds_a_release_until_it_does(service: Service) -> None:
    # A quota counts no pod that has ended, as those of Jobs have.
    tighten(
        service,
        "pods",
        len(service.kubectl("get", "pods", "--field-selector=status.phase=Running", "-o", "name").split()),
    )
    with service.users_notice_nothing():
        attempt = service.release("2")
        held = service.until(lambda status: status.get("heldReason") == "InsufficientCapacity")
        assert "exceeded quota" in held["reason"]
        service.kubectl("delete", "resourcequota", "tight")
        ended = service.ended(attempt)
    assert ended["history"][0]["outcome"] == "Promoted"


def test_a_quota_that_leaves_no_room_for_the_ledger_stops_a_release_until_it_does(service: Service) -> None:
    tighten(service, "configmaps", len(service.names("configmaps")))
    with service.users_notice_nothing():
        attempt = service.release("2")
        told = service.until(lambda status: progressing(status)["reason"] == "EvidenceUnavailable")
        assert "the ledger of the release cannot be written" in progressing(told)["message"]
        assert "exceeded quota" in progressing(told)["message"]
        assert (told["phase"], "verdict" in told) == ("Analyzing", False), "no window counts"
        service.kubectl("delete", "resourcequota", "tight")
        ended = service.ended(attempt)
    assert ended["history"][0]["outcome"] == "Promoted"


def test_a_release_waits_for_the_service_that_goes_first_and_for_the_end_of_a_freeze(service: Service) -> None:
    before = service.until(lambda status: status["phase"] in AT_REST)["stable"]
    service.kubectl("apply", "-f", "-", stdin=json.dumps(MANIFEST | {"metadata": {"name": "stage"}}))
    where = (service.kubernetes, service.namespace, "inf", "stage")
    watch.until(*where, lambda inf: inf.get("status", {}).get("phase") == "Idle")
    frozen = [{"from": "2000-01-01", "to": "9999-12-31", "timeZone": "UTC"}]
    with service.users_notice_nothing(), order(service):
        attempt = service.release("2")
        service.until(lambda status: promoted(status)["reason"] == "WaitsForOthers")
        change_release(service, {"freezeWindows": frozen})
        load.start(service.kubernetes, service.namespace, "stage", IMAGE, *to("stage", service.namespace), pod="users")
        model = {"spec": {"model": {"version": "2"}}}
        service.kubectl("patch", "inf", "stage", "--type=merge", "-p", json.dumps(model))
        watch.until(*where, lambda inf: serves(inf, "2"))
        waits = service.until(lambda status: promoted(status)["reason"] == "FreezeWindow")
        assert (waits["stable"], waits["attempt"]) == (before, attempt - 1)
        change_release(service, {"freezeWindows": None})
        ended = service.ended(attempt)
    assert (ended["phase"], ended["stable"]["version"]) == ("Idle", "2")
    load.stop(service.kubernetes, service.namespace, "users")
    service.kubectl("delete", "inf", "stage")


@contextlib.contextmanager
def order(service: Service) -> Iterator[None]:
    """The service waits for `stage`, until the block ends."""
    change_release(service, {"after": ["stage"]})
    try:
        yield
    finally:
        change_release(service, {"after": None, "freezeWindows": None})


def to(name: str, namespace: str) -> tuple[str, str]:
    return "--url", f"http://{name}.{namespace}.svc/v2/models/{SERVICE}/infer"


def serves(inf: dict[str, Any], version: str) -> bool:
    status = inf.get("status", {})
    return (status["phase"], status["stable"]["version"]) == ("Idle", version)


def promoted(status: dict[str, Any]) -> dict[str, str]:
    """The condition of this type."""
    return next(one for one in status["conditions"] if one["type"] == "Promoted")


def change_release(service: Service, change: dict[str, Any]) -> None:
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps({"spec": {"release": change}}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"env": [{"name": "PYTHONHOME", "value": "/nowhere"}]}, r"crashes: \d+ restarts"),
        ({"resources": {"memory": "32Mi"}}, r"OOMKilled: raise spec\.runtime\.resources\.memory"),
    ],
    ids=["it crashes", "it runs out of memory"],
)
def test_a_candidate_that_does_not_come_up_is_taken_back_before_it_has_a_share(
    service: Service, change: dict[str, Any], told: str
) -> None:
    before = service.until(lambda status: status["phase"] in AT_REST)
    served = service.kubernetes.get("inf", SERVICE, service.namespace)["spec"]["runtime"]
    where = (service.kubernetes, service.namespace, f"configmap/{SERVICE}-route", r".data.route\.json")
    with service.users_notice_nothing(), following(*where) as routes:
        runtime(service, change)
        ended = service.ended(before["attempt"] + 1)
    assert (ended["phase"], ended["stable"]) == ("RolledBack", before["stable"])
    assert re.search(told, ended["history"][0]["reason"]), ended["history"][0]["reason"]
    stable = {arm["revision"] for route in routes for arm in route["arms"] if arm["weight"]}
    assert stable == {before["stable"]["revision"]}
    runtime(service, {"env": served.get("env"), "resources": served["resources"]})


def runtime(service: Service, change: dict[str, Any]) -> None:
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps({"spec": {"runtime": change}}))


def test_a_version_that_fails_in_the_probation_of_recreate_is_taken_back_by_the_bound_of_the_spec(
    service: Service,
) -> None:
    """Nothing is compared, so users see its failures until the bound tells."""
    before = service.until(lambda status: status["phase"] in AT_REST)
    release = {"strategy": "Recreate", "steps": None, "holdback": None, "probation": "10m"}
    change = {"spec": {"release": release | {"analysis": {"errorRate": {"max": 0.05}}}}}
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(change))
    try:
        ended = service.ended(service.release("3"))
    finally:
        back = MANIFEST["spec"]["release"] | {"analysis": {"errorRate": {"max": None}}}
        service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps({"spec": {"release": back}}))
    assert (ended["phase"], ended["stable"]) == ("RolledBack", before["stable"])
    assert (ended["verdict"]["outcome"], ended["verdict"]["mode"]) == ("Fail", "Absolute")
    assert re.match(r"Fail: error rate candidate \d+/[\d,]+ \(\d+\.\d+%\)", ended["history"][0]["reason"])
    with service.users_notice_nothing():
        time.sleep(5)  # for requests to be counted: it is well again at once


def test_a_version_that_proves_bad_after_its_release_is_taken_back_to_the_one_that_is_kept_warm(
    service: Service,
) -> None:
    """Without steps a version that fails on every fifth row passes its probation: nothing compares it."""
    before = service.status["stable"]
    release = {"strategy": "Recreate", "steps": None, "holdback": None}
    monitoring = {"errorRate": {"max": 0.05}, "interval": "10s", "onDegraded": "Rollback", "keepWarm": "30m"}
    change = {"spec": {"release": release, "monitoring": monitoring}}
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(change))
    attempt = service.release("3")
    promoted = service.ended(attempt)
    warm = f"plimsoll.dev/revision={before['revision']}"
    pods = service.names("pods", warm)
    assert (promoted["phase"], promoted["warm"]["revision"]) == ("Idle", before["revision"])
    ended = service.ended(attempt + 1)
    assert (ended["phase"], ended["stable"]) == ("RolledBack", before)
    assert [one["outcome"] for one in ended["history"][:2]] == ["RolledBack", "Promoted"]
    assert re.search(r"error rate \d+/[\d,]+ \(\d+\.\d+%\) is above 5%", ended["history"][0]["reason"])
    assert pods and set(pods) <= set(service.names("pods", warm)), "it had pods all the time, and has the same"
    assert "Degraded" in service.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").split()
    with service.users_notice_nothing():
        service.until(lambda status: any(one["reason"] == "WithinBounds" for one in status["conditions"]))
        time.sleep(5)  # for requests to be counted: it is well again at once
