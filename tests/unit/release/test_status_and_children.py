"""What outlives lost races and long lives: the quarantine, the route above the status, children, Events, sizes."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from plimsoll import names
from plimsoll.api.inferenceservice import (
    CommandRecord,
    InferenceServiceStatus,
    Pin,
    Quarantined,
    ReleaseRecord,
    Retiring,
    RevisionRef,
    VerdictStatus,
    Waiver,
    WindowStatus,
)
from plimsoll.core.conditions import timestamp
from plimsoll.core.release import turn as moves
from plimsoll.facts import Ref
from plimsoll.failures import Conflict, Unavailable

from tests.builders.release import NAMESPACE, SERVICE, Life, service, version
from tests.builders.world import NOON, Effect

ROUTE = Ref("v1", "ConfigMap", NAMESPACE, "digits-route")


def serving(*, replicas: int = 1, **release: Any) -> Life:
    """A service whose version 1 serves and is at rest."""
    life = Life(version(1), service(replicas=replicas, **release))
    life.until("Idle")
    life.run(5)
    return life


def taken_back(life: Life, attempt: int) -> bool:
    return (life.status["phase"], life.status["attempt"]) == ("RolledBack", attempt)


def test_more_bad_versions_than_the_quarantine_holds_are_each_tried_once() -> None:
    life = serving()
    for number in range(2, 15):
        life.character(number).crashes = True
        life.add(version(number))
        assert life.run(60, stop=partial(taken_back, life, number))
    attempts = life.status["attempt"]
    life.run(300)
    assert life.status["attempt"] == attempts == 14
    assert life.weights == {"1": 100}


def test_a_status_that_is_older_than_the_route_is_put_in_force_above_it() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    old = life.status
    life.until("Probation")
    route = json.loads(life.cluster.read(ROUTE)["data"][names.ROUTE_KEY])
    assert route["epoch"] > old["epoch"]

    life.cluster.edit(SERVICE, lambda body: body.update(status=old), spec=False)
    life.ring()
    life.run(0.5)

    assert life.status["epoch"] > route["epoch"]
    assert life.weights == {"1": 90, "2": 10}
    life.until("Idle")
    assert life.serves(2)


def test_the_record_of_the_stable_revision_comes_back_when_somebody_deletes_it() -> None:
    life = serving()
    before = life.cluster.all("ControllerRevision")
    life.cluster.remove(Ref("apps/v1", "ControllerRevision", NAMESPACE, life.status["stable"]["revision"]))
    life.ring()
    life.run(5)
    assert [one["data"] for one in life.cluster.all("ControllerRevision")] == [one["data"] for one in before]
    assert life.status["attempt"] == 1


@pytest.mark.parametrize("error", [Conflict("somebody else wrote"), Unavailable("time-out")])
def test_a_transition_is_told_although_its_first_effect_fails(error: Exception) -> None:
    life = serving()
    life.character(2).failing = 0.4
    life.add(version(2))
    life.until("Analyzing")
    life.cluster.notices.clear()

    def written(phase: str) -> bool:
        return any(one == Effect("status", "InferenceService digits", one.detail) and one.detail["phase"] == phase
                   for one in life.effects[-1:])  # fmt: skip

    original = life.cluster.write_status

    async def then_fail(owner: Any, status: Any) -> Any:
        answer = await original(owner, status)
        if written("RollingBack"):
            life.lose(1, error)
        return answer

    life.cluster.write_status = then_fail  # type: ignore[method-assign]
    life.until("RolledBack")
    assert [notice.reason for _, notice in life.cluster.notices] == ["RollingBack", "RolledBack"]


def test_a_store_that_is_away_at_the_end_of_a_release_does_not_swallow_the_news() -> None:
    life = serving()
    life.character(2).failing = 0.4
    life.add(version(2))
    life.until("RollingBack")
    life.store.down = "connection refused"
    life.run(10)
    assert [notice.reason for _, notice in life.cluster.notices][-1] == "RolledBack"


def test_the_largest_status_stays_within_32_kib() -> None:
    said, at = moves.cut("x" * 5000), timestamp(NOON)
    short, who = moves.cut_short("x" * 5000), {"revision": "r" * 49, "version": "12345678"}
    ref = RevisionRef(revision="r" * 49, version="12345678", digest="d" * 64)
    status = InferenceServiceStatus(
        phase="Held", held_phase="RollingBack", url="u" * 120, stable=ref, candidate=ref, last_proven=ref, weight=100,
        step="20/20", attempt=10**6, epoch=10**7, primary="r" * 49, routed_at=at, message=said,
        retiring=tuple(Retiring(**who, since=at) for _ in range(8)),
        verdict=VerdictStatus(outcome="Inconclusive", mode="Sequential", metric="m" * 20, reason=said, at=at),
        held_reason="InsufficientCapacity", reason=said, ledger="l" * 64,
        windows=tuple(
            WindowStatus(index=9999, end=at, weight=50, stable="1" * 20, candidate="1" * 20, gap="g" * 256)
            for _ in range(10)
        ),
        quarantine=tuple(
            Quarantined(**who, retry_token="t" * 64, reason=short, at=at)
            for _ in range(10)
        ),
        history=tuple(
            ReleaseRecord(
                attempt=10**6, **who, outcome="RolledBack",
                reason=short, started_at=at, finished_at=at, by="b" * 80,
            )
            for _ in range(10)
        ),
        commands=tuple("c" * 64 for _ in range(20)),
        last_command=CommandRecord(
            id="c" * 64, verb="unquarantine", to="12345678", by="b" * 256, at=at, outcome="Refused", message="m" * 512
        ),
        waiver=Waiver(by="b" * 256, reason="m" * 512),
        pin=Pin(model="m" * 30, version="12345678", above="12345678", by="b" * 256, at=at),
        conditions=tuple(
            {
                "type": name, "status": "False", "reason": "R" * 30, "message": "m" * 1024,
                "lastTransitionTime": at, "observedGeneration": 10**6,
            }
            for name in ("Ready", "Promoted", "Progressing", "Accepted", "StoreAvailable")
        ),
    )  # fmt: skip
    assert len(json.dumps(status.to_manifest()).encode()) < 32 * 1024
