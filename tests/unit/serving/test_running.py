"""Whom the death of a process is blamed on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from plimsoll_serving.jobs import Cost, Job, Result
from plimsoll_serving.pool.running import DEATHS, Running


class Model:
    """Does what it is told in each run."""

    clock = staticmethod(lambda: 0.0)

    def __init__(self) -> None:
        self.cost = Cost(1.0)
        self.run_cost: Cost | None = Cost(0.5)
        self.during = lambda: None

    def execute(self, batch: list[Job]) -> list[Result]:
        self.during()
        return []


def dies(folder: Path, *running: str) -> Running:
    """The marks as the next process finds them, when these models ran at the end of this one."""
    process, found = Running(folder), []
    models = {name: Model() for name in ("a", "b", "c")}
    watched = {name: process.watched(name, model) for name, model in models.items()}

    def run(names: tuple[str, ...]) -> None:
        if not names:
            found.append(Running(folder))
            return
        models[names[0]].during = lambda: run(names[1:])
        watched[names[0]].execute([])

    run(running)
    process.close()
    return found[0]


def deaths(running: Running) -> dict[str, int]:
    return {name: running.deaths(name) for name in "abc" if running.deaths(name)}


def test_nobody_is_blamed_for_an_end_outside_of_runs(tmp_path: Path) -> None:
    assert deaths(dies(tmp_path)) == {}
    assert deaths(Running(tmp_path)) == {}


def test_those_that_ran_are_suspects_and_the_next_death_has_the_one_to_blame(tmp_path: Path) -> None:
    assert deaths(dies(tmp_path, "a", "b")) == {"a": 1, "b": 1}
    assert deaths(dies(tmp_path, "a", "c")) == {"a": DEATHS, "b": 1}, "c ran beside a suspect"
    assert deaths(dies(tmp_path)) == {"a": DEATHS, "b": 1}


def test_suspects_share_one_thread_and_never_run_on_the_loop(tmp_path: Path) -> None:
    after = dies(tmp_path, "a", "b")
    with ThreadPoolExecutor(1) as usual:
        assert after.workers("c", usual) is usual
        assert after.workers("a", usual) is after.workers("b", usual) is not usual
    assert after.watched("a", Model()).run_cost is None
    quick = after.watched("c", Model()).run_cost
    assert quick is not None
    assert quick.fixed == 0.5
    after.close()


def test_a_run_that_raises_leaves_no_mark(tmp_path: Path) -> None:
    process, model = Running(tmp_path), Model()

    def fail() -> None:
        raise ValueError("bad row")

    model.during = fail
    with pytest.raises(ValueError, match="bad row"):
        process.watched("a", model).execute([])
    process.close()
    assert deaths(Running(tmp_path)) == {}


def test_a_revision_that_nobody_names_any_more_is_forgotten(tmp_path: Path) -> None:
    after = dies(tmp_path, "a")
    after.forget("a")
    after.close()
    assert deaths(Running(tmp_path)) == {}
    assert not (tmp_path / "a.run").exists()


def test_a_mark_that_was_cut_short_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "a.run").write_bytes(b"\x01")
    assert deaths(Running(tmp_path)) == {}
