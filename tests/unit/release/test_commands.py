"""Commands in a world in memory: obeyed or refused, once, with a sentence; and rollbacks that last."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll import names
from plimsoll.core.conditions import timestamp
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, Life, service, version


def serving(*numbers: int, **release: Any) -> Life:
    """A service whose versions were released one after the other, and is at rest."""
    life = Life(version(numbers[0]), service(**release))
    life.until("Idle")
    for number in numbers[1:]:
        life.add(version(number))
        assert life.run(300, stop=lambda number=number: life.serves(number))  # type: ignore[misc]
    life.run(5)
    return life


def last(life: Life) -> tuple[str, str, str]:
    found = life.status["lastCommand"]
    return found["verb"], found["outcome"], found["message"]


def told(life: Life) -> list[tuple[str, str]]:
    return [(notice.reason, notice.message) for _, notice in life.cluster.notices if "Command" in notice.reason]


# --- obeyed or refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "why"),
    [
        ("promote", "nothing is being released"),
        ("abort", "nothing is being released"),
        ("pause", "nothing is being released"),
        ("resume", "the release is not held"),
        ("retry", "nothing is in quarantine"),
        ("unquarantine", "nothing is in quarantine"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason_and_changes_nothing(verb: str, why: str) -> None:
    life = serving(1)
    life.command("a", verb)
    life.run(5)
    assert last(life) == (verb, "Refused", why)
    assert told(life) == [("CommandRefused", f"{verb} by ann (id a): {why}")]
    assert (life.status["phase"], life.status["commands"]) == ("Idle", ["a"])


def test_a_command_that_was_obeyed_is_told_with_its_reason_in_the_status_the_events_and_the_history() -> None:
    life = serving(1)
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "abort", reason="complaints")
    life.until("RolledBack")
    assert last(life) == ("abort", "Obeyed", "aborted by ann: complaints")
    assert told(life) == [("CommandObeyed", "aborted by ann: complaints (id a)")]
    assert (life.status["history"][0]["reason"], life.status["history"][0]["by"]) == (
        "aborted by ann: complaints",
        "ann",
    )


def test_the_history_says_who_promoted_and_nobody_where_the_evidence_did() -> None:
    life = serving(1, 2)
    assert "by" not in life.status["history"][0]
    life.add(version(3))
    life.until("Analyzing")
    life.command("a", "promote")
    life.until("Idle")
    assert life.status["history"][0]["by"] == "ann"


def test_a_command_that_has_expired_is_refused() -> None:
    life = serving(1)
    life.add(version(2))
    life.until("Analyzing")
    past = timestamp(life.time - 1)
    life.command("a", "abort", expires=past)
    life.run(1)
    assert last(life) == ("abort", "Refused", f"it expired at {past}: give it again, with a new id")
    assert life.status["phase"] == "Analyzing"
    life.command("b", "abort", expires=timestamp(life.time + 60))
    life.until("RolledBack")


def test_a_time_that_is_none_is_refused() -> None:
    life = serving(1)
    life.command("a", "abort", expires="2026-13-45T00:00:00Z")
    life.run(1)
    assert last(life)[2] == "expires is 2026-13-45T00:00:00Z: write a time such as 2026-11-24T12:00:00Z"


def test_a_command_from_git_does_nothing_to_a_service_that_is_made_anew_later() -> None:
    """Its annotation is applied with the manifest; the status that knew its id is gone."""
    life = serving(1)
    life.command("a", "rollback", to="1", expires=timestamp(life.time + 60))
    life.run(100)
    life.cluster.edit(Ref(names.API_VERSION, "InferenceService", NAMESPACE, "digits"), lambda body: body.pop("status"))
    life.ring()
    life.run(20)
    assert last(life)[1] == "Refused"
    assert "pin" not in life.status


def test_a_command_that_was_read_costs_no_write_after() -> None:
    life = serving(1)
    life.command("a", "promote")
    life.run(5)
    before = len(life.effects)
    life.ring()
    life.run(60)
    assert life.effects[before:] == []


# --- quarantine -------------------------------------------------------------------------------------------------------


def test_unquarantine_lets_out_the_version_that_it_names() -> None:
    life = serving(1, strategy="Recreate")
    for number in (2, 3):
        life.character(number).crashes = True
        life.add(version(number))
        life.until("RolledBack")
    assert [one["version"] for one in life.status["quarantine"]] == ["3", "2"]
    life.character(2).crashes = False
    life.command("a", "unquarantine", to="2")
    assert life.run(300, stop=lambda: life.serves(2))
    assert [one["version"] for one in life.status["quarantine"]] == ["3"]
    life.command("b", "unquarantine", to="7")
    life.run(2)
    assert last(life) == ("unquarantine", "Refused", "version 7 is not in quarantine")


def failed_under_a_rollback() -> Life:
    """Version 2 was taken back, and ann has said since that version 1 is to stay."""
    life = serving(1, strategy="Recreate")
    life.character(2).crashes = True
    life.add(version(2))
    life.until("RolledBack")
    life.run(5)
    life.command("a", "rollback", to="1")
    life.run(5)
    life.character(2).crashes = False
    return life


def test_retry_is_refused_while_a_rollback_keeps_the_version_away() -> None:
    life = failed_under_a_rollback()
    life.command("b", "retry")
    life.run(60)
    why = "ann rolled back to version 1: to try version 2 again, give the commands unquarantine and rollback to it"
    assert last(life) == ("retry", "Refused", why)
    assert [one["version"] for one in life.status["quarantine"]] == ["2"]


def test_unquarantine_says_that_a_rollback_still_holds_and_the_rollback_it_names_goes_forward() -> None:
    life = failed_under_a_rollback()
    life.command("b", "unquarantine", to="2")
    life.run(60)
    remark = "ann rolled back to version 1: the command rollback goes to version 2"
    assert last(life)[1:] == ("Obeyed", f"version 2 let out of quarantine by ann; {remark}")
    assert life.weights == {"1": 100}
    life.command("c", "rollback", to="2")
    assert life.run(300, stop=lambda: life.serves(2))


def test_retry_of_what_the_spec_does_not_ask_for_or_what_is_older_than_what_serves_is_refused() -> None:
    life = serving(1, strategy="Recreate")
    life.character(2).crashes = True
    life.add(version(2))
    life.until("RolledBack")
    life.edit(lambda body: body["spec"]["model"].update(version="1"))
    life.run(5)
    life.command("a", "retry")
    life.run(5)
    assert last(life)[1:] == ("Refused", "spec.model.version names version 1: to try version 2 again, name it there")
    life.edit(lambda body: body["spec"]["model"].update(version="auto"))
    life.add(version(3))
    assert life.run(300, stop=lambda: life.serves(3))
    life.command("b", "retry")
    life.run(5)
    assert last(life)[2].startswith("version 3 serves, and auto goes back to none before it: to try version 2 again, ")


# --- rollback ---------------------------------------------------------------------------------------------------------


def test_a_rollback_hours_later_goes_back_and_stays_until_something_newer_is_approved() -> None:
    life = serving(1, 2, strategy="Recreate")
    life.tick(3 * 3600)
    life.command("a", "rollback", to="1", reason="complaints")
    assert life.run(300, stop=lambda: life.serves(1))
    life.run(60)
    assert life.weights == {"1": 100}
    assert life.status["message"] == "v1 serves since ann rolled back to it, until a version above 2 is approved"
    assert life.condition("Promoted")["status"] == "True"
    assert (life.status["history"][0]["version"], life.status["history"][0]["by"]) == ("1", "ann")
    life.add(version(3))
    assert life.run(300, stop=lambda: life.serves(3))
    life.run(5)
    assert "pin" not in life.status


def test_a_rollback_writes_nothing_into_the_spec_and_nothing_once_it_is_done() -> None:
    life = serving(1, 2, strategy="Recreate")
    before = life.cluster.read(Ref(names.API_VERSION, "InferenceService", NAMESPACE, "digits"))
    life.command("a", "rollback", to="1")
    assert life.run(300, stop=lambda: life.serves(1))
    life.run(120)
    effects = len(life.effects)
    life.ring()
    life.run(60)
    assert life.effects[effects:] == []
    after = life.cluster.read(Ref(names.API_VERSION, "InferenceService", NAMESPACE, "digits"))
    assert (after["spec"], after["metadata"]["generation"]) == (before["spec"], before["metadata"]["generation"])


def test_a_newer_version_that_fails_leads_back_to_the_one_rolled_back_to_not_to_the_one_rolled_back_from() -> None:
    life = serving(1, 2, strategy="Recreate")
    life.command("a", "rollback", to="1")
    assert life.run(300, stop=lambda: life.serves(1))
    life.character(3).crashes = True
    life.add(version(3))
    life.until("RolledBack")
    life.run(60)
    assert life.weights == {"1": 100}
    assert life.status["pin"]["version"] == "1"


def test_a_version_that_waited_for_approval_at_the_time_is_newer_once_it_is_approved() -> None:
    life = serving(1, 2, strategy="Recreate")
    life.add(version(3, phase="PendingApproval"))
    life.command("a", "rollback", to="1")
    assert life.run(300, stop=lambda: life.serves(1))
    ref = Ref(names.API_VERSION, "ModelVersion", NAMESPACE, "digits-v3")
    life.cluster.edit(ref, lambda body: body.update(status={"phase": "Ready"}), spec=False)
    life.ring()
    assert life.run(300, stop=lambda: life.serves(3))


def test_a_rollback_during_a_release_takes_the_candidate_back_without_quarantine() -> None:
    life = serving(1)
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "rollback", to="1")
    life.until("Idle")
    life.run(60)
    assert (life.weights, life.status.get("quarantine", [])) == ({"1": 100}, [])
    assert (life.status["history"][0]["outcome"], life.status["history"][0]["reason"]) == (
        "Superseded",
        "ann rolled back to version 1",
    )


def test_an_old_rollback_is_not_blamed_for_the_end_of_a_later_release() -> None:
    life = serving(1, 2)
    life.command("a", "rollback", to="1")
    assert life.run(300, stop=lambda: life.serves(1))
    life.run(5)
    life.add(version(3))
    life.until("Analyzing")
    ref = Ref(names.API_VERSION, "ModelVersion", NAMESPACE, "digits-v3")
    life.cluster.edit(ref, lambda body: body.update(status={"phase": "Rejected"}), spec=False)
    life.ring()
    life.until("Idle")
    ended = life.status["history"][0]
    assert (ended["version"], ended["outcome"], ended["reason"], ended.get("by")) == (
        "3", "Superseded", "version 3 is Rejected: back to version 1", None,
    )  # fmt: skip


def test_another_runtime_under_an_old_rollback_is_no_deed_of_who_rolled_back() -> None:
    life = serving(1, 2, strategy="Recreate")
    life.command("a", "rollback", to="1")
    assert life.run(300, stop=lambda: life.serves(1))
    life.run(5)
    attempt = life.status["attempt"]
    life.edit(lambda body: body["spec"]["runtime"].update(env=[{"name": "MARK", "value": "1"}]))
    assert life.run(300, stop=lambda: life.status["phase"] == "Idle" and life.status["attempt"] > attempt)
    assert (life.status["history"][0]["outcome"], life.status["history"][0].get("by")) == ("Promoted", None)


def test_going_forward_again_is_a_rollback_too() -> None:
    life = serving(1, 2, strategy="Recreate")
    life.command("a", "rollback", to="1")
    assert life.run(300, stop=lambda: life.serves(1))
    life.command("b", "rollback", to="2")
    assert life.run(300, stop=lambda: life.serves(2))


def test_naming_a_version_in_the_spec_ends_what_a_rollback_said() -> None:
    life = serving(1, 2, strategy="Recreate")
    life.command("a", "rollback", to="1")
    assert life.run(300, stop=lambda: life.serves(1))
    life.edit(lambda body: body["spec"]["model"].update(version="2"))
    assert life.run(300, stop=lambda: life.serves(2))
    life.edit(lambda body: body["spec"]["model"].update(version="auto"))
    life.run(30)
    assert life.weights == {"2": 100}
    assert "pin" not in life.status


def test_a_version_rolled_back_to_that_is_rejected_since_is_left() -> None:
    life = serving(1, 2, strategy="Recreate")
    life.command("a", "rollback", to="1")
    assert life.run(300, stop=lambda: life.serves(1))
    ref = Ref(names.API_VERSION, "ModelVersion", NAMESPACE, "digits-v1")
    life.cluster.edit(ref, lambda body: body.update(status={"phase": "Rejected"}), spec=False)
    life.ring()
    assert life.run(300, stop=lambda: life.serves(2))


def test_a_rollback_to_what_cannot_serve_is_refused() -> None:
    life = serving(1, 2, strategy="Recreate")
    life.add(version(4, phase="Rejected"))
    life.character(3).crashes = True
    life.add(version(3))
    life.until("RolledBack")
    reasons = {
        "": 'name the number of a version in "to"',
        "9": "there is no ModelVersion digits-v9",
        "4": "ModelVersion digits-v4 is Rejected: only what is Ready is served",
        "3": "version 3 is in quarantine: give the command unquarantine first",
    }
    for to, why in reasons.items():
        life.command(f"to {to}", "rollback", to=to)
        life.run(5)
        assert last(life) == ("rollback", "Refused", why)
    assert "pin" not in life.status


def test_a_rollback_of_a_service_whose_spec_names_a_version_is_refused() -> None:
    life = serving(1, 2, strategy="Recreate")
    life.edit(lambda body: body["spec"]["model"].update(version="2"))
    life.run(5)
    life.command("a", "rollback", to="1")
    life.run(5)
    assert last(life)[2] == "spec.model.version names version 2: change it there, or set it to auto"


def test_a_rollback_to_what_is_being_released_is_refused() -> None:
    life = serving(1)
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "rollback", to="2")
    life.run(1)
    assert last(life)[2] == "version 2 is being released: promote it, or abort it"
