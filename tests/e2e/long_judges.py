"""Real pods: releases by a real Prometheus, with a metric of the user's, that a webhook and a Job have to agree to."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from plimsoll.core import ledger

from demo import install, load
from demo.shell import ROOT, Kubernetes
from examples.quickstart import elsewhere
from tests.builders import evidence
from tests.e2e.releases import MANIFEST, SERVICE, Service, sound_too

pytestmark = pytest.mark.usefixtures("namespace")

IMAGE = "localhost/plimsoll-serving:dev"
NAMESPACE = f"e2e-judges-{uuid.uuid4().hex[:6]}"
EXAMPLE = ROOT / "examples" / "judges" / "serve.yaml"


def manifest(*, webhook: str = "agree", inputs: int = 1) -> dict[str, Any]:
    """The example in seconds, in this namespace. `webhook` is a path of it, `inputs` what the Job demands."""
    made: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text().replace("team-a", NAMESPACE))
    release, quick = made["spec"]["release"], MANIFEST["spec"]["release"]
    policy, smoke = release["analysis"]["judges"]
    policy["webhook"]["url"] = f"http://{evidence.POD}.{NAMESPACE}.svc:8000/{webhook}"
    smoke["job"] |= {"image": IMAGE, "interval": "2s", "env": [{"name": "INPUTS", "value": str(inputs)}]}
    analysis = release["analysis"] | quick["analysis"]
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
    """Version 1 serves and version 2 is ready; users come, and Prometheus scrapes."""
    made = Service(kubernetes, namespace)
    made.make_bucket()
    first = elsewhere.sound().SerializeToString(deterministic=True)
    for number, model in enumerate((first, sound_too()), start=1):
        made.publish(number, model)
    served = manifest()
    served["spec"]["model"]["version"] = "1"
    made.kubectl("apply", "-f", "-", stdin=json.dumps(served))
    evidence.start(kubernetes, namespace, IMAGE)
    made.until(lambda status: status.get("phase") == "Idle" and status["followedEpoch"] == status["epoch"])
    made.kubectl("wait", "mv/digits-v2", "--for=condition=Ready", "--timeout=180s")
    load.start(kubernetes, namespace, SERVICE, IMAGE)
    yield made
    load.stop(kubernetes, namespace)


def released(service: Service, **changes: Any) -> dict[str, Any]:
    """The status once version 2 was tried with these judges."""
    change = {"spec": {"release": manifest(**changes)["spec"]["release"]}}
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(change))
    return service.ended(service.release("2"))


def recorded(service: Service, attempt: int) -> ledger.Ledger:
    found = service.kubernetes.get("configmap", f"{SERVICE}-attempt-{attempt}", service.namespace)
    return ledger.decode(found["data"]["ledger.json"])


def test_a_version_that_the_webhook_vetoes_is_taken_back(service: Service) -> None:
    with service.users_notice_nothing():
        ended = released(service, webhook="veto")
    reason = ended["history"][0]["reason"]
    assert (ended["phase"], ended["stable"]["version"]) == ("RolledBack", "1")
    assert reason.startswith("Fail: judge policy says Fail (rule 7 for version 2); window ")
    asked = evidence.asked(service.kubernetes, service.namespace)
    assert len(asked) == len(set(asked)) > 0


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


def test_a_version_that_all_agree_to_is_promoted_on_the_counters_of_prometheus(service: Service) -> None:
    with service.users_notice_nothing():
        ended = released(service)
    assert (ended["phase"], ended["stable"]["version"]) == ("Idle", "2")
    assert ended["history"][0]["outcome"] == "Promoted"
    counted = [one for one in recorded(service, ended["attempt"]).windows if one.gap is None]
    assert sum(one.candidate.requests for one in counted) >= 100
    refused = [one.external["refused"] for one in counted]
    assert sum(one.candidate[1] for one in refused if one.gap is None) > 0
    jobs = [one.external["judge/smoke"] for one in counted]
    assert any(one.answer == "Pass" and "version 2 takes 1 inputs" in one.reason for one in jobs)
    assert {one.external["judge/policy"].answer for one in counted} == {"Pass"}
