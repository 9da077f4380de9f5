"""Pods of the stable version that are as young as the candidate's: cold caches are not the model's fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plimsoll import names
from plimsoll.core import ledger
from plimsoll.core.release.archive import ledger_name
from plimsoll.core.revision import Revision, baseline_name, renamed
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, QUICK, Character, Life, service, version

#: Latency is left out: it has its own tests, and takes most of the time of a verdict.
STABLE = {"window": "2s", "latency": {"enabled": False}}
FRESH = STABLE | {"baseline": "Fresh"}


def serving(analysis: dict[str, Any], *, replicas: int = 4, rate: float = 200.0, **release: Any) -> Life:
    """Version 1 serves, and its pods are warm."""
    life = Life(version(1), service(replicas=replicas, analysis=analysis, **release), rate=rate)
    life.until("Idle")
    life.run(30)
    return life


def ended(life: Life, seconds: float = 300) -> str:
    """How the second version's release ended."""
    assert life.run(
        seconds, stop=lambda: bool(life.status["phase"] in {"Idle", "RolledBack"} and len(history(life)) > 1)
    )
    return str(history(life)[0]["outcome"])


def history(life: Life) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = life.status.get("history", [])
    return found


@pytest.mark.parametrize(("analysis", "outcome"), [(FRESH, "Promoted"), (STABLE, "RolledBack")])
def test_what_every_young_pod_does_is_blamed_on_the_candidate_only_without_a_baseline(
    analysis: dict[str, Any], outcome: str
) -> None:
    life = serving(analysis, rate=1500.0)
    life.characters |= {"1": Character(cold=0.3), "2": Character(cold=0.3)}
    life.add(version(2))
    assert ended(life) == outcome


def test_a_candidate_that_fails_more_than_its_baseline_is_taken_back_and_the_baseline_goes() -> None:
    life = serving(FRESH, rate=1000.0)
    life.characters |= {"1": Character(cold=0.1), "2": Character(failing=0.6)}
    life.add(version(2))
    assert ended(life) == "RolledBack"
    assert life.weights == {"1": 100} and "baseline" not in life.status
    life.run(120)
    assert life.pods() == {"stable": 4}


def test_it_has_as_many_pods_and_as_large_a_share_as_the_candidate_at_every_moment() -> None:
    life = serving(FRESH)
    life.add(version(2))
    shares: list[dict[str, int]] = []

    def note() -> bool:
        if life.status.get("baseline"):
            pods, found = life.pods(), life.shares
            assert pods.get("baseline") == pods.get("candidate") and pods["stable"] == 4
            shares.extend([] if found in shares else [found])
        return life.serves(2)

    assert life.run(300, stop=note)
    assert shares == [
        {"stable": 100},
        {"stable": 80, "candidate": 10, "baseline": 10},
        {"candidate": 50, "baseline": 50},
        {"candidate": 95, "baseline": 5},
    ]
    life.run(120)
    assert life.pods() == {"stable": 4}
    names_left = [ref.name for ref in life.cluster.objects if ref.kind in {"Deployment", "Service"}]
    assert not [one for one in names_left if "-b" in one.removeprefix("digits-")[8:]]


def test_each_attempt_has_pods_of_its_own() -> None:
    life = serving(FRESH)
    life.add(version(2))
    life.until("Analyzing")
    first = life.status["baseline"]["revision"]
    life.add(version(3))
    life.until("Preparing")
    life.until("Analyzing")
    second = life.status["baseline"]["revision"]
    assert first != second and second.endswith(f"-b{life.status['attempt']}")
    assert {one["revision"] for one in life.status["retiring"]} >= {first}


def test_the_ledger_names_the_baseline_and_every_request_counts_for_the_split() -> None:
    life = serving(FRESH)
    life.add(version(2))
    life.until("Analyzing")
    life.run(8)
    status = life.status
    name = ledger_name("digits", status["attempt"])
    text = life.cluster.objects[Ref("v1", "ConfigMap", NAMESPACE, name)]["data"][names.LEDGER_KEY]
    record = ledger.decode(text)
    assert record.stable == status["baseline"]["revision"]
    window = next(one for one in record.windows if one.gap is None and one.weight == 10)
    given = window.stable.requests, window.candidate.requests, window.turned_away[0]
    assert given[0] == pytest.approx(given[1], abs=4) and given[2] == pytest.approx(8 * given[1], rel=0.1)
    assert len(window.stable_pods) == 4, "the pods beside it tell how noisy the version is"


def test_without_room_for_it_the_release_waits_and_says_for_what() -> None:
    life = serving(FRESH)
    life.characters[baseline(life)] = Character(unschedulable=True)
    life.add(version(2))
    life.until("Held")
    assert life.status["heldReason"] == "InsufficientCapacity"
    assert life.status["reason"].startswith("baseline: pod ")
    assert life.weights == {"1": 100}
    del life.characters[baseline(life)]
    life.until("Probation")


def baseline(life: Life) -> str:
    """The name that the next release's baseline, or that of this one, has."""
    attempt = life.status["attempt"] + (0 if life.status.get("candidate") else 1)
    return baseline_name(life.status["stable"]["revision"], attempt)


def test_a_baseline_that_fails_makes_no_bad_candidate_look_well() -> None:
    life = serving(FRESH, steps=[{"weight": 20, "minDuration": "2s", "minRequests": 20}], progressDeadline="20s")
    life.add(version(2))
    life.until("Analyzing")
    life.characters |= {baseline(life): Character(fetch_fails=True), "2": Character(failing=0.2)}
    assert life.run(60, stop=lambda: life.status["phase"] == "Held")
    assert life.status["heldReason"] == "ProgressDeadline"
    assert life.weights["2"] == 20


def test_a_breaking_candidate_is_taken_back_although_its_baseline_is_gone() -> None:
    life = serving(FRESH, steps=[{"weight": 20, "minDuration": "60s", "minRequests": 20}])
    life.add(version(2))
    life.until("Analyzing")
    life.characters |= {baseline(life): Character(fetch_fails=True), "2": Character(failing=0.9)}
    assert ended(life) == "RolledBack"
    assert life.status["verdict"]["mode"] == "Breaker"


def test_a_change_of_mind_is_for_the_next_release() -> None:
    life = serving(FRESH)
    life.add(version(2))
    life.until("Analyzing")
    life.edit(lambda body: body["spec"]["release"].update(QUICK))
    assert ended(life) == "Promoted"
    life.add(version(3))
    life.until("Analyzing")
    assert "baseline" not in life.status and life.shares == {"stable": 90, "candidate": 10}


def test_the_first_version_and_a_service_that_is_down_have_nothing_to_be_as_young_as() -> None:
    life = Life(version(1), service(analysis=FRESH))
    life.until("Idle")
    assert not [ref for ref in life.cluster.objects if ref.kind == "Deployment" and "-b" in ref.name]
    life.characters["1"] = Character(crashes=True)
    life.run(10)
    life.add(version(2))
    life.until("Idle")
    assert life.serves(2)


def test_it_is_the_stored_revision_under_another_name() -> None:
    labels = {names.LABEL_MODEL: "digits", names.LABEL_REVISION: "digits-00000000"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"env": [{"name": "PLIMSOLL_REVISION", "value": "digits-00000000"}, {"name": "A"}]}]},
    }
    stored = Revision("digits-00000000", "digits", "demo", "1", "d", "i", template)
    made = renamed(stored, baseline_name(stored.name, 7))
    text = json.dumps(made.template)
    assert made.name == "digits-00000000-b7" and text.count(f'"{made.name}"') == 2
    assert json.loads(text.replace("-b7", "")) == template and made.inputs == stored.inputs
