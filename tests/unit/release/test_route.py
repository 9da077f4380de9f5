"""The route document: a function of the status, and who follows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.core import following, route
from plimsoll.core.conditions import precise, timestamp
from plimsoll.core.release.observed import Observed
from plimsoll.facts import PodCounters, Sample, Settings

from tests.builders.release import service

NOON = 1795348800.0
ZERO = (0,) * (len(names.LATENCY_EDGES) + 1)


def status(**fields: Any) -> InferenceServiceStatus:
    base = {
        "stable": {"revision": "digits-a", "version": "1"},
        "candidate": {"revision": "digits-b", "version": "2"},
        "primary": "digits-a",
        "weight": 10,
        "phase": "Analyzing",
        "epoch": 3,
        "followedEpoch": 2,
        "routedAt": precise(NOON),
    }
    return InferenceServiceStatus.model_validate(base | fields)


def pod(name: str, revision: str, *, told: str | None = None, ready: bool = True) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "demo",
            "uid": f"uid-{name}",
            "labels": {names.LABEL_REVISION: revision},
            "annotations": {names.ANNOTATION_ROUTE_EPOCH: told} if told else {},
            "creationTimestamp": timestamp(NOON - 1000),
        },
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def observed(*pods: dict[str, Any], epochs: Mapping[str, int | None] | None = None, now: float = NOON) -> Observed:
    counted = tuple(PodCounters(name, "", 0.0, epoch, {}, ZERO) for name, epoch in (epochs or {}).items())
    return Observed(
        owner={"metadata": {"name": "digits", "namespace": "demo", "uid": "u"}},
        spec=InferenceServiceSpec.model_validate(service()["spec"]),
        status=status(),
        settings=Settings(),
        now=now,
        pods=pods,
        sample=Sample(now, counted),
    )


def written(seen: Observed, content: dict[str, Any]) -> Observed:
    return replace(seen, config_maps={"digits-route": {"data": {"route.json": json.dumps(content)}}})


def weights(**fields: Any) -> dict[str, int]:
    return {arm.revision: arm.weight for arm in route.arms(status(**fields))}


def test_the_candidate_takes_its_share_and_the_stable_revision_the_rest() -> None:
    assert weights() == {"digits-a": 90, "digits-b": 10}


def test_without_a_holdback_the_old_revision_is_named_so_that_it_forwards() -> None:
    assert weights(primary="digits-b", weight=100, phase="Probation") == {"digits-a": 0, "digits-b": 100}


def test_a_candidate_that_waits_is_not_named_and_one_that_is_taken_back_is() -> None:
    assert weights(weight=0, phase="Warming") == {"digits-a": 100}
    assert weights(weight=0, phase="RollingBack") == {"digits-a": 100, "digits-b": 0}


def test_a_retiring_revision_is_named_without_a_share() -> None:
    old = [{"revision": "digits-0", "version": "0", "since": precise(NOON)}]
    assert weights(retiring=old) == {"digits-a": 90, "digits-b": 10, "digits-0": 0}


def arm(revision: str, version: str, weight: int) -> dict[str, Any]:
    address = f"{revision}.demo.svc:8083"
    return {"revision": revision, "version": version, "weight": weight, "mode": "Serve", "address": address}


def test_the_document_is_what_the_contract_says() -> None:
    document = route.document(observed(), status())
    assert document == {
        "formatVersion": 1,
        "epoch": 3,
        "primary": "digits-a",
        "arms": [arm("digits-a", "1", 90), arm("digits-b", "2", 10)],
        "sticky": None,
        "delegateTimeoutSeconds": 2.0,
        "validUntil": "2026-11-22T12:10:00Z",
        "maxBlindSeconds": 900,
    }


def test_a_document_of_one_arm_is_valid_for_ever() -> None:
    assert route.document(observed(), status(weight=0, phase="Warming"))["validUntil"] is None


def test_a_higher_epoch_in_the_cluster_is_never_written_over() -> None:
    seen = observed()
    assert route.wanted(written(seen, route.document(seen, status(epoch=4))), status()) is None
    assert route.wanted(written(seen, route.document(seen, status(epoch=2))), status()) is not None
    assert route.wanted(written(seen, route.document(seen, status())), status()) is None


def test_a_document_that_somebody_changed_is_set_right() -> None:
    seen = observed()
    changed = route.document(seen, status())
    changed["arms"][0]["weight"], changed["arms"][1]["weight"] = 50, 50
    assert route.wanted(written(seen, changed), status()) is not None
    assert (
        route.wanted(replace(seen, config_maps={"digits-route": {"data": {"route.json": "{"}}}), status()) is not None
    )


def test_a_document_of_two_arms_is_renewed_in_the_last_five_minutes() -> None:
    old = route.document(observed(), status())
    assert route.wanted(written(observed(now=NOON + 299), old), status()) is None
    renewed = route.wanted(written(observed(now=NOON + 300), old), status())
    assert renewed is not None
    assert (renewed["epoch"], renewed["validUntil"]) == (3, "2026-11-22T12:15:00Z")


def test_following_needs_every_ready_pod_and_silence_is_a_no() -> None:
    pods = pod("a", "digits-a"), pod("b", "digits-b"), pod("c", "digits-b", ready=False)
    assert following.followed(observed(*pods, epochs={"a": 3, "b": 3}), status())
    assert not following.followed(observed(*pods, epochs={"a": 3, "b": 2}), status())
    assert not following.followed(observed(*pods, epochs={"a": 3}), status())
    assert not following.followed(observed(*pods, epochs={"a": 3, "b": None}), status())


def test_nobody_follows_where_the_primary_has_no_pod() -> None:
    assert not following.followed(observed(pod("b", "digits-b"), epochs={"b": 3}), status())


def nudged(told: str | None, epoch: int | None, *, after: float) -> bool:
    seen = observed(pod("a", "digits-a", told=told), epochs={} if epoch is None else {"a": epoch}, now=NOON + after)
    return bool(following.nudges(seen, status()))


def test_a_pod_is_nudged_once_and_again_after_two_seconds_while_it_lags() -> None:
    told = told_of(3, NOON, NOON)
    assert nudged(None, 2, after=0)
    assert nudged(told_of(2, NOON, NOON), 2, after=0)
    assert not nudged(told, 2, after=1.9)
    assert nudged(told, 2, after=2)
    assert not nudged(told, 3, after=9)
    assert not nudged(told, None, after=9)


def told_of(epoch: int, since: float, last: float) -> str:
    return f"{epoch}@{precise(since)}@{precise(last)}"


@pytest.mark.parametrize(("last", "epoch", "deleted"), [(29, 2, 0), (30, 2, 1), (30, 3, 0)])
def test_a_pod_that_lags_while_it_is_told_for_thirty_seconds_is_deleted(last: float, epoch: int, deleted: int) -> None:
    told = told_of(3, NOON, NOON + last)
    pods = pod("a", "digits-a", told=told), pod("b", "digits-a", told=told)
    seen = observed(*pods, epochs={"a": epoch, "b": 3}, now=NOON + last)
    assert len(following.laggards(seen, status())) == deleted


@pytest.mark.parametrize(("last", "deleted"), [(60, 0), (299, 0), (300, 1)])
def test_the_only_pod_of_a_revision_is_given_five_minutes(last: float, deleted: int) -> None:
    told = told_of(3, NOON, NOON + last)
    seen = observed(pod("a", "digits-a", told=told), epochs={"a": 2}, now=NOON + last)
    assert len(following.laggards(seen, status())) == deleted


def test_what_was_told_of_an_earlier_epoch_counts_for_nothing() -> None:
    told = told_of(2, NOON, NOON + 60)
    assert following.laggards(observed(pod("a", "digits-a", told=told), epochs={"a": 1}, now=NOON + 60), status()) == ()


@pytest.mark.parametrize(("silence", "since"), [(2.0, NOON), (9.0, NOON), (45.0, NOON + 65)])
def test_an_outage_between_two_nudges_begins_the_count_anew(silence: float, since: float) -> None:
    told, now = told_of(3, NOON, NOON + 20), NOON + 20 + silence
    nudge = following.nudges(observed(pod("a", "digits-a", told=told), epochs={"a": 2}, now=now), status())[0]
    assert nudge.value == told_of(3, since, now)


def test_laggards_go_one_at_a_time_and_not_while_another_pod_is_down() -> None:
    told = told_of(3, NOON, NOON + 60)
    pods = pod("a", "digits-a", told=told), pod("b", "digits-a", told=told)
    late = {"a": 1, "b": 1}
    assert [one.uid for one in following.laggards(observed(*pods, epochs=late, now=NOON + 60), status())] == ["uid-a"]
    down = pod("b", "digits-a", told=told, ready=False)
    assert following.laggards(observed(pods[0], down, epochs=late, now=NOON + 60), status()) == ()


def test_a_pod_that_does_not_answer_is_never_deleted() -> None:
    told = told_of(3, NOON, NOON + 600)
    assert following.laggards(observed(pod("a", "digits-a", told=told), epochs={}, now=NOON + 600), status()) == ()


def test_the_primary_waits_twice_the_stable_p99_for_the_candidate() -> None:
    latency = (*(0 if edge < 2.5 else 100 for edge in names.LATENCY_EDGES), 100)
    sample = Sample(NOON, (PodCounters("a", "digits-a", 0.0, 3, {}, latency),))
    assert route.delegate_timeout(sample, "digits-a") == 5.0
    assert route.delegate_timeout(sample, "digits-b") is None
    assert route.delegate_timeout(None, "digits-a") is None


@pytest.mark.parametrize("sample", [None, Sample(NOON, (), outage="down: x")])
def test_a_renewal_without_evidence_changes_only_until_when_the_document_is_valid(sample: Sample | None) -> None:
    """A slow stable version is as slow in an outage of its metrics."""
    latency = (*(0 if edge < 2.5 else 100 for edge in names.LATENCY_EDGES), 100)
    seen = replace(observed(), sample=Sample(NOON, (PodCounters("a", "digits-a", 0.0, 3, {}, latency),)))
    first = route.document(seen, status())
    later = replace(
        observed(now=NOON + 400), sample=sample, config_maps={"digits-route": route.config_map(seen, first)}
    )
    renewed = route.wanted(later, status())
    assert renewed == first | {"validUntil": timestamp(NOON + 400 + route.VALID_SECONDS)}


@pytest.mark.parametrize("written", ["soon", True, 0, -1.0, 1e999, None])
def test_a_number_that_somebody_broke_is_not_kept(written: Any) -> None:
    broken = route.config_map(observed(), route.document(observed(), status()) | {"delegateTimeoutSeconds": written})
    found = route.document(replace(observed(), config_maps={"digits-route": broken}), status())
    assert found["delegateTimeoutSeconds"] == 2.0
