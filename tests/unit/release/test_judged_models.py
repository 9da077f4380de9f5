"""Models are judged by what they predict, not by errors alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plimsoll import names
from plimsoll.core import ledger
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, Life, service, version

EVEN = {"a": 0.4, "b": 0.4, "c": 0.2}
SHIFTED = {"a": 0.05, "b": 0.05, "c": 0.9}


def releasing(*, old: dict[str, float] = EVEN, new: dict[str, float] = EVEN, **release: Any) -> Life:
    """Version 1 serves, and the release of version 2 begins; each predicts these shares of classes."""
    life = Life(version(1), service(**release))
    life.character(1).predicts, life.character(2).predicts = old, new
    life.until("Idle")
    life.run(5)
    life.add(version(2))
    return life


def replayed(life: Life) -> ledger.Ledger:
    """The ledger as it is in the cluster; its last verdict is the status's."""
    found = life.cluster.objects[Ref("v1", "ConfigMap", NAMESPACE, f"digits-attempt-{life.status['attempt']}")]
    read = ledger.decode(found["data"][names.LEDGER_KEY])
    assert ledger.replay(read)[-1].reason == life.status["verdict"]["reason"]
    return read


def test_a_version_that_predicts_alike_is_promoted_and_the_verdict_says_how_alike() -> None:
    life = releasing(new={"a": 0.41, "b": 0.39, "c": 0.2})
    life.until("Probation")
    assert life.run(120, stop=lambda: life.serves(2))
    assert "prediction shift of label: PSI 0" in life.status["history"][0]["reason"]


def test_a_version_that_predicts_otherwise_is_held_with_the_class_named_and_never_taken_back_by_itself() -> None:
    life = releasing(new=SHIFTED)
    life.until("Held")
    assert life.status["heldReason"] == "PredictionShift"
    assert "prediction shift of label: PSI" in life.status["reason"]
    assert "most in value:c: candidate" in life.status["reason"]
    since = life.status["phaseSince"]
    life.run(60)
    assert (life.status["phase"], life.status["heldReason"], life.status["phaseSince"]) == (
        "Held",
        "PredictionShift",
        since,
    )
    assert life.weights == {"1": 90, "2": 10}
    assert life.condition("Progressing")["reason"] == "PredictionShift"
    replayed(life)
    assert len(json.dumps(life.status)) < 32 * 1024


def test_a_shift_that_is_meant_is_promoted_by_a_person_and_holds_no_more() -> None:
    life = releasing(new=SHIFTED)
    life.until("Held")
    life.command("go", "promote")
    life.until("Idle")
    assert life.serves(2)
    assert "promoted by ann" in life.status["history"][0]["reason"]


def test_a_shift_that_is_meant_holds_no_more_after_another_hold() -> None:
    life = releasing(new=SHIFTED)
    life.until("Held")
    life.character(2).quota_exceeded = True
    life.edit(lambda body: body["spec"]["runtime"].update(replicas=3))
    life.command("go", "promote")
    assert life.run(20, stop=lambda: life.status.get("heldReason") == "InsufficientCapacity")
    life.run(10)
    life.character(2).quota_exceeded = False
    assert life.run(100, stop=lambda: life.serves(2))


def test_a_shift_is_accepted_once_the_spec_accepts_as_much() -> None:
    life = releasing(new=SHIFTED)
    life.until("Held")
    life.edit(lambda body: body["spec"]["release"]["analysis"].update(predictionShift={"enabled": False}))
    life.until("Idle")
    assert life.serves(2)


def test_a_shift_takes_the_version_back_where_the_spec_says_so() -> None:
    life = releasing(new=SHIFTED, analysis={"predictionShift": {"onShift": "Rollback"}})
    life.until("RolledBack")
    assert life.status["verdict"]["metric"] == "prediction shift"
    assert life.status["history"][0]["reason"].startswith("Fail: prediction shift of label: PSI")
    replayed(life)


def test_a_version_that_also_fails_is_taken_back_from_the_hold() -> None:
    life = releasing(new=SHIFTED)
    life.until("Held")
    life.character(2).failing = 0.4
    life.until("RolledBack")
    assert "error rate" in life.status["history"][0]["reason"]


def test_a_split_that_is_not_what_was_asked_holds_until_it_is() -> None:
    life = releasing()
    life.skew = 3.0
    life.until("Held")
    assert life.status["heldReason"] == "SampleRatioMismatch"
    assert "not 10% as asked" in life.status["reason"]
    replayed(life)
    life.run(20)
    assert life.status["phase"] == "Held"
    life.skew = 1.0
    life.until("Idle")
    assert life.serves(2)


@pytest.mark.parametrize("sticky", [True, False])
def test_users_who_stay_with_a_version_may_be_of_any_number_of_requests(sticky: bool) -> None:
    life = Life(version(1), service())
    if sticky:
        life.edit(lambda body: body["spec"].update(traffic={"stickyHeader": "x-user-id"}))
    life.until("Idle")
    life.skew = 1.5
    life.add(version(2))
    assert life.run(400, stop=lambda: life.status["phase"] in {"Held", "Idle"} and life.status["attempt"] == 2)
    assert life.status["phase"] == ("Idle" if sticky else "Held")


LABELS = {"accuracy": {"enabled": True, "minLabels": 50}}


def test_a_version_whose_labels_say_that_it_is_worse_is_taken_back() -> None:
    life = releasing(analysis=LABELS)
    life.character(1).wrong, life.character(2).wrong = 0.05, 0.3
    life.until("RolledBack")
    assert life.status["verdict"]["metric"] == "accuracy"
    assert "labels of equal age; worse than stable less 5%" in life.status["history"][0]["reason"]
    replayed(life)


def test_a_version_whose_labels_are_as_good_is_promoted() -> None:
    life = releasing(analysis=LABELS)
    life.character(1).wrong, life.character(2).wrong = 0.05, 0.05
    life.until("Idle")
    assert life.serves(2)
    assert "within stable less 5%" in life.status["verdict"]["reason"]


def test_without_labels_a_step_that_needs_them_waits_and_says_how_many_are_missing() -> None:
    life = releasing(analysis=LABELS)
    life.run(60)
    assert life.status["step"] == "1/2"
    assert "accuracy: 0 of 50 labels of the candidate that can be compared" in life.status["verdict"]["reason"]


@pytest.mark.parametrize(("differs", "phase"), [(0.3, "RolledBack"), (0.0, "Idle")])
def test_a_shadow_that_answers_otherwise_too_often_is_taken_back_before_any_user_sees_it(
    differs: float, phase: str
) -> None:
    shadow = {"minDuration": "2s", "minRequests": 50}
    life = Life(version(1), service(shadowFirst=shadow, analysis={"shadow": {"maxDisagreement": 0.05}}))
    life.until("Idle")
    life.run(5)
    life.character(2).differs = differs
    life.add(version(2))
    life.until("Shadowing")
    life.until(phase)
    if differs:
        assert life.status["verdict"]["metric"] == "shadow disagreement"
        assert life.weights == {"1": 100}
    else:
        assert life.serves(2)


@pytest.mark.parametrize(("higher", "phase"), [(0.9, "RolledBack"), (0.5, "Idle")])
def test_a_shadow_whose_numbers_lie_to_one_side_is_taken_back_before_any_user_sees_it(
    higher: float, phase: str
) -> None:
    shadow = {"minDuration": "2s", "minRequests": 50}
    bounds = {"maxOneSided": 0.7, "tolerance": {"relative": 0.01}}
    life = Life(version(1), service(shadowFirst=shadow, analysis={"shadow": bounds}))
    life.until("Idle")
    life.run(5)
    life.character(2).higher = higher
    life.add(version(2))
    life.until("Shadowing")
    life.run(1)
    assert life.documents[-1]["tolerance"] == {"relative": 0.01, "absolute": 1e-06}
    life.until(phase)
    life.run(1)
    assert "tolerance" not in life.documents[-1], "there are no copies"
    if phase == "RolledBack":
        assert life.status["verdict"]["metric"] == "signed difference"
        assert "requests of price higher (90." in life.status["history"][0]["reason"]
        assert "; mean difference +1.7" in life.status["history"][0]["reason"]
        replayed(life)
    else:
        assert life.serves(2)


def test_another_tolerance_is_told_to_the_pods_that_compare_already() -> None:
    shadow = {"minDuration": "1h", "minRequests": 50}
    life = Life(
        version(1), service(shadowFirst=shadow, analysis={"shadow": {"maxOneSided": 0.7}}, progressDeadline="2h")
    )
    life.until("Idle")
    life.run(5)
    life.add(version(2))
    life.until("Shadowing")
    life.run(2)
    assert "tolerance" not in life.documents[-1], "the servers' own"
    analysis = {"shadow": {"maxOneSided": 0.7, "tolerance": {"relative": 0.05}}}
    life.edit(lambda body: body["spec"]["release"]["analysis"].update(analysis))
    life.run(5)
    assert (life.status["phase"], life.documents[-1]["tolerance"]["relative"]) == ("Shadowing", 0.05)
