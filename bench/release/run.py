"""The whole benchmark: cells by engines, the curves, and what a verdict costs."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from plimsoll.core.simulation import Traffic
from plimsoll.core.statistics.allotment import of_attempt
from plimsoll.core.statistics.policy import Policy

from bench.release import cost, report
from bench.release.cells import Cell, conditions, grid
from bench.release.engines import (
    ALPHA,
    DEFAULTS,
    ENGINES,
    FEWER,
    FRESH,
    OURS,
    Found,
    judge,
    judged_in,
    ours,
)
from bench.release.scenes import run as scenes

Row = dict[str, Any]
#: What decides a claim is a rare event: a healthy release taken back, a decision without data. The rest is described
#: by medians, which a tenth of the runs gives well enough; so are the curves.
DECIDES = 10
BLIND = "no telemetry"
WINDOW = 10.0


#: What so many runs cost, roughly, in milliseconds each: where the longest are begun first, nobody waits for the last.
COSTS = {OURS: 2.0, FRESH: 3.0, "kayenta": 0.5, "kayenta-tuned": 0.2}
OTHERS = 0.05
Task = tuple[float, Callable[[Any], Row], Any]


def run(runs: int, engines: Iterable[str] = ENGINES, cells: Iterable[Cell] | None = None) -> Row:
    """Simulate; `runs` a cell where it decides a claim, a tenth elsewhere, fewer for the slow judge. `seconds` is what
    the whole took by the clock, and `cpu_seconds` what each part took of a processor."""
    chosen = list(cells) if cells is not None else [*grid(), *conditions()]
    few, started = max(1, runs // DECIDES), time.monotonic()
    tasks = {
        "cells": [_cell_task(runs, engine, cell) for cell in chosen for engine in judged_in(cell, engines)],
        "curves": _curve_tasks(few),
        "scenes": _scene_tasks(max(1, runs // scenes.FEWER)),
    }
    found, spent = _carried_out(tasks)
    return {
        "alpha": ALPHA, "cells": found["cells"], "curves": _curves(found["curves"]),
        "scenes": found["scenes"], "verdict": cost.measured(),
        "seconds": round(time.monotonic() - started), "processes": os.cpu_count() or 1,
        "cpu_seconds": {name: round(seconds, 1) for name, seconds in spent.items()},
    }  # fmt: skip


def only_ours(runs: int, cells: list[Row]) -> list[Row]:
    """These cells with what this engine makes of them now; what the peers made of the same hours stays."""
    tasks = [_cell_task(runs, engine, cell) for cell in [*grid(), *conditions()] for engine in judged_in(cell, (OURS,))]
    again = {_place(row): row for row in _carried_out({"cells": tasks})[0]["cells"]}
    return [again.get(_place(row), row) for row in cells]


def _place(row: Row) -> tuple[Any, ...]:
    return row["engine"], row["effect"], report.world(row)


def only_scenes(runs: int) -> list[Row]:
    """The scenes alone, `runs` of each."""
    return _carried_out({"scenes": _scene_tasks(runs)})[0]["scenes"]


def only_curves(runs: int) -> list[Row]:
    """The curves alone, `runs` of each point."""
    return _curves(_carried_out({"curves": _curve_tasks(runs)})[0]["curves"])


def _carried_out(tasks: dict[str, list[Task]]) -> tuple[dict[str, list[Row]], Counter[str]]:
    """The rows of each kind of tasks, in their order, and the processor's seconds; a process for each core."""
    spent: Counter[str] = Counter()
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        waiting = sorted(((kind, task) for kind, some in tasks.items() for task in some), key=lambda one: -one[1][0])
        begun = {id(task): pool.submit(_timed, task[1], task[2]) for _, task in waiting}
        for number, (kind, task) in enumerate(waiting, 1):
            row, seconds = begun[id(task)].result()
            spent[row["engine"] if kind == "cells" else kind] += seconds
            if not number % 100 or number == len(waiting):
                print(f"{number} of {len(waiting)} tasks, {sum(spent.values()):,.0f} CPU s", file=sys.stderr)
        return {kind: [begun[id(task)].result()[0] for task in some] for kind, some in tasks.items()}, spent


def _cell_task(runs: int, engine: str, cell: Cell) -> Task:
    mine = runs_of(runs, engine, cell)
    return mine * COSTS.get(engine, OTHERS), _row, (engine, cell, mine)


def _scene_tasks(runs: int) -> list[Task]:
    return [(runs * (500.0 if task[0] == OURS else OTHERS), scenes.row, task) for task in scenes.tasks(runs)]


def _curve_tasks(runs: int) -> list[Task]:
    """The points that differ: the defaults are a point of every curve."""
    chosen = dict.fromkeys((policy, pre_seconds) for _, _, policy, pre_seconds in _points())
    return [(7 * runs * COSTS[OURS], _curve, (*point, runs)) for point in chosen]


def _curves(found: list[Row]) -> list[Row]:
    """A row for each point, of the figures of those that differ."""
    chosen = dict.fromkeys((policy, pre_seconds) for _, _, policy, pre_seconds in _points())
    known = dict(zip(chosen, found, strict=True))
    return [
        {"setting": name, "value": value, **known[policy, pre_seconds]}
        for name, value, policy, pre_seconds in _points()
    ]  # fmt: skip


def runs_of(runs: int, engine: str, cell: Cell) -> int:
    """How many of the `runs` a cell gets."""
    full = runs if cell.effect == 1 or cell.incident == BLIND else max(1, runs // DECIDES)
    return max(1, full // FEWER.get(engine, 1))


def _timed(function: Callable[[Any], Row], task: Any) -> tuple[Row, float]:
    started = time.process_time()
    row = function(task)
    return row, time.process_time() - started


def _row(task: tuple[str, Cell, int]) -> Row:
    engine, cell, runs = task
    return described(engine, cell, judge(engine, cell, runs))


def described(engine: str, cell: Cell, found: Found) -> Row:
    """A cell of the results. `median_seconds` and `p95_seconds` are of all runs, where one that did not end as it
    should (promoted at effect 1, rolled back otherwise) counts as never: None. `false_rollback_upper` and
    `missed_upper` end the exact interval (Clopper & Pearson, 95 %) of what they are named after."""
    right = found.outcome == (1 if cell.effect == 1 else -1)
    seconds = np.where(right, found.seconds, np.inf)
    name, wrong = ("false_rollback", -1) if cell.effect == 1 else ("missed", 1)
    times, runs = int((found.outcome == wrong).sum()), len(found.outcome)
    return {
        "engine": engine,
        "requests_per_second": cell.traffic.requests_per_second,
        "base_rate": cell.traffic.error_rate,
        "effect": cell.effect,
        "noise_cv": cell.traffic.noise_cv,
        "noise": cell.traffic.noise,
        "incident": cell.incident,
        "runs": runs,
        name: times / runs,
        f"{name}_upper": float(f"{report.interval(times, runs)[1]:.4g}"),
        "inconclusive": float((found.outcome == 0).mean()),
        "median_seconds": _quantile(seconds, 0.5),
        "p95_seconds": _quantile(seconds, 0.95),
        "first_window": float((seconds <= WINDOW).mean()),
        "bad_requests": round(float(found.bad.mean()), 2),
    }


def _quantile(seconds: Any, share: float) -> float | None:
    value = float(np.quantile(seconds, share, method="higher"))
    return value if np.isfinite(value) else None


# --- the curves -------------------------------------------------------------------------------------------------------


def _points() -> Iterator[tuple[str, float, Policy, float]]:
    """One default changed at a time: alpha, of which the first attempt has its part; the ratio of error rates that is
    accepted; the least noise for a pass; `prePeriod` in seconds."""
    for alpha in (0.001, 0.01, 0.05, 0.1, 0.2):
        yield "alpha", alpha, Policy(alpha=of_attempt(alpha, 1)), 0.0
    for margin in (1.1, 1.25, 1.5, 2.0):
        yield "error_margin", margin, replace(DEFAULTS, error_margin=margin), 0.0
    for floor in (0.05, 0.2, 0.4):
        yield "cv_floor", floor, replace(DEFAULTS, cv_floor=floor), 0.0
    for pre_seconds in (0.0, 60.0, 120.0, 300.0):
        yield "prePeriod", pre_seconds, DEFAULTS, pre_seconds


#: Of the curves: the noises under which healthy releases are counted, and of the rest world, effect and figure.
HEALTHY = {
    "none": Traffic(500.0, 0.005, 0.2),
    "noise per arm": Traffic(500.0, 0.005, 0.2, noise="arm"),
    "noise per arm, cv 0.5": Traffic(500.0, 0.005, 0.5, noise="arm"),
}
SHOWN = {
    "first_window_500": (500.0, 4.0, "first_window"),
    "median_seconds_500": (500.0, 4.0, "median_seconds"),
    "median_seconds_50": (50.0, 4.0, "median_seconds"),
    "twofold_seconds_500": (500.0, 2.0, "median_seconds"),
    "promoted_seconds_50": (50.0, 1.0, "median_seconds"),
}


def _curve(task: tuple[Policy, float, int]) -> Row:
    policy, pre_seconds, runs = task

    def seen(traffic: Traffic, effect: float) -> Row:
        cell = Cell(traffic, effect)
        return described(OURS, cell, ours(cell, runs, policy, pre_seconds=pre_seconds))

    worlds = {(rate, effect) for rate, effect, _ in SHOWN.values()}
    rows = {(rate, effect): seen(Traffic(rate, 0.005, 0.2), effect) for rate, effect in sorted(worlds)}
    healthy = {noise: seen(traffic, 1.0)["false_rollback"] for noise, traffic in HEALTHY.items()}
    figures = {figure: rows[rate, effect][column] for figure, (rate, effect, column) in SHOWN.items()}
    return {"runs": runs, "false_rollback": healthy, **figures}
