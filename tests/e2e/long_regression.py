"""A regression on real pods: judged by the sides of its numbers before any user sees one, and watched by their errors
after its release. `make soak`.
"""

from __future__ import annotations

import copy
import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sklearn.datasets import load_diabetes

from demo import install
from demo.shell import Kubernetes
from tests.e2e.long_labels import TOO_MUCH, regression
from tests.e2e.releases import MANIFEST, SERVICE, Service
from tests.e2e.test_judged_models import users

#: Above what the good versions are off by, which is 43 to 45 on average, and far below TOO_MUCH.
BOUND = 100.0
#: What a merge patch puts in the place of whatever a test before has left.
SHADOWED: dict[str, Any] = {
    "release": {
        "strategy": "Canary",
        "shadowFirst": {"percent": 100, "minDuration": "5s", "minRequests": 50},
        "steps": MANIFEST["spec"]["release"]["steps"],
        "holdback": 10,
        "analysis": {"shadow": {"maxOneSided": 0.7, "tolerance": {"relative": 0.01}}},
    },
    "monitoring": None,
}
WATCHED: dict[str, Any] = {
    "release": {
        "strategy": "Recreate",
        "shadowFirst": None,
        "steps": None,
        "holdback": None,
        "analysis": {"shadow": None},
    },
    "monitoring": {
        "errorRate": {"max": 0.5},
        "absoluteError": {"max": BOUND},
        "interval": "10s",
        "onDegraded": "Rollback",
        "keepWarm": "30m",
    },
}


@pytest.fixture(scope="module")
def service(kubernetes: Kubernetes) -> Iterator[Service]:
    """Version 1 serves; 2 is higher for one half of what users send and lower for the other, 3 is much too high."""
    namespace = f"e2e-regression-{uuid.uuid4().hex[:6]}"
    install.restricted_namespace(kubernetes, namespace)
    made, manifest = Service(kubernetes, namespace), copy.deepcopy(MANIFEST)
    manifest["spec"]["release"]["analysis"]["predictionShift"] = {"enabled": False}
    made.make_bucket()
    for number, content in enumerate((regression(), regression(tilted=300.0), regression(TOO_MUCH)), start=1):
        made.publish(number, content)
    made.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    made.until(lambda status: status.get("phase") == "Idle" and status["followedEpoch"] == status["epoch"])
    made.kubectl("wait", "mv/digits-v2", "mv/digits-v3", "--for=condition=Ready", "--timeout=300s")
    with users(made, load_diabetes):
        yield made
    kubernetes.kubectl("delete", "namespace", namespace, "--wait=false")


def set_up(service: Service, spec: dict[str, Any]) -> dict[str, Any]:
    """What serves at rest, with this part of the spec in force."""
    service.until(lambda status: status["phase"] in ("Idle", "RolledBack"))
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps({"spec": spec}))
    found: dict[str, Any] = service.status["stable"]
    return found


def test_numbers_to_either_side_of_those_that_users_got_pass_though_nearly_all_differ(service: Service) -> None:
    set_up(service, SHADOWED)
    ended = service.ended(service.release("2"))
    assert (ended["history"][0]["outcome"], ended["stable"]["version"]) == ("Promoted", "2")


def test_numbers_to_one_side_take_a_version_back_before_any_user_sees_it(service: Service) -> None:
    before = set_up(service, SHADOWED)
    ended = service.ended(service.release("3"))
    assert (ended["phase"], ended["stable"]) == ("RolledBack", before)
    said = r"Fail: signed difference candidate \d+/\d+ requests of prediction higher .*; mean difference \+\d{3}"
    assert re.match(said, ended["history"][0]["reason"]), ended["history"][0]["reason"]


def test_a_regression_that_degrades_after_its_release_is_taken_back_to_the_one_that_is_kept_warm(
    service: Service,
) -> None:
    """With `Recreate` nothing compares it: only the labels that come afterwards tell."""
    before = set_up(service, WATCHED)
    attempt = service.release("3")
    promoted = service.ended(attempt)
    assert (promoted["phase"], promoted["warm"]["revision"]) == ("Idle", before["revision"])
    ended = service.ended(attempt + 1)
    assert (ended["phase"], ended["stable"]) == ("RolledBack", before)
    assert [one["outcome"] for one in ended["history"][:2]] == ["RolledBack", "Promoted"]
    said = r"mean absolute error \d{3}\.?\d* of [\d,]+ labels is above 100; e = "
    assert re.match(said, ended["history"][0]["reason"]), ended["history"][0]["reason"]
    service.until(lambda status: any(one["reason"] == "WithinBounds" for one in status["conditions"]))
