"""Releases that wait: for the end of a freeze, and for services that go first."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.core.release import order
from plimsoll.core.release.observed import Observed
from plimsoll.core.revision import Revision
from plimsoll.facts import Settings

from tests.builders.release import NAMESPACE, Life, service, version
from tests.laws.witness import Witness


def window(life: Life, begin: float, end: float) -> dict[str, str]:
    """A freeze from and to so many minutes from now, in whole minutes."""
    now = datetime.fromtimestamp(life.time, UTC)
    return {
        key: (now + timedelta(minutes=m)).isoformat(timespec="minutes")[:16]
        for key, m in (("from", begin), ("to", end))
    }


def serving(**release: Any) -> Life:
    life = Life(version(1), service(**release))
    Witness(life)
    life.until("Idle")
    life.run(2)
    return life


def freeze(life: Life, begin: float, end: float) -> None:
    life.edit(lambda body: body["spec"]["release"].update(freezeWindows=[window(life, begin, end)]))


# --- the calendar -----------------------------------------------------------------------------------------------------


def test_no_release_begins_in_a_freeze_and_the_status_says_until_when() -> None:
    life = serving()
    freeze(life, -5, 5)
    life.add(version(2))
    life.run(120)
    assert (life.status["attempt"], life.status["phase"]) == (1, "Idle")
    assert "v2 waits: frozen until " in life.status["message"]
    assert life.condition("Promoted")["reason"] == "FreezeWindow"
    before = len(life.effects)
    life.run(60)
    assert life.effects[before:] == [], "to wait writes nothing"
    assert life.run(300, stop=lambda: life.serves(2)), "and it begins by itself at the end"


def test_no_step_advances_in_a_freeze_but_a_failing_candidate_is_taken_back() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    freeze(life, -5, 5)
    life.until("Held")
    assert (life.status["heldReason"], life.weights) == ("FreezeWindow", {"1": 90, "2": 10})
    life.run(130)
    assert life.status["phase"] == "Held", "a freeze is no lack of progress"
    life.character(2).failing = 0.5
    life.until("RolledBack", 60)


def test_a_release_goes_on_after_a_freeze() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    freeze(life, -5, 2)
    life.until("Held")
    assert life.run(400, stop=lambda: life.serves(2))


def test_the_time_of_a_freeze_counts_against_no_deadline() -> None:
    life = serving(onInconclusive="Rollback", progressDeadline="20s")
    life.add(version(2))
    life.until("Analyzing")
    freeze(life, -5, 1)
    life.until("Held")
    life.character(2).quota_exceeded = True
    life.edit(lambda body: body["spec"]["runtime"].update(replicas=4))
    assert life.run(150, stop=lambda: life.status.get("heldReason") == "InsufficientCapacity")
    life.run(10)
    assert life.status["phase"] == "Held", "what holds it next has a deadline of its own"
    life.character(2).quota_exceeded = False
    assert life.run(60, stop=lambda: life.serves(2))


def test_a_person_may_promote_in_a_freeze() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    freeze(life, -5, 30)
    life.until("Held")
    life.command("now", "promote")
    assert life.run(100, stop=lambda: life.serves(2))


def test_a_promote_in_a_freeze_outlives_another_hold() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    freeze(life, -5, 30)
    life.until("Held")
    life.character(2).quota_exceeded = True
    life.edit(lambda body: body["spec"]["runtime"].update(replicas=3))
    life.command("now", "promote")
    assert life.run(20, stop=lambda: life.status.get("heldReason") == "InsufficientCapacity")
    life.character(2).quota_exceeded = False
    assert life.run(100, stop=lambda: life.serves(2))


def test_another_version_in_a_freeze_takes_the_candidate_away_and_waits() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    freeze(life, -5, 30)
    life.add(version(3))
    life.run(30)
    assert (life.status["phase"], life.weights) == ("Idle", {"1": 100})
    assert life.status["history"][0]["outcome"] == "Superseded"
    assert "v3 waits: frozen until " in life.status["message"]


def test_a_rollback_to_what_served_before_waits_for_no_freeze_and_for_nobody() -> None:
    life = serving()
    life.add(version(2))
    assert life.run(300, stop=lambda: life.serves(2))
    freeze(life, -5, 600)
    life.add(other("stage", phase="Analyzing"))
    life.edit(lambda body: body["spec"]["release"].update(after=["stage"]))
    life.run(5)
    life.command("a", "rollback", to="1")
    life.until("Analyzing")
    assert life.status["lastCommand"]["message"] == "rollback to version 1 asked for by ann"
    assert life.run(300, stop=lambda: life.serves(1)), "no step of it waits either"
    life.edit(lambda body: body["spec"]["runtime"].update(replicas=3, env=[{"name": "MARK", "value": "1"}]))
    life.run(60)
    assert life.condition("Promoted")["reason"] == "FreezeWindow", "another runtime of it is nobody's rollback"


def test_a_rollback_to_what_never_served_waits_and_the_answer_says_for_what() -> None:
    life = serving()
    freeze(life, -5, 600)
    life.add(version(2))
    life.run(5)
    life.command("a", "rollback", to="2")
    life.run(30)
    assert (life.status["attempt"], life.weights) == (1, {"1": 100})
    said = life.status["lastCommand"]
    head = (
        "rollback to version 2 asked for by ann; it did not serve here of late and waits as any release: frozen until "
    )
    assert (said["outcome"], said["message"][: len(head)]) == ("Obeyed", head)


def test_where_nothing_serves_a_freeze_protects_nothing() -> None:
    life = Life(version(1), service(freezeWindows=[{"from": "2000-01-01", "to": "2999-01-01"}]))
    life.until("Idle")
    assert life.serves(1)


# --- the order --------------------------------------------------------------------------------------------------------


def other(name: str, *, after: tuple[str, ...] = (), model: str = "digits", **status: Any) -> dict[str, Any]:
    """Another InferenceService as it is stored; `status` overrides one at rest that serves version 1."""
    promoted = {"type": "Promoted", "status": "True"}
    found = {"phase": "Idle", "observedGeneration": 1, "stable": {"version": "1"}, "conditions": [promoted]} | status
    body = service(after=list(after))
    body["metadata"] = {"name": name, "namespace": NAMESPACE, "generation": 1}
    body["spec"]["model"]["name"] = model
    return body | {"status": found}


def seen(others: list[dict[str, Any]], *after: str) -> Observed:
    """`digits` as a pass sees it."""
    body = service(after=list(after))
    spec = InferenceServiceSpec.model_validate(body["spec"])
    named = {one["metadata"]["name"]: one for one in others}
    return Observed(body, spec, InferenceServiceStatus(), Settings(), 0.0, others=named)


def waits(observed: Observed) -> str | None:
    template = {"metadata": {"labels": {names.LABEL_MODEL: "digits"}}}
    return order.waits_for(observed, Revision("digits-2", "digits", NAMESPACE, "2", "", "", template))


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (other("stage"), "InferenceService stage goes first and serves v1"),
        (other("stage", stable={"version": "2"}), None),
        (other("stage", stable={"version": "3"}), None),
        (other("stage", stable={"version": "2"}, phase="Probation"), "stage goes first and is Probation"),
        (other("stage", phase="RolledBack"), "stage goes first and is RolledBack"),
        (other("stage", stable={"version": "2"}, observedGeneration=0), "stage goes first and is being looked at"),
        (other("stage", model="faces"), None),
        (other("stage", model="faces", conditions=[]), "has not promoted what it is asked to"),
        (other("another"), "spec.release.after: there is no InferenceService stage in this namespace"),
    ],
)  # fmt: skip
def test_a_release_waits_for_those_that_go_first(first: dict[str, Any], said: str | None) -> None:
    found = waits(seen([first], "stage"))
    assert (found is None) if said is None else (found is not None and said in found)


def test_a_circle_is_told_and_nobody_of_it_begins() -> None:
    observed = seen([other("a", after=("b",)), other("b", after=("digits",))], "a")
    assert order.cycle(observed) == "digits → a → b → digits"
    assert "wait for each other" in (waits(observed) or "")
    assert order.cycle(seen([other("a", after=("b",)), other("b", after=("a",))], "a")) is None, "not a circle of ours"


class Asked(dict[str, Any]):
    """Counts how often somebody asks for a service."""

    times = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.times += 1
        return super().get(key, default)


def test_a_circle_is_looked_for_once_in_each_service_however_many_ways_lead_there() -> None:
    chain = [f"s{number}" for number in range(40)]
    dense = Asked({name: other(name, after=tuple(chain[:number][-10:])) for number, name in enumerate(chain)})
    observed = replace(seen([], *chain[-10:]), others=dense)
    assert order.cycle(observed) is None
    assert dense.times <= len(chain)
    dense["s0"] = other("s0", after=("digits",))
    assert order.cycle(observed) == "digits → s30 → s20 → s10 → s0 → digits", "the shortest one is told"


def test_the_condition_of_a_circle_goes_with_it() -> None:
    life = serving()
    life.add(other("a", after=("digits",), stable={"version": "2"}))
    life.edit(lambda body: body["spec"]["release"].update(after=["a"]))
    life.add(version(2))
    life.run(5)
    assert life.condition("Ordered")["reason"] == "Cycle"
    assert "digits → a → digits" in life.condition("Ordered")["message"]
    assert life.status["attempt"] == 1
    life.edit(lambda body: body["spec"]["release"].pop("after"))
    assert life.run(100, stop=lambda: life.serves(2))
    assert life.condition("Ordered") == {}


def test_the_second_begins_when_the_first_has_promoted() -> None:
    life = serving()
    life.add(other("stage", phase="Analyzing"))
    life.edit(lambda body: body["spec"]["release"].update(after=["stage"]))
    life.add(version(2))
    life.run(30)
    assert (life.status["phase"], life.condition("Promoted")["reason"]) == ("Idle", "WaitsForOthers")
    assert life.status["message"] == "v1 serves; v2 waits: InferenceService stage goes first and is Analyzing"
    ref = next(ref for ref in life.cluster.objects if ref.name == "stage")
    life.cluster.edit(ref, lambda body: body["status"].update(phase="Idle", stable={"version": "2"}), spec=False)
    life.ring()
    assert life.run(100, stop=lambda: life.serves(2)), json.dumps(life.status)
