"""The operator's clock jumps in the middle of releases under load: `make soak` runs them.

The operator is a process of this machine here, with a clock of its own (operator_with_a_clock.py).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from plimsoll.core import ledger

from demo import install, load
from demo.shell import Kubernetes
from tests.e2e import operator_process, operator_with_a_clock
from tests.e2e.follow import following
from tests.e2e.operator_process import OperatorProcess
from tests.e2e.releases import AT_REST, MANIFEST, SERVICE, Service, Status, serving
from tests.e2e.test_faults import windows_of

IMAGE = "localhost/plimsoll-serving:dev"
NAMESPACE = f"e2e-clock-{uuid.uuid4().hex[:6]}"
HOUR = 3600.0
SHARE = MANIFEST["spec"]["release"]["steps"][0]["weight"]
#: So many requests take the candidate longer than a clock is wrong here.
REQUESTS = 800


@dataclass(frozen=True)
class Clock:
    """The file that the operator's clock follows."""

    file: Path

    def set(self, ahead: float) -> None:
        """By so many seconds before (or behind, below zero) the clocks of all others, at once."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(ahead))
        fresh.chmod(0o644)  # the operator runs in a group of its own
        fresh.rename(self.file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    found = Clock(tmp_path_factory.mktemp("clock") / "ahead")
    found.set(0.0)
    return found


@pytest.fixture(scope="module")
def operator(
    kubernetes: Kubernetes, clock: Clock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    if why := operator_process.unreachable(kubernetes):
        pytest.skip(why)
    program = (operator_with_a_clock.__file__, str(clock.file))
    with operator_process.instead_of_the_pod(kubernetes, tmp_path_factory.mktemp("operator"), program) as running:
        running.start()
        yield running


@pytest.fixture(scope="module")
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    install.restricted_namespace(kubernetes, NAMESPACE)
    yield NAMESPACE
    kubernetes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def service(kubernetes: Kubernetes, namespace: str, operator: OperatorProcess) -> Service:
    """Version 1 serves under traffic; 2 is as good, 3 fails on some rows."""
    manifest = json.loads(json.dumps(MANIFEST))
    manifest["spec"]["release"]["steps"][0]["minRequests"] = REQUESTS
    # A clock that is ahead is beyond the deadline at once.
    manifest["spec"]["release"] |= {"progressDeadline": "30m", "onInconclusive": "Rollback"}
    service = serving(kubernetes, namespace, manifest)
    load.start(kubernetes, namespace, SERVICE, IMAGE)
    return service


@pytest.fixture(autouse=True)
def last_words(operator: OperatorProcess, clock: Clock) -> Iterator[None]:
    yield
    clock.set(0.0)
    print(operator.said_of(NAMESPACE))


def windows(status: Status) -> int:
    """The number of the last window."""
    return int(status["windows"][-1]["index"]) if status.get("windows") else 0


def counted(service: Service, attempt: int) -> int:
    """The candidate's requests in the windows of the step that count."""
    data = service.kubernetes.get("configmap", f"{SERVICE}-attempt-{attempt}", service.namespace)["data"]
    found = ledger.decode(data["ledger.json"]).windows
    return sum(one.candidate.requests for one in found if one.gap is None and one.weight == SHARE)


def assert_lawful(seen: list[dict[str, Any]], attempt: int) -> None:
    """One attempt that nothing holds, epochs that only rise, and no share but that of the step until its verdict."""
    epochs = [status["epoch"] for status in seen if "epoch" in status]
    assert epochs == sorted(epochs)
    assert {status["attempt"] for status in seen if "attempt" in status} <= {attempt - 1, attempt}
    assert "Held" not in {status["phase"] for status in seen}
    for status in seen:
        if (status["attempt"], status["phase"]) == (attempt, "Analyzing"):
            assert status["weight"] == SHARE


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "back"])
@pytest.mark.parametrize(("version", "outcome"), [("other", "Promoted"), ("3", "RolledBack")])
def test_a_clock_that_jumps_in_a_release_and_is_set_right_changes_nothing_about_its_end(
    service: Service, clock: Clock, ahead: float, version: str, outcome: str
) -> None:
    before = service.until(lambda status: status["phase"] in AT_REST)
    other = "2" if before["stable"]["version"] == "1" else "1"
    where = (service.kubernetes, service.namespace, f"inf/{SERVICE}", ".status", lambda status: None)
    with service.users_notice_nothing(), following(*where) as seen:
        attempt = service.release(other if version == "other" else version)
        then = service.measured(attempt)
        clock.set(ahead)
        service.until(lambda status: over(status, attempt) or windows(status) >= windows(then) + 3)
        clock.set(0.0)
        ended = service.ended(attempt)
    assert (ended["attempt"], ended["history"][0]["outcome"]) == (attempt, outcome)
    assert_lawful(seen, attempt)
    assert windows_of(service, attempt) > 1
    if outcome == "Promoted":
        assert counted(service, attempt) >= REQUESTS, "time alone advances nothing"


def over(status: Status, attempt: int) -> bool:
    return status["attempt"] == attempt and status["phase"] in ("RollingBack", *AT_REST)


def test_a_step_that_began_by_a_clock_that_is_ahead_is_no_longer_for_it(service: Service, clock: Clock) -> None:
    """Once the clock is right, the step's beginning is an hour to come."""
    before = service.until(lambda status: status["phase"] in AT_REST)
    other = "2" if before["stable"]["version"] == "1" else "1"
    with service.users_notice_nothing():
        clock.set(HOUR)
        attempt = service.release(other)
        service.measured(attempt)
        clock.set(0.0)
        ended = service.ended(attempt)
    assert (ended["attempt"], ended["history"][0]["outcome"]) == (attempt, "Promoted")
