"""Whole releases in a world in memory: what users, status and children see."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from plimsoll import names
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, SERVICE, Life, service, version


def serving(number: int = 1, *, replicas: int = 1, **release: Any) -> Life:
    """A service whose version 1 serves and is at rest."""
    life = Life(version(number), service(replicas=replicas, **release))
    life.until("Idle")
    life.run(5)
    return life


def outcomes(life: Life) -> list[str]:
    return [f"v{one['version']} {one['outcome']}" for one in life.status["history"]]


def test_the_first_version_serves_once_it_is_ready_and_nobody_calls_it_a_statistical_pass() -> None:
    life = serving(replicas=2)
    assert life.weights == {"1": 100}
    assert life.status["verdict"]["mode"] == "Absolute"
    assert life.condition("Ready")["status"] == "True"
    assert life.condition("Promoted")["status"] == "True"
    assert life.condition("Progressing") == {}
    assert life.status["observedGeneration"] == 1


def test_nothing_is_written_at_rest() -> None:
    life = serving()
    before = len(life.effects)
    assert not life.run(300)
    assert life.effects[before:] == []
    assert life.reconcile() is None


def test_a_healthy_version_rises_step_by_step_and_takes_over() -> None:
    life = serving(replicas=4)
    life.add(version(2))
    seen: list[int] = []

    def note() -> bool:
        weight = life.weights.get("2", 0)
        seen.extend([weight] if not seen or seen[-1] != weight else [])
        return life.serves(2)

    assert life.run(300, stop=note)
    assert seen == [0, 10, 50, 95, 100]
    assert life.status["lastProven"]["version"] == "2"


def test_a_candidate_gets_pods_in_proportion_to_its_share() -> None:
    life = serving(replicas=4)
    life.add(version(2))
    counts: dict[str, int] = {}

    def note() -> bool:
        status = life.status
        key = f"{status['phase']} {status.get('step', '')}".strip()
        counts[key] = life.replicas().get("2", 0)
        return life.serves(2)

    assert life.run(300, stop=note)
    assert (counts["Warming 1/2"], counts["Analyzing 1/2"], counts["Analyzing 2/2"], counts["Probation"]) == (
        1,
        1,
        2,
        4,
    )


def test_a_failing_version_is_rolled_back_with_a_reason_and_the_time_that_it_took() -> None:
    life = serving()
    life.character(2).failing = 0.4
    life.add(version(2))
    life.until("RolledBack")
    assert life.weights == {"1": 100}
    assert life.status["verdict"]["outcome"] == "Fail"
    assert "candidate" in life.status["history"][0]["reason"]
    assert 0 < life.status["rollbackSeconds"] < 2
    assert life.condition("Ready")["status"] == "True"
    assert life.condition("Promoted")["status"] == "False"
    assert life.condition("Progressing") == {}


def test_a_rolled_back_revision_is_quarantined_until_the_token_changes() -> None:
    life = serving()
    life.character(2).failing = 0.4
    life.add(version(2))
    life.until("RolledBack")
    life.character(2).failing = 0.0
    life.run(100)
    assert life.status["attempt"] == 2
    life.edit(lambda body: body["spec"]["release"].update(retryToken="again"))
    life.until("Idle")
    assert life.status["stable"]["version"] == "2"


def test_a_pinned_version_in_quarantine_says_how_to_try_it_again() -> None:
    life = serving()
    life.character(2).failing = 0.4
    life.add(version(2))
    life.edit(lambda body: body["spec"]["model"].update(version="2"))
    life.until("RolledBack")
    life.run(10)
    assert life.status["phase"] == "RolledBack"
    assert life.status["attempt"] == 2


def test_after_a_rollback_a_pinned_version_that_is_missing_is_said() -> None:
    life = serving()
    life.character(2).failing = 0.4
    life.add(version(2))
    life.until("RolledBack")
    assert "spec.release.retryToken" in life.condition("Promoted")["message"]
    life.edit(lambda body: body["spec"]["model"].update(version="9"))
    life.run(5)
    assert life.condition("Promoted")["reason"] == "ModelVersionNotFound"
    assert "digits-v9" in life.status["message"]


@pytest.mark.parametrize(
    ("named", "rejected"), [("2", True), ("9", False)], ids=["rejected", "another that is missing"]
)
def test_a_candidate_that_is_no_longer_wanted_is_taken_back_without_quarantine(named: str, rejected: bool) -> None:
    life = serving()
    life.add(version(2))
    life.edit(lambda body: body["spec"]["model"].update(version="2"))
    life.until("Analyzing")
    if rejected:
        ref = Ref(names.API_VERSION, "ModelVersion", NAMESPACE, "digits-v2")
        life.cluster.edit(ref, lambda body: body.update(status={"phase": "Rejected"}), spec=False)
        life.ring()
    else:
        life.edit(lambda body: body["spec"]["model"].update(version=named))
    life.until("Idle")
    life.run(100)
    assert (life.weights, life.status.get("quarantine", [])) == ({"1": 100}, [])
    assert life.condition("Promoted")["message"].startswith("spec.model.version: ")
    assert f"digits-v{named}" in life.condition("Promoted")["message"]


@pytest.mark.parametrize("named", ["auto", "1"])
def test_a_first_version_that_is_rejected_while_it_waits_is_not_served_until_it_is_approved(named: str) -> None:
    life = Life(version(1), service(version=named))
    life.character(1).unschedulable = True
    life.until("Held")
    ref = Ref(names.API_VERSION, "ModelVersion", NAMESPACE, "digits-v1")
    life.cluster.edit(ref, lambda body: body.update(status={"phase": "Rejected"}), spec=False)
    life.ring()
    life.run(5)
    life.character(1).unschedulable = False
    life.run(30)
    assert (life.status["phase"], life.status["heldReason"]) == ("Held", "ModelVersionNotReady")
    assert "Rejected" in life.status["message"]
    assert (life.status.get("stable"), life.status.get("primary")) == (None, None)
    life.cluster.edit(ref, lambda body: body.update(status={"phase": "Ready"}), spec=False)
    life.ring()
    life.until("Idle")
    assert life.serves(1)


def test_a_first_version_that_was_aborted_stays_so_when_it_is_rejected_and_approved_again() -> None:
    life = Life(version(1), service())
    life.character(1).unschedulable = True
    life.until("Held")
    life.command("a", "abort")
    life.run(2)
    ref = Ref(names.API_VERSION, "ModelVersion", NAMESPACE, "digits-v1")
    life.character(1).unschedulable = False
    for phase in ("Rejected", "Ready"):
        life.cluster.edit(ref, lambda body, phase=phase: body.update(status={"phase": phase}), spec=False)
        life.ring()
        life.run(5)
    assert (life.status["phase"], life.status["heldReason"]) == ("Held", "Aborted")


def test_applying_the_same_manifest_again_does_nothing() -> None:
    life = serving()
    before = len(life.effects)
    life.cluster.edit(SERVICE, lambda body: None, spec=False)
    life.ring()
    life.run(30)
    assert life.effects[before:] == []


def test_scaling_makes_no_revision() -> None:
    life = serving()
    life.edit(lambda body: body["spec"]["runtime"].update(replicas=3))
    life.run(10)
    assert life.replicas() == {"1": 3}
    assert life.status["attempt"] == 1
    assert len(life.cluster.all("PodDisruptionBudget")) == 1


def test_an_upgrade_of_the_operator_changes_no_pods_uid() -> None:
    life = serving(replicas=2)
    before = [pod["metadata"]["uid"] for pod in life.cluster.all("Pod")]
    life.upgraded(serving_image="localhost/plimsoll-serving:next")
    life.ring()
    life.run(60)
    assert [pod["metadata"]["uid"] for pod in life.cluster.all("Pod")] == before
    assert life.status["attempt"] == 1


def test_the_next_version_brings_the_new_serving_image_as_an_ordinary_candidate() -> None:
    life = serving()
    life.upgraded(serving_image="localhost/plimsoll-serving:next")
    life.add(version(2))
    life.until("Analyzing")
    images = {
        one["metadata"]["labels"][names.LABEL_VERSION]: one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in life.cluster.all("Deployment")
    }
    assert images == {"1": "localhost/plimsoll-serving:dev", "2": "localhost/plimsoll-serving:next"}


def test_no_requests_never_advance_a_release() -> None:
    life = serving()
    life.rate = 0.0
    life.add(version(2))
    life.run(100)
    assert life.weights == {"1": 90, "2": 10}
    assert life.status["verdict"]["outcome"] == "Inconclusive"


def test_an_outage_of_the_evidence_holds_and_says_since_when() -> None:
    life = serving(onInconclusive="Rollback", progressDeadline="20s")
    life.add(version(2))
    life.until("Analyzing")
    life.run(1)
    life.blind = True
    life.run(60)
    found = life.condition("Progressing")
    assert (found["status"], found["reason"]) == ("False", "EvidenceUnavailable")
    assert life.weights == {"1": 90, "2": 10}
    life.blind = False
    life.until("Idle")


def test_doubt_that_lasts_holds_when_told_to_hold() -> None:
    life = serving(progressDeadline="20s")
    life.rate = 1.0
    life.add(version(2))
    life.until("Held")
    assert life.status["heldReason"] == "ProgressDeadline"
    assert life.weights == {"1": 90, "2": 10}
    life.rate = 400.0
    life.until("Idle")
    assert life.status["stable"]["version"] == "2"


def test_doubt_that_lasts_rolls_back_when_told_to_roll_back() -> None:
    life = serving(progressDeadline="20s", onInconclusive="Rollback")
    life.rate = 1.0
    life.add(version(2))
    life.until("RolledBack")
    assert outcomes(life)[0] == "v2 RolledBack"


@pytest.mark.parametrize("recovers", [True, False])
@pytest.mark.parametrize("doubt", ["Hold", "Rollback"])
def test_doubt_never_takes_a_candidate_back_to_a_version_that_is_down(doubt: str, recovers: bool) -> None:
    life = serving(progressDeadline="20s", onInconclusive=doubt)
    life.rate = 2000.0
    life.add(version(2))
    life.until("Analyzing")
    life.character(1).crashes = True
    life.until("Held", 60)
    life.run(30)
    assert (life.status["phase"], life.status["heldReason"]) == ("Held", "StableDown")
    assert "no pod of version 1 is ready, so there is nothing to go back to" in life.status["message"]
    if recovers:
        life.character(1).crashes = False
    else:
        life.command("now", "promote")
    life.until("Idle")
    assert (life.serves(2), life.status.get("quarantine", [])) == (True, [])


def test_a_candidate_that_is_late_to_replace_a_version_that_is_down_still_does() -> None:
    life = serving(progressDeadline="20s", onInconclusive="Rollback")
    life.character(1).crashes = True
    life.run(2)
    life.character(2).boot = 60.0
    life.add(version(2))
    life.until("Held")
    assert life.status["heldReason"] == "StableDown"
    life.until("Idle")
    assert life.serves(2)


def test_a_candidate_that_crashes_is_taken_back_before_it_has_a_share() -> None:
    life = serving()
    life.character(2).crashes = True
    life.add(version(2))
    life.until("RolledBack")
    assert all(arm["version"] == "1" for document in life.documents for arm in document["arms"])
    assert "crashes" in life.status["history"][0]["reason"]


def test_a_candidate_that_runs_out_of_memory_is_taken_back_with_the_remedy() -> None:
    life = serving()
    life.character(2).out_of_memory = True
    life.add(version(2))
    life.until("RolledBack")
    assert life.weights == {"1": 100}
    assert "OOMKilled: raise spec.runtime.resources.memory" in life.status["history"][0]["reason"]


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ("unschedulable", "InsufficientCapacity"),
        ("image_missing", "ImageUnavailable"),
        ("fetch_fails", "ArtifactUnavailable"),
        ("quota_exceeded", "InsufficientCapacity"),
    ],
)
def test_what_is_not_the_candidates_fault_holds_before_any_share_and_goes_on_when_it_is_gone(
    flaw: str, reason: str
) -> None:
    life = serving()
    setattr(life.character(2), flaw, True)
    life.add(version(2))
    life.until("Held")
    assert life.status["heldReason"] == reason
    assert life.weights == {"1": 100}
    setattr(life.character(2), flaw, False)
    life.until("Idle")
    assert life.status["stable"]["version"] == "2"


def test_a_first_version_that_crashes_is_not_ready_and_gives_way_to_the_next() -> None:
    life = Life(version(1), service())
    life.character(1).crashes = True
    life.until("Held")
    assert life.condition("Ready")["status"] == "False"
    life.add(version(2))
    life.until("Idle")
    assert life.status["stable"]["version"] == "2"


def test_a_stable_version_that_crashes_is_never_ready_and_the_next_one_fixes_it_forward() -> None:
    life = serving()
    life.character(1).crashes = True
    life.run(5)
    assert life.condition("Ready")["reason"] == "CrashLoop"
    life.add(version(2))
    life.until("Idle")
    assert life.weights == {"2": 100}


def test_inputs_that_clients_do_not_send_are_refused_until_allowed() -> None:
    life = serving()
    life.add(version(2, shape=(-1, 65)))
    life.until("Held")
    assert life.status["heldReason"] == "SignatureChanged"
    assert "allowSignatureChange" in life.status["reason"]
    assert life.replicas() == {"1": 1}
    life.edit(lambda body: body["spec"]["release"].update(allowSignatureChange=True))
    life.until("Idle")
    assert life.status["stable"]["version"] == "2"


def test_a_newer_version_mid_release_begins_anew_at_no_share() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.run(2)
    life.add(version(3))
    assert life.run(5, stop=lambda: life.status["attempt"] == 3)
    assert (life.status["candidate"]["version"], life.status["weight"]) == ("3", 0)
    life.until("Idle")
    assert outcomes(life)[:2] == ["v3 Promoted", "v2 Superseded"]


def test_a_newer_version_in_probation_waits_for_its_end() -> None:
    life = serving(probation="10s")
    life.add(version(2))
    life.until("Probation")
    life.add(version(3))
    life.run(5)
    assert life.status["phase"] == "Probation"
    assert "v3 waits" in life.status["message"]
    assert life.run(300, stop=lambda: life.serves(3))
    assert outcomes(life)[:2] == ["v3 Promoted", "v2 Promoted"]


def test_going_back_to_the_stable_version_ends_the_release_at_once_without_quarantine() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.run(3)
    life.edit(lambda body: body["spec"]["model"].update(version="1"))
    life.run(0.5)
    assert life.weights == {"1": 100}
    life.until("Idle")
    assert life.status.get("quarantine", []) == []


def test_a_failure_in_probation_swaps_back_to_pods_that_are_still_there() -> None:
    life = serving(replicas=2, probation="60s")
    old = {pod["metadata"]["uid"] for pod in life.cluster.all("Pod")}
    life.add(version(2))
    life.until("Probation")
    life.character(2).failing = 0.5
    life.until("RolledBack")
    assert life.weights == {"1": 100}
    assert old <= {pod["metadata"]["uid"] for pod in life.cluster.all("Pod")}
    assert life.status["rollbackSeconds"] < 2
    service_ = life.cluster.read(Ref("v1", "Service", NAMESPACE, "digits"))
    assert service_["spec"]["selector"][names.LABEL_REVISION] == life.status["stable"]["revision"]


@pytest.mark.parametrize("rate", [5.0, 20.0, 200.0])
def test_an_outage_of_both_versions_in_probation_takes_nothing_back(rate: float) -> None:
    """A database that both ask: what is left to the stable version, 1 request in 20, fails like the rest."""
    life = in_probation(rate)
    for number in (1, 2):
        life.character(number).failing = 0.9
    life.run(60)
    for number in (1, 2):
        life.character(number).failing = 0.0
    life.run(30)
    assert life.status["phase"] == "Probation"
    assert life.weights == {"1": 5, "2": 95} and not life.status.get("quarantine")


@pytest.mark.parametrize("rate", [5.0, 20.0, 200.0])
def test_a_candidate_that_alone_breaks_in_probation_is_taken_back_within_three_windows(rate: float) -> None:
    life = in_probation(rate)
    life.character(2).failing = 0.9
    assert life.run(31, stop=lambda: life.status["phase"] == "RolledBack")
    assert life.status["verdict"]["mode"] == "Breaker"


def in_probation(rate: float) -> Life:
    """With some windows of 10 s behind it, at so many requests a second."""
    life = serving(probation="10m", analysis={"window": "10s"}, progressDeadline="1h")
    life.rate = rate
    life.add(version(2))
    life.until("Probation", 900.0)
    life.run(40)
    return life


def test_a_retired_revision_keeps_its_pods_until_the_last_connections_have_ended() -> None:
    life = serving(replicas=2)
    life.add(version(2))
    life.until("Probation")
    life.until("Idle")
    life.run(70)
    assert life.replicas() == {"1": 2, "2": 2}
    life.run(15)
    assert life.replicas() == {"1": 0, "2": 2}


def test_old_revisions_and_ledgers_are_cleared_away_and_ledgers_are_stored_first() -> None:
    life = serving()
    for number in range(2, 7):
        life.add(version(number))
        assert life.run(300, stop=partial(life.serves, number))
    life.run(200)
    assert life.replicas() == {"4": 0, "5": 0, "6": 1}
    assert [one["metadata"]["name"] for one in life.cluster.all("ConfigMap")] == [
        "digits-attempt-5",
        "digits-attempt-6",
        "digits-route",
    ]
    stored = {key for _, key in life.store.objects}
    uid = life.cluster.read(SERVICE)["metadata"]["uid"]
    assert {f"ledger/digits/{uid}/{attempt}.json" for attempt in range(2, 7)} <= stored


def test_recreate_switches_once_ready_and_judges_by_bounds_alone() -> None:
    life = serving(strategy="Recreate", replicas=2)
    life.rate = 0.0
    life.add(version(2))
    seen: set[int] = set()

    def note() -> bool:
        seen.update(life.weights.values())
        return life.serves(2)

    assert life.run(120, stop=note)
    assert seen == {100}
    assert life.status["verdict"]["mode"] == "Absolute"


def test_an_abort_takes_the_candidate_back_and_quarantines_it() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "abort")
    life.until("RolledBack")
    assert life.status["history"][0]["outcome"] == "Aborted"
    assert "ann" in life.status["history"][0]["reason"]
    life.run(60)
    assert life.status["attempt"] == 2


@pytest.mark.parametrize("wanted", ["auto", "2"])
def test_the_sentence_on_what_was_taken_back_is_whole_from_its_first_pass_on(wanted: str) -> None:
    life = serving(version="1")
    life.add(version(2))
    life.edit(lambda body: body["spec"]["model"].update(version=wanted))
    life.until("Analyzing")
    life.command("a", "abort")
    life.until("RollingBack")
    first = life.condition("Promoted")["message"]
    life.until("RolledBack")
    assert "change spec.release.retryToken to try it again" in first
    assert life.condition("Promoted")["message"] == first


def test_abort_beats_promote() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "promote")
    life.run(0.2)
    life.command("b", "abort")
    life.run(0.5)
    life.command("c", "promote")
    life.until("RolledBack")
    life.run(30)
    assert life.weights == {"1": 100}


def test_promote_waives_the_evidence_but_not_the_capacity() -> None:
    life = serving(replicas=3)
    life.rate = 0.0
    life.add(version(2))
    life.until("Analyzing")
    life.character(2).boot = 20.0
    life.command("a", "promote")
    life.run(10)
    assert life.weights == {"1": 90, "2": 10}
    life.until("Probation")
    assert life.weights == {"2": 95, "1": 5}


def test_a_pause_keeps_the_share_and_resume_goes_on() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "pause")
    life.run(60)
    assert (life.status["phase"], life.status["heldReason"]) == ("Held", "Paused")
    assert life.weights == {"1": 90, "2": 10}
    life.command("b", "resume")
    life.until("Idle")


def test_what_a_person_paused_stays_paused_whatever_crashes_and_recovers() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "pause")
    life.run(2)
    for number in (1, 2):
        life.character(number).crashes = True
    life.run(15)
    assert life.status["heldReason"] == "Paused"
    assert "Paused: paused by ann; " in life.status["message"] and "crashes" in life.status["message"]
    for number in (1, 2):
        life.character(number).crashes = False
    life.run(60)
    assert (life.status["heldReason"], life.weights) == ("Paused", {"1": 90, "2": 10})
    assert "crashes" not in life.status["message"]
    life.command("b", "resume")
    life.until("Idle")


def test_a_first_version_that_was_aborted_is_not_served_because_it_crashed_meanwhile() -> None:
    life = Life(version(1), service())
    life.character(1).crashes = True
    life.until("Held")
    life.command("a", "abort")
    life.run(5)
    assert life.status["heldReason"] == "Aborted"
    life.character(1).crashes = False
    life.run(30)
    assert (life.status["phase"], life.status["heldReason"]) == ("Held", "Aborted")


def test_a_paused_release_that_fails_is_taken_back_all_the_same() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "pause")
    life.character(2).failing = 0.5
    life.until("RolledBack")


def test_a_command_is_obeyed_once() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "pause")
    life.until("Held")
    life.command("b", "resume")
    life.until("Analyzing")
    life.command("a", "pause")
    life.run(1)
    assert life.status["phase"] == "Analyzing"
    assert life.status["commands"] == ["b", "a"]


def test_retry_lets_the_revision_out_of_quarantine() -> None:
    life = serving()
    life.character(2).failing = 0.4
    life.add(version(2))
    life.until("RolledBack")
    life.character(2).failing = 0.0
    life.command("a", "retry")
    life.until("Idle")
    assert life.status["stable"]["version"] == "2"


def test_a_pod_that_does_not_follow_is_deleted_after_thirty_seconds() -> None:
    life = serving(replicas=2)
    deaf = life.cluster.all("Pod")[0]["metadata"]["name"]
    life.deaf.add(deaf)
    life.add(version(2))
    life.until("Analyzing")
    life.run(25)
    assert life.status.get("stepSince") is None
    assert deaf in life.servers
    life.until("Idle")
    assert deaf not in life.servers


def test_pods_that_cannot_be_asked_are_never_deleted() -> None:
    life = serving(replicas=2)
    before = sorted(life.servers)
    life.add(version(2))
    life.until("Warming")
    life.blind = True
    life.run(200)
    assert set(before) <= set(life.servers)
    assert life.status.get("stepSince") is None


def test_a_lagging_pod_is_nudged_again_after_two_seconds() -> None:
    life = serving()
    pod = life.cluster.all("Pod")[0]["metadata"]["name"]
    life.deaf.add(pod)
    life.add(version(2))
    life.until("Analyzing")
    before = sum(one.verb == "annotate" and one.target == f"Pod {pod}" for one in life.effects)
    life.run(9)
    after = sum(one.verb == "annotate" and one.target == f"Pod {pod}" for one in life.effects)
    assert 3 <= after - before <= 6


def test_an_approved_version_that_is_missing_is_named_with_the_remedy() -> None:
    life = Life(service(version="7"))
    life.run(5)
    found = life.condition("Ready")
    assert (found["status"], found["reason"]) == ("False", "ModelVersionNotFound")
    assert "digits-v7" in found["message"]
    assert life.reconcile() is None


def test_a_version_that_waits_for_approval_is_not_served() -> None:
    life = serving()
    life.add(version(2, phase="PendingApproval"))
    life.run(10)
    assert life.status["attempt"] == 1
    life.edit(lambda body: body["spec"]["model"].update(version="2"))
    life.run(10)
    assert life.condition("Promoted")["reason"] == "ModelVersionNotReady"
    assert life.condition("Ready")["status"] == "True"


def test_the_route_is_renewed_only_while_there_are_two_arms() -> None:
    life = serving(progressDeadline="3600s", analysis={"window": "30s"})
    life.rate = 0.0
    life.add(version(2))
    life.until("Analyzing")
    life.run(1)
    first = life.documents[-1]["validUntil"]
    life.run(400)
    assert life.documents[-1]["validUntil"] > first
    assert life.documents[-1]["epoch"] == life.documents[1]["epoch"]
    life.command("a", "abort")
    life.until("RolledBack")
    assert life.documents[-1]["validUntil"] is None


def test_a_lost_status_is_found_again_in_the_route() -> None:
    life = serving()
    epoch = life.documents[-1]["epoch"]
    life.cluster.edit(SERVICE, lambda body: body.pop("status"), spec=False)
    life.ring()
    life.run(5)
    assert life.status["stable"]["version"] == "1"
    assert life.status["epoch"] > epoch
    assert len(life.cluster.all("Deployment")) == 1


def test_an_object_of_another_owner_in_the_way_is_a_condition_and_left_alone() -> None:
    life = Life(version(1), service())
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "digits", "namespace": NAMESPACE},
        "spec": {"selector": {"a": "b"}},
    }
    life.add(foreign)
    life.run(30)
    assert life.condition("Accepted")["reason"] == "NameConflict"
    assert life.status["message"] == life.condition("Accepted")["message"]
    assert life.cluster.read(Ref("v1", "Service", NAMESPACE, "digits"))["spec"] == {"selector": {"a": "b"}}


def test_a_store_that_does_not_answer_is_a_condition_that_goes_when_it_does() -> None:
    life = Life(version(1), service())
    life.store.down = "connection refused"
    life.run(20)
    assert life.condition("StoreAvailable")["reason"] == "StoreUnavailable"
    assert life.replicas() == {}
    life.store.down = None
    life.until("Idle")
    life.run(5)
    assert life.condition("StoreAvailable") == {}


def test_a_store_that_does_not_answer_never_keeps_a_rollback_waiting() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.store.down = "connection refused"
    for deployment in life.cluster.all("Deployment"):
        life.cluster.remove(Ref.of(deployment))
    life.command("a", "abort")
    life.run(3)
    assert life.weights == {"1": 100}
    life.store.down = None
    life.until("RolledBack")


def test_each_transition_is_told_once() -> None:
    life = serving()
    life.cluster.notices.clear()
    life.character(2).failing = 0.4
    life.add(version(2))
    life.until("RolledBack")
    reasons = [notice.reason for _, notice in life.cluster.notices]
    assert reasons == ["Preparing", "Warming", "Analyzing", "RollingBack", "RolledBack"]


def test_the_status_stays_small_however_long_a_release_takes() -> None:
    life = serving(progressDeadline="3600s")
    life.rate = 5.0
    life.add(version(2))
    life.until("Analyzing")
    life.run(50)
    assert len(life.status["windows"]) == 10
    assert len(json.dumps(life.status)) < 16 * 1024
