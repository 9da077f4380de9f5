"""Every strategy, whole releases in a world in memory: what users and people see of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.builders.release import Life, service, version
from tests.laws.witness import Witness

COPIES = {"minDuration": "2s", "minRequests": 50}
ANSWERS_NOBODY: dict[str, int] = {"1": 100}


def serving(strategy: str, **release: Any) -> Life:
    """Version 1 serves; the laws are watched."""
    made = service(strategy=strategy, **({} if strategy == "Canary" else {"steps": None}), **release)
    made["spec"]["release"] = {key: value for key, value in made["spec"]["release"].items() if value is not None}
    if strategy == "ABTest":
        made["spec"]["traffic"] = {"stickyHeader": "x-user-id"}
    life = Life(version(1), made)
    Witness(life)
    life.until("Idle")
    life.run(2)
    return life


def released(life: Life, *, failing: float = 0.0) -> list[tuple[str, dict[str, int], dict[str, int]]]:
    """Publishes version 2 and lets it come to an end, or to a person; every phase with its shares and copies."""
    life.character(2).failing = failing
    life.add(version(2))
    seen: list[tuple[str, dict[str, int], dict[str, int]]] = []

    def note() -> bool:
        status = life.status
        found = (status.get("heldReason") or status["phase"], life.weights, life.copies)
        seen.extend([found] if not seen or seen[-1] != found else [])
        return status["attempt"] == 2 and (status["phase"] in {"Idle", "RolledBack"} or "heldReason" in status)

    assert life.run(300, stop=note), json.dumps(life.status, indent=1)
    return seen


def resumed(life: Life, phase: str = "Idle") -> None:
    life.command(f"c{life.time}", "resume")
    life.run(1)
    life.until(phase)


# --- BlueGreen --------------------------------------------------------------------------------------------------------


def test_blue_green_gives_no_share_until_all_pods_are_there_and_then_all_at_once() -> None:
    life = serving("BlueGreen", holdback=0)
    seen = released(life)
    assert next(shares for _, shares, _ in seen if "2" in shares) == {"2": 100}
    assert ("Probation", {"2": 100}, {}) in seen
    assert life.serves(2)


def test_blue_green_keeps_the_holdback_as_a_control_and_goes_back_at_once() -> None:
    life = serving("BlueGreen")
    seen = released(life, failing=0.4)
    assert ("Probation", {"2": 95, "1": 5}, {}) in seen
    assert life.status["phase"] == "RolledBack"
    assert life.weights == {"1": 100}
    assert life.status["rollbackSeconds"] < 2


def test_a_preview_waits_at_full_capacity_for_a_person() -> None:
    life = serving("BlueGreen", onPass="Hold")
    seen = released(life)
    assert seen[-1] == ("AwaitingApproval", {"1": 100}, {})
    assert len(life.ready(life.status["candidate"]["revision"])) == 1
    assert "resume" in life.status["message"]
    life.run(125)
    assert life.status["phase"] == "Held", "to wait for a person is no lack of progress"
    resumed(life)
    assert life.serves(2)


# --- Shadow -----------------------------------------------------------------------------------------------------------


def test_a_shadow_answers_no_user_and_then_waits_for_a_person() -> None:
    life = serving("Shadow", shadow=COPIES)
    seen = released(life)
    assert {json.dumps(shares) for _, shares, _ in seen} == {'{"1": 100}'}
    assert ("Shadowing", {"1": 100}, {"2": 100}) in seen
    assert seen[-1][0] == "AwaitingApproval"
    assert life.status["verdict"]["outcome"] == "Pass"
    resumed(life)
    assert life.serves(2)


def test_a_shadow_that_fails_is_taken_back_and_no_user_saw_it() -> None:
    life = serving("Shadow", shadow=COPIES)
    seen = released(life, failing=0.4)
    assert all(shares == {"1": 100} for _, shares, _ in seen)
    assert (life.status["phase"], life.copies) == ("RolledBack", {})
    assert "Fail" in life.status["history"][0]["reason"]


def test_a_shadow_that_passes_is_promoted_when_asked() -> None:
    life = serving("Shadow", shadow=COPIES, onPass="Promote")
    released(life)
    assert life.serves(2)


def test_a_shadow_that_is_only_to_be_tested_is_remembered_and_not_tested_again() -> None:
    life = serving("Shadow", shadow=COPIES, onPass="Keep")
    released(life)
    life.run(100)
    assert (life.status["attempt"], life.status["phase"], life.weights) == (2, "Idle", {"1": 100})
    assert life.status["history"][0]["outcome"] == "Kept"
    assert life.status["message"].startswith("v1 serves; v2 was tested: kept the old version")
    assert life.condition("Promoted")["reason"] == "Kept"


def test_without_requests_a_shadow_says_nothing() -> None:
    life = serving("Shadow", shadow=COPIES, onPass="Promote")
    life.rate = 0.0
    life.add(version(2))
    life.run(60)
    assert (life.status["phase"], life.status["verdict"]["outcome"]) == ("Shadowing", "Inconclusive")


def test_a_canary_may_be_shadowed_first() -> None:
    life = serving("Canary", shadowFirst=COPIES | {"percent": 20})
    seen = released(life)
    shadowed = [phase for phase, _, copies in seen if copies]
    assert shadowed[0] == "Shadowing"
    rest = [shares for phase, shares, copies in seen if phase == "Analyzing" and not copies]
    assert rest[0] == {"1": 90, "2": 10}
    assert life.serves(2)


def test_a_canary_that_fails_as_a_shadow_never_answers_a_user() -> None:
    life = serving("Canary", shadowFirst=COPIES)
    seen = released(life, failing=0.4)
    assert all(shares == {"1": 100} for _, shares, _ in seen)
    assert life.status["phase"] == "RolledBack"


# --- steps ------------------------------------------------------------------------------------------------------------

HALF = {"weight": 50, "minDuration": "2s", "minRequests": 50}


def test_a_pause_without_a_duration_ends_when_a_person_says_so() -> None:
    life = serving("Canary", steps=[HALF, {"pause": {}}])
    seen = released(life)
    assert seen[-1] == ("PauseStep", {"1": 50, "2": 50}, {})
    life.run(125)
    assert life.status["heldReason"] == "PauseStep"
    resumed(life)
    assert life.serves(2)


def test_a_pause_with_a_duration_ends_by_itself_on_evidence() -> None:
    life = serving("Canary", steps=[HALF, {"pause": {"duration": "40s"}}])
    begun = life.time
    released(life)
    assert life.serves(2)
    assert life.time - begun > 40


def test_a_pause_without_requests_does_not_end() -> None:
    life = serving("Canary", steps=[HALF, {"pause": {"duration": "20s"}}], progressDeadline="30s")
    life.add(version(2))
    assert life.run(100, stop=lambda: life.status.get("step") == "2/2")
    life.rate = 0.0
    life.run(60)
    assert life.status["heldReason"] == "ProgressDeadline"


def test_a_candidate_that_turns_bad_in_a_pause_is_taken_back() -> None:
    life = serving("Canary", steps=[HALF, {"pause": {}}])
    released(life)
    life.character(2).failing = 0.5
    life.until("RolledBack")
    assert life.weights == {"1": 100}


def test_a_step_with_manual_approval_waits_after_its_evidence_has_passed() -> None:
    life = serving("Canary", steps=[{"weight": 10, "minDuration": "2s", "minRequests": 20, "approval": "Manual"}, HALF])
    seen = released(life)
    assert seen[-1][0] == "AwaitingApproval"
    assert life.status["verdict"]["outcome"] == "Pass"
    assert life.status["step"] == "1/2"
    resumed(life)
    assert life.serves(2)


def test_to_resume_what_a_person_paused_approves_nothing() -> None:
    life = serving("Canary", steps=[{"weight": 10, "minDuration": "9s", "minRequests": 20, "approval": "Manual"}, HALF])
    life.add(version(2))
    life.until("Analyzing")
    life.command("p", "pause")
    life.run(1)
    life.command("r", "resume")
    life.run(60)
    assert (life.status["heldReason"], life.status["step"]) == ("AwaitingApproval", "1/2")


@pytest.mark.parametrize("doubt", ["Hold", "Rollback"])
def test_an_approval_that_the_spec_no_longer_asks_for_is_not_waited_for(doubt: str) -> None:
    life = serving("Canary", steps=[HALF, {"pause": {}}], onInconclusive=doubt)
    released(life)
    life.run(130)
    life.edit(lambda body: body["spec"]["release"].update(steps=[HALF]))
    life.until("Idle")
    assert life.serves(2)


# --- ABTest -----------------------------------------------------------------------------------------------------------

TEST = {"test": {"weight": 30, "minDuration": "10s", "minRequests": 100}}


def test_a_test_splits_users_by_their_header_until_it_is_decided_and_promotes_the_winner() -> None:
    life = serving("ABTest", **TEST)
    seen = released(life)
    assert ("Analyzing", {"1": 70, "2": 30}, {}) in seen
    assert any(document["sticky"] == {"header": "x-user-id"} for document in life.documents)
    assert life.serves(2)
    assert life.status["effect"]["reason"].startswith("failures candidate 0/")


@pytest.mark.parametrize(("failing", "outcome"), [(0.0, "Kept"), (0.4, "RolledBack")])
def test_a_test_may_end_with_the_old_version_either_way(failing: float, outcome: str) -> None:
    life = serving("ABTest", onPass="Keep", **TEST)
    released(life, failing=failing)
    assert life.weights == {"1": 100}
    assert life.status["history"][0]["outcome"] == outcome
    assert ("low" in life.status["effect"]) == (failing > 0)


def test_a_new_course_in_the_middle_of_a_release_begins_where_it_begins() -> None:
    life = serving("Canary")
    life.add(version(2))
    life.until("Analyzing")
    change = {"strategy": "Shadow", "shadow": COPIES, "onPass": "Keep"}
    life.edit(lambda body: (body["spec"]["release"].pop("steps"), body["spec"]["release"].update(change)))
    life.until("Shadowing")
    assert (life.weights, life.copies) == ({"1": 100}, {"2": 100})
    life.until("Idle")
    assert life.status["history"][0]["outcome"] == "Kept"
