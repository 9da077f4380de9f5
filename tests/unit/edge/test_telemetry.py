"""The operator's metrics of releases: what is counted, what is shown, and that nothing is left of what is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from plimsoll.edge.cache import Cache
from plimsoll.edge.telemetry import REGISTRY, SERVICE_STATES, ServiceStates, count_transitions, forget
from plimsoll.process import Process
from plimsoll.settings import load

from tests.builders.release import Life, service, version
from tests.unit.edge.objects import ours

NAMESPACE = "telemetry"
SETTINGS = {
    "PLIMSOLL_STORE_ENDPOINT": "http://127.0.0.1:1",
    "PLIMSOLL_STORE_ACCESS_KEY_ID": "root",
    "PLIMSOLL_STORE_SECRET_ACCESS_KEY": "unused",
}


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    forget(NAMESPACE)
    yield
    forget(NAMESPACE)
    SERVICE_STATES.source = tuple


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"namespace": NAMESPACE} | labels)


def told(*statuses: dict[str, Any]) -> None:
    """The statuses of one service, written one after the other."""
    manifests = [{**ours("InferenceService", "digits", namespace=NAMESPACE), "status": one} for one in statuses]
    for before, after in zip(({**manifests[0], "status": {}}, *manifests), manifests, strict=False):
        count_transitions(before, after)


def shown(*manifests: dict[str, Any]) -> dict[tuple[str, ...], float]:
    """The series of these services: name and values of the labels → value."""
    states = ServiceStates()
    states.source = lambda: manifests
    return {
        (one.name, *(one.labels[key] for key in one.labels)): one.value
        for family in states.collect()
        for one in family.samples
    }


def test_a_release_is_counted_once_from_its_beginning_to_its_end() -> None:
    fail = {"outcome": "Fail", "mode": "Sequential", "at": "2026-11-27T10:00:01Z"}
    running = {"attempt": 4, "candidate": {"revision": "r"}, "phase": "Analyzing"}
    ended = {"attempt": 4, "phase": "RolledBack", "verdict": fail, "rollbackSeconds": 0.4}
    ended["history"] = [{"attempt": 4, "outcome": "RolledBack"}]
    told({"attempt": 3}, running, running, running | {"verdict": fail}, ended, ended)
    assert value("plimsoll_release_attempts_total") == 1
    assert value("plimsoll_release_verdicts_total", outcome="Fail", mode="Sequential") == 1
    assert value("plimsoll_release_total", outcome="RolledBack") == 1
    assert value("plimsoll_release_rollback_seconds_count") == 1
    assert value("plimsoll_release_rollback_seconds_bucket", le="0.5") == 1


def test_a_hold_is_counted_by_its_reason_when_it_begins() -> None:
    held = {"phase": "Held", "heldReason": "Paused"}
    told(held, held | {"message": "another"}, {"phase": "Analyzing"}, held)
    assert value("plimsoll_release_holds_total", reason="Paused") == 2


def test_a_service_that_gets_worse_is_counted_when_it_is_noticed() -> None:
    worse = {"phase": "Idle", "degraded": {"revision": "r", "metric": "error rate"}}
    told({"phase": "Idle"}, worse, worse, {"phase": "Idle"}, worse)
    assert value("plimsoll_inferenceservice_degradations_total") == 2


def test_a_status_that_was_lost_and_found_again_is_no_attempt() -> None:
    told({"attempt": 7, "candidate": {"revision": "r"}}, {}, {"attempt": 7, "phase": "Idle"})
    assert value("plimsoll_release_attempts_total") == 1


def test_other_kinds_are_not_counted() -> None:
    manifest = {**ours("TrainingJob", "digits", namespace=NAMESPACE), "status": {"attempt": 1, "candidate": {}}}
    count_transitions({**manifest, "status": {}}, manifest)
    assert value("plimsoll_release_attempts_total") is None


def test_the_series_of_a_release_say_what_its_status_says() -> None:
    life = Life(version(1), service())
    life.until("Idle")
    life.add(version(2))
    life.until("Analyzing")
    series = shown(life.cluster.all("InferenceService")[0])
    where = ("demo", "digits")
    assert series["plimsoll_release_phase", *where, "Analyzing"] == 1
    assert series["plimsoll_release_candidate_weight_ratio", *where] == 0.1
    assert series["plimsoll_inferenceservice_condition", *where, "Ready", "True", "Serving"] == 1
    assert life.time - 300 < series["plimsoll_release_phase_start_time_seconds", *where] <= life.time
    life.until("Idle")
    series = shown(life.cluster.all("InferenceService")[0])
    assert [key[3] for key in series if key[0] == "plimsoll_release_phase"] == ["Idle"], "one phase at a time"
    assert not any(key[0] == "plimsoll_release_candidate_weight_ratio" for key in series), "no candidate, no share"


def test_a_service_without_a_status_has_no_phase() -> None:
    assert shown(ours("InferenceService", "new")) == {("plimsoll_release_quarantined_revisions", "demo", "new"): 0.0}


def test_nothing_is_left_of_services_that_are_gone() -> None:
    process = Process(load(SETTINGS), None, None, {})  # type: ignore[arg-type]
    cache: Cache = process._cache
    manifests = [
        {**ours("InferenceService", name, 1, namespace=NAMESPACE), "status": {"phase": "Idle", "attempt": 1}}
        for name in ("one", "two")
    ]
    for manifest in manifests:
        cache.put(manifest)
    told({"attempt": 1, "candidate": {"revision": "r"}})
    cache.remove(manifests[0])
    assert value("plimsoll_release_phase", inferenceservice="one", phase="Idle") is None
    assert value("plimsoll_release_phase", inferenceservice="two", phase="Idle") == 1
    assert value("plimsoll_release_attempts_total") == 1
    cache.remove(manifests[1])
    left = [one for family in REGISTRY.collect() for one in family.samples if NAMESPACE in one.labels.values()]
    assert left == []


def test_names_and_units_follow_the_conventions_of_prometheus() -> None:
    """https://prometheus.io/docs/practices/naming: base units, counters end in _total, nothing else does."""
    for family in REGISTRY.collect():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert not re.search(r"_(milliseconds|minutes|hours|percent|count|sum|total)$", family.name), family.name
        assert family.documentation, family.name
