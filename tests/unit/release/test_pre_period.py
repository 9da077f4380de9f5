"""The stable version is watched before the candidate's first share: whoever knows its noise needs fewer windows."""

from __future__ import annotations

from typing import Any

from plimsoll import names
from plimsoll.core import ledger
from plimsoll.core.release import windows
from plimsoll.facts import Ref, Window

from tests.builders.release import NAMESPACE, Character, Life, service, version

#: Latency is left out: it has its own tests, and takes most of the time of a verdict.
ANALYSIS = {"window": "10s", "latency": {"enabled": False}}


def serving(pre_period: str, **release: Any) -> Life:
    """Three pods of version 1 serve 500 requests/s, of which 2 % fail."""
    analysis = ANALYSIS | {"prePeriod": pre_period}
    life = Life(version(1), service(replicas=3, analysis=analysis, **release), rate=500.0)
    life.characters["1"] = Character(failing=0.02)
    life.until("Idle")
    life.run(5)
    return life


def recorded(life: Life) -> tuple[Window, ...]:
    found = life.cluster.objects.get(Ref("v1", "ConfigMap", NAMESPACE, f"digits-attempt-{life.status['attempt']}"))
    return ledger.decode(found["data"][names.LEDGER_KEY]).windows if found else ()


def test_the_candidate_waits_for_its_first_share_and_the_status_says_until_when() -> None:
    life = serving("2m")
    life.add(version(2))
    life.until("Warming")
    began = life.time
    life.run(60)
    assert life.status["phase"] == "Warming" and life.weights == {"1": 100}
    assert "candidate v2 is ready; v1 serves and is watched until" in life.status["message"]
    assert "verdict" not in life.status

    life.until("Analyzing", seconds=90)
    assert 119 <= life.time - began < 125
    before = [one for one in recorded(life) if one.weight == 0]
    assert len(before) >= 11
    assert all(one.gap is None and one.candidate.requests == 0 and one.stable.requests > 4000 for one in before)
    assert {len(one.stable_pods) for one in before} == {3}


def taken_back_after(pre_period: str) -> int:
    """Windows with a share until a candidate that fails four times as often is taken back."""
    life = serving(pre_period)
    life.characters["2"] = Character(failing=0.08)
    life.add(version(2))
    assert life.run(600, stop=lambda: life.status["phase"] == "RolledBack")
    windows = recorded(life)
    replayed = ledger.replay(ledger.decode(ledger.encode(ledger_of(life))))
    assert replayed[-1].reason == life.status["verdict"]["reason"]
    return sum(one.weight > 0 for one in windows)


def ledger_of(life: Life) -> ledger.Ledger:
    found = life.cluster.objects[Ref("v1", "ConfigMap", NAMESPACE, f"digits-attempt-{life.status['attempt']}")]
    return ledger.decode(found["data"][names.LEDGER_KEY])


def test_four_times_the_failures_are_found_in_fewer_windows() -> None:
    assert taken_back_after("3m") == 1 < taken_back_after("0s")


def test_an_operator_that_dies_meanwhile_changes_nothing() -> None:
    life = serving("1m")
    life.add(version(2))
    life.until("Warming")
    began = life.time
    for _ in range(5):
        life.run(10)
        life.crash_after(1)
    life.until("Analyzing", seconds=40)
    assert 59 <= life.time - began < 65
    assert sum(one.weight == 0 for one in recorded(life)) >= 4


def test_a_release_that_is_held_before_its_first_share_records_no_more_than_is_worth_it() -> None:
    life = serving("30s")
    life.characters["2"] = Character(unschedulable=True)
    life.add(version(2))
    assert life.run(1500, stop=lambda: len(recorded(life)) == windows._PRECEDING)
    seen = recorded(life)
    writes = len(life.writes)
    life.run(60)
    assert recorded(life) == seen
    assert len(life.writes) == writes
