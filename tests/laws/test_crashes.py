"""The operator may die at any effect, and any write may get lost: the release ends the same way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.builders.judges import JudgedLife
from tests.builders.release import Life, service, version
from tests.laws.witness import Witness

STEPS = [{"weight": 50, "minDuration": "2s", "minRequests": 50}]
JUDGES = [{"name": "fairness", "job": {"image": "judge:1", "interval": "5s", "timeout": "20s"}}]


def begun() -> Life:
    """Version 1 serves, version 2 has just been published."""
    life = Life(version(1), service(steps=STEPS), rate=800)
    begin(life)
    return life


def begun_with_judge(answer: int) -> JudgedLife:
    """The same, and a Job has to agree: it ends with this exit code."""
    spec = service(steps=STEPS, analysis={"window": "2s", "judges": JUDGES})
    life = JudgedLife(version(1), spec, rate=800)
    begin(life)
    life.says = lambda told: (answer, "looked at")
    return life


def begin(life: Life) -> None:
    Witness(life)
    life.until("Idle")
    life.run(2)
    life.add(version(2))


def ended(life: Life, failing: float) -> tuple[str, dict[str, int], list[str]]:
    """Lets the release end; what users see of it."""
    life.character(2).failing = failing
    wanted = 1 if failing else 2
    assert life.run(200, stop=lambda: life.status["attempt"] == 2 and life.status["phase"] in {"Idle", "RolledBack"})
    assert life.status["stable"]["version"] == str(wanted)
    life.spare()
    life.run(10)
    return life.status["phase"], life.weights, [f"{one['attempt']} {one['outcome']}" for one in life.status["history"]]


def effects(failing: float) -> int:
    life = begun()
    before = len(life.effects)
    ended(life, failing)
    return len(life.effects) - before


FAULTS: dict[str, Callable[[Life, int], None]] = {
    "crash": lambda life, k: life.crash_after(k),
    "lost write": lambda life, k: life.lose(k),
    "lost answer": lambda life, k: life.drop_answer(k),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize("failing", [0.0, 0.4])
def test_a_fault_at_any_effect_changes_nothing_in_the_end(fault: str, failing: float) -> None:
    expected = ended(begun(), failing)
    for k in range(1, effects(failing) + 1):
        life = begun()
        FAULTS[fault](life, k)
        assert ended(life, failing) == expected, f"{fault} at effect {k}"


@pytest.mark.parametrize(("fault", "answer"), [("crash", 0), ("crash", 10), ("lost write", 10), ("lost answer", 0)])
def test_a_fault_at_any_effect_beside_a_judges_job_changes_nothing_and_judges_no_window_twice(
    fault: str, answer: int
) -> None:
    life = begun_with_judge(answer)
    before = len(life.effects)
    expected = judged(life, answer)
    for k in range(1, len(life.effects) - before + 1):
        life = begun_with_judge(answer)
        FAULTS[fault](life, k)
        assert judged(life, answer) == expected, f"{fault} at effect {k}"
        asked = [(told["PLIMSOLL_STEP"], told["PLIMSOLL_WINDOW"]) for told in life.started]
        assert len(asked) == len(set(asked)), f"{fault} at effect {k}"


def judged(life: JudgedLife, answer: int) -> tuple[str, dict[str, int], list[str]]:
    """Lets the release end as its judge says; what users see of it."""
    assert life.run(200, stop=lambda: life.status["attempt"] == 2 and life.status["phase"] in {"Idle", "RolledBack"})
    assert life.status["stable"]["version"] == ("1" if answer else "2")
    life.spare()
    life.run(10)
    return life.status["phase"], life.weights, [f"{one['attempt']} {one['outcome']}" for one in life.status["history"]]
