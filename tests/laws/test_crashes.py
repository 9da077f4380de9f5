"""The operator may die at any effect, and any write may get lost: the release ends the same way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.builders.release import Life, service, version
from tests.laws.witness import Witness


def begun() -> Life:
    """Version 1 serves, version 2 has just been published."""
    life = Life(version(1), service(steps=[{"weight": 50, "minDuration": "2s", "minRequests": 50}]), rate=800)
    Witness(life)
    life.until("Idle")
    life.run(2)
    life.add(version(2))
    return life


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
