"""Real pods: releases by a real Prometheus, with a metric of the user's, that a webhook and a Job have to agree to."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml
from plimsoll.core import ledger

from demo import install, load
from demo.shell import ROOT, Kubernetes
from examples.quickstart import elsewhere
from tests.builders import evidence
from tests.e2e.releases import MANIFEST, SERVICE, Service, fragile, progressing, sound_too
from tests.e2e.test_faults import share_stays

pytestmark = pytest.mark.usefixtures("namespace")

IMAGE = "localhost/plimsoll-serving:dev"
NAMESPACE = f"e2e-judges-{uuid.uuid4().hex[:6]}"
OUTAGE_SECONDS = 30
EXAMPLE = ROOT / "examples" / "judges" / "serve.yaml"


def of_answers(code: str) -> str:
    """PromQL of a revision's answers with this code, as a regular expression."""
    return f'plimsoll_requests_total{{namespace="$namespace",revision="$revision",code=~"{code}"}}'


SECONDS = "plimsoll_request_duration_seconds"
#: A mean whose bound no version comes near, and a counter of what few versions do.
MEAN = {
    "name": "seconds",
    "kind": "Mean",
    "query": f'{SECONDS}_sum{{namespace="$namespace",revision="$revision"}}',
    "total": f'{SECONDS}_count{{namespace="$namespace",revision="$revision"}}',
    "margin": 30,
    "range": {"min": 0, "max": 60},
}
#: A mean by which versions differ on any machine: of 1 for an answer that is a failure, 0 for one that is none.
FAILED = {
    "name": "failed",
    "kind": "Mean",
    "query": of_answers("5.."),
    "total": of_answers(".*"),
    "margin": 0.05,
    "range": {"min": 0, "max": 1},
}
CRASHES = {"name": "crashes", "kind": "Counter", "query": of_answers("5.."), "max": 3}


def manifest(
    *, webhook: str = "agree", inputs: int = 1, custom: tuple[dict[str, Any], ...] = (), errors: bool = True
) -> dict[str, Any]:
    """The example in seconds, in this namespace. `webhook` is a path of it, `inputs` what the Job demands.

    `custom` are metrics beside that of the example; `errors` is whether those that the pods count are compared.
    """
    made: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text().replace("team-a", NAMESPACE))
    release, quick = made["spec"]["release"], MANIFEST["spec"]["release"]
    policy, smoke = release["analysis"]["judges"]
    policy["webhook"]["url"] = f"http://{evidence.POD}.{NAMESPACE}.svc:8000/{webhook}"
    smoke["job"] |= {"image": IMAGE, "interval": "2s", "env": [{"name": "INPUTS", "value": str(inputs)}]}
    # Something of the pods' must be compared: latency, by a margin that no machine's speed comes near.
    compared = {"errorRate": {"enabled": errors}, "latency": {"enabled": not errors, "margin": 100}}
    analysis = release["analysis"] | quick["analysis"] | compared
    analysis["custom"] += custom
    made["spec"]["runtime"] = MANIFEST["spec"]["runtime"]
    made["spec"]["release"] = quick | {"analysis": analysis}
    return made


@pytest.fixture(scope="module")
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    """In an install that runs queries of users; the next one takes that back."""
    install.install(kubernetes, values=("prometheus.allowCustomQueries=true",))
    install.restricted_namespace(kubernetes, NAMESPACE)
    yield NAMESPACE
    kubernetes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def service(kubernetes: Kubernetes, namespace: str) -> Iterator[Service]:
    """Version 1 serves, 2 is as good, 3 fails on every fifth row; users come, and Prometheus scrapes."""
    made = Service(kubernetes, namespace)
    made.make_bucket()
    first = elsewhere.sound().SerializeToString(deterministic=True)
    for number, model in enumerate((first, sound_too(), fragile()), start=1):
        made.publish(number, model)
    served = manifest()
    served["spec"]["model"]["version"] = "1"
    made.kubectl("apply", "-f", "-", stdin=json.dumps(served))
    evidence.start(kubernetes, namespace, IMAGE)
    made.until(lambda status: status.get("phase") == "Idle" and status["followedEpoch"] == status["epoch"])
    made.kubectl("wait", "mv/digits-v2", "mv/digits-v3", "--for=condition=Ready", "--timeout=180s")
    load.start(kubernetes, namespace, SERVICE, IMAGE)
    yield made
    load.stop(kubernetes, namespace)


def released(service: Service, version: str = "2", **changes: Any) -> dict[str, Any]:
    """The status once the version was tried with these metrics and judges."""
    asked(service, **changes)
    return service.ended(service.release(version))


def asked(service: Service, **changes: Any) -> None:
    """Judge releases by this from now on."""
    change = {"spec": {"release": manifest(**changes)["spec"]["release"]}}
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(change))


@contextlib.contextmanager
def malformed(service: Service) -> Iterator[None]:
    """Beside the users somebody sends requests that no version can read, 20 a second."""
    over, answers = threading.Event(), []

    def ask(port: int) -> None:
        with httpx.Client(timeout=60) as client:
            while not over.wait(1 / 20):
                url = f"http://127.0.0.1:{port}/v2/models/{SERVICE}/infer"
                answers.append(client.post(url, json={"inputs": []}).status_code)

    with service.kubernetes.port_forward(service.namespace, f"service/{SERVICE}", 80) as port:
        thread = threading.Thread(target=ask, args=(port,), daemon=True)
        thread.start()
        yield
        over.set()
        thread.join(120)
    assert not thread.is_alive() and set(answers) == {400}, set(answers)


def assert_taken_back(service: Service, ended: dict[str, Any], metric: str) -> None:
    """By this metric, and the ledger alone says the same."""
    reason = ended["history"][0]["reason"]
    assert (ended["phase"], ended["stable"]["version"]) == ("RolledBack", "1")
    assert reason.startswith(f"Fail: {metric} candidate "), reason
    assert ledger.replay(recorded(service, ended["attempt"]))[-1].reason == reason


def recorded(service: Service, attempt: int) -> ledger.Ledger:
    found = service.kubernetes.get("configmap", f"{SERVICE}-attempt-{attempt}", service.namespace)
    return ledger.decode(found["data"]["ledger.json"])


def test_a_version_that_the_webhook_vetoes_is_taken_back(service: Service) -> None:
    with service.users_notice_nothing():
        ended = released(service, webhook="veto")
    reason = ended["history"][0]["reason"]
    assert (ended["phase"], ended["stable"]["version"]) == ("RolledBack", "1")
    assert reason.startswith("Fail: judge policy says Fail (rule 7 for version 2); window ")
    ids = evidence.asked(service.kubernetes, service.namespace)
    assert len(ids) == len(set(ids)) > 0


def test_a_version_that_the_job_vetoes_is_taken_back_with_its_words(service: Service) -> None:
    with service.users_notice_nothing():
        ended = released(service, inputs=7)
    reason = ended["history"][0]["reason"]
    assert (ended["phase"], ended["stable"]["version"]) == ("RolledBack", "1")
    assert reason.startswith("Fail: judge smoke says Fail (window ")
    assert "version 2 takes 1 inputs); window " in reason
    found = recorded(service, ended["attempt"])
    assert ledger.replay(found)[-1].reason == ended["verdict"]["reason"] == reason
    # Its log is there to be read, and no other Job runs on.
    jobs = json.loads(service.kubectl("get", "jobs", "-l", "plimsoll.dev/judge=smoke", "-o", "json"))["items"]
    assert all(job["status"].get("active", 0) == 0 for job in jobs)


def test_a_version_that_fails_by_the_counters_of_prometheus_is_taken_back(service: Service) -> None:
    with service.users_notice_nothing():
        ended = released(service, "3")
    assert_taken_back(service, ended, "error rate")


def test_a_version_that_refuses_too_much_by_a_ratio_of_the_users_is_taken_back(service: Service) -> None:
    with service.users_notice_nothing(), malformed(service):
        ended = released(service)
    assert_taken_back(service, ended, "refused")


def test_a_version_beyond_the_bound_of_a_counter_of_the_users_is_taken_back(service: Service) -> None:
    with service.users_notice_nothing():
        ended = released(service, "3", custom=(CRASHES,), errors=False)
    assert_taken_back(service, ended, "crashes")


def test_a_version_that_is_worse_by_a_mean_of_the_users_is_taken_back(service: Service) -> None:
    with service.users_notice_nothing():
        ended = released(service, "3", custom=(FAILED,), errors=False)
    assert_taken_back(service, ended, "failed")
    assert " more than 0.05 above stable; " in ended["history"][0]["reason"]


def test_a_prometheus_that_dies_in_a_release_holds_it_until_it_is_back(service: Service) -> None:
    asked(service)
    with service.users_notice_nothing():
        with share_stays(service):
            attempt = service.release("2")
            before = service.measured(attempt)
            evidence.kill_prometheus(service.kubernetes, service.namespace)
            blind = service.until(lambda status: progressing(status)["reason"] == "EvidenceUnavailable")
            time.sleep(OUTAGE_SECONDS)
            later = service.status
            evidence.bring_prometheus_back(service.kubernetes, service.namespace)
        ended = service.ended(attempt)
    for status in (blind, later):
        assert (status["phase"], status["weight"]) == ("Analyzing", before["weight"])
        assert re.search(r"(down|slow): .*; since ", progressing(status)["message"])
    assert later["verdict"]["outcome"] == "Inconclusive", "no data is never a pass and never a failure"
    assert (ended["phase"], ended["history"][0]["outcome"]) == ("Idle", "Promoted")


def test_a_version_that_all_agree_to_is_promoted_on_the_counters_of_prometheus(service: Service) -> None:
    with service.users_notice_nothing():
        ended = released(service, custom=(MEAN, CRASHES))
    assert (ended["phase"], ended["stable"]["version"]) == ("Idle", "2")
    assert ended["history"][0]["outcome"] == "Promoted"
    counted = [one for one in recorded(service, ended["attempt"]).windows if one.gap is None]
    assert sum(one.candidate.requests for one in counted) >= 100
    refused = [one.external["refused"] for one in counted]
    assert sum(one.candidate[1] for one in refused if one.gap is None) > 0
    means = [one.external["seconds"] for one in counted]
    assert sum(one.candidate[0] for one in means if one.gap is None) > 0
    assert {one.external["crashes"].candidate for one in counted if one.external["crashes"].gap is None} == {(0,)}
    jobs = [one.external["judge/smoke"] for one in counted]
    assert any(one.answer == "Pass" and "version 2 takes 1 inputs" in one.reason for one in jobs)
    assert {one.external["judge/policy"].answer for one in counted} == {"Pass"}
