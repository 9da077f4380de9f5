"""The product's main job, told once under counted traffic: see demo/story.py."""

from __future__ import annotations

import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo import install, load, story
from demo.shell import Kubernetes

IMAGE = "localhost/plimsoll-serving:dev"
OBJECTS = ["01-train.yaml", "02-serve.yaml", "03-better.yaml", "04-too-weak.yaml"]


@pytest.fixture(scope="module")
def told(kubernetes: Kubernetes) -> dict[str, Any]:
    kubernetes.kubectl("delete", "namespace", story.NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=300s")
    install.restricted_namespace(kubernetes, story.NAMESPACE)
    result = story.Story(kubernetes, IMAGE).tell()
    story.write(result)
    print(story.table(result))
    return result


def release(told: dict[str, Any], title: str) -> dict[str, Any]:
    return next(entry for entry in told["releases"] if title in entry["title"])


def test_no_request_failed_and_no_answer_was_wrong(told: dict[str, Any]) -> None:
    assert told["failures"] == {}
    assert told["wrong_answers"] == 0
    assert told["requests"] > 1000


def test_a_better_version_is_promoted_on_evidence(told: dict[str, Any]) -> None:
    better = release(told, "better")
    assert (better["version"], better["outcome"]) == ("digits-v2", "Promoted")
    assert better["requests"]["1"] > 100, "the stable version answered meanwhile"
    assert better["requests"]["2"] > 100, "the candidate was judged by its answers"


def test_a_model_that_misses_its_gate_says_what_was_measured_and_asked(told: dict[str, Any]) -> None:
    weak = release(told, "gate")
    assert weak["version"] is None
    assert "accuracy" in weak["reason"]
    assert "0.9" in weak["reason"]


def test_a_version_that_fails_in_production_is_taken_back_for_its_errors(told: dict[str, Any]) -> None:
    fragile = release(told, "fails on some real rows")
    assert fragile["outcome"] == "RolledBack"
    assert "error rate" in fragile["reason"]


def test_a_slow_version_is_taken_back_for_its_latency(told: dict[str, Any]) -> None:
    slow = release(told, "slow")
    assert slow["outcome"] == "RolledBack"
    assert "latency" in slow["reason"] or "slower" in slow["reason"]


def test_a_rollback_is_measured_from_the_verdict(told: dict[str, Any]) -> None:
    assert told["rollback_seconds"] is not None


def test_the_manifests_of_the_user_are_untouched(told: dict[str, Any], kubernetes: Kubernetes) -> None:
    """`kubectl diff` finds nothing: the operator never writes to a spec, and Argo CD sees no difference."""
    for name in OBJECTS:
        done = kubernetes.run("kubectl", "-n", story.NAMESPACE, "diff", "-f", str(story.EXAMPLES / name), check=False)
        assert (done.returncode, done.stdout) == (0, ""), name


def test_a_converged_world_costs_no_writes(told: dict[str, Any], kubernetes: Kubernetes) -> None:
    """A minute at rest: nothing but watches, lists and the Lease."""
    load.stop(kubernetes, story.NAMESPACE)
    # Retired revisions are kept warm for over a minute, and other namespaces may be on their way out.
    deadline, since, before = time.monotonic() + 480, time.monotonic(), api_requests(kubernetes)
    while time.monotonic() < since + 60:
        time.sleep(5)
        after = api_requests(kubernetes)
        changed = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
        if spent := {key: count for key, count in changed.items() if key[0] != "list" and key[1] != "leases"}:
            assert time.monotonic() < deadline, spent
            since, before = time.monotonic(), after


def api_requests(kubernetes: Kubernetes) -> dict[tuple[str, str], float]:
    """(verb, resource) → count, as the active operator exports it."""
    path = f"/api/v1/namespaces/{install.SYSTEM}/services/plimsoll-operator:8085/proxy/metrics"
    counts: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(kubernetes.kubectl("get", "--raw", path)):
        for sample in family.samples:
            if sample.name == "plimsoll_api_requests_total":
                key = (sample.labels["verb"].lower(), sample.labels["resource"])
                counts[key] = counts.get(key, 0) + sample.value
    return counts
