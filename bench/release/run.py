"""The whole benchmark: cells by engines, the curves, and what a verdict costs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from plimsoll.core.simulation import Traffic
from plimsoll.core.statistics.policy import Policy

from bench.release import cost
from bench.release.cells import Cell, conditions, grid
from bench.release.engines import ENGINES, FEWER, OURS, Found, judge, ours
from bench.release.scenes import run as scenes

Row = dict[str, Any]
#: Cells with effect 1 decide the claim on alpha; the others are described by medians and take half as many runs.
DECIDES = 2
WINDOW = 10.0


def run(runs: int, engines: Iterable[str] = ENGINES, cells: Iterable[Cell] | None = None) -> Row:
    """Simulate; `runs` a cell where it decides a claim, half of it elsewhere, fewer for the slow judge."""
    chosen = list(cells) if cells is not None else [*grid(), *conditions()]
    tasks = [(engine, cell, _runs(runs, engine, cell)) for cell in chosen for engine in engines]
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        rows = list(pool.map(_row, tasks, chunksize=7))
        curves = list(pool.map(_curve, [(*point, max(1, runs // DECIDES)) for point in _points()]))
        seen = scenes.run(max(1, runs // scenes.FEWER), pool)
    return {"alpha": Policy().alpha, "cells": rows, "curves": curves, "scenes": seen, "verdict": cost.measured()}


def only_scenes(runs: int) -> list[Row]:
    """The scenes alone, `runs` of each."""
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return scenes.run(runs, pool)


def _runs(runs: int, engine: str, cell: Cell) -> int:
    full = runs if cell.effect == 1 else max(1, runs // DECIDES)
    return max(1, full // FEWER.get(engine, 1))


def _row(task: tuple[str, Cell, int]) -> Row:
    engine, cell, runs = task
    return described(engine, cell, judge(engine, cell, runs))


def described(engine: str, cell: Cell, found: Found) -> Row:
    """A cell of the results. `median_seconds` and `p95_seconds` are of all runs, where one that did not end as it
    should (promoted at effect 1, rolled back otherwise) counts as never: None."""
    right = found.outcome == (1 if cell.effect == 1 else -1)
    seconds = np.where(right, found.seconds, np.inf)
    rolled_back, promoted = float((found.outcome == -1).mean()), float((found.outcome == 1).mean())
    wrong = {"false_rollback": rolled_back} if cell.effect == 1 else {"missed": promoted}
    return {
        "engine": engine,
        "requests_per_second": cell.traffic.requests_per_second,
        "base_rate": cell.traffic.error_rate,
        "effect": cell.effect,
        "noise_cv": cell.traffic.noise_cv,
        "noise": cell.traffic.noise,
        "incident": cell.incident,
        "runs": len(found.outcome),
        **wrong,
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


def _points() -> list[tuple[str, float, Policy]]:
    """What a default buys: the least noise that is allowed for, and alpha."""
    floors = [("cv_floor", value, Policy(cv_floor=value)) for value in (0.02, 0.05, 0.1, 0.2, 0.3)]
    return floors + [("alpha", value, Policy(alpha=value)) for value in (0.001, 0.01, 0.05, 0.1, 0.2)]


def _curve(task: tuple[str, float, Policy, int]) -> Row:
    name, value, policy, runs = task
    fast, usual = Traffic(500.0, 0.005, 0.2), Traffic(50.0, 0.005, 0.2)
    fourfold, slower = (
        described(OURS, Cell(world, effect), ours(Cell(world, effect), runs, policy))
        for world, effect in ((fast, 4.0), (usual, 4.0))
    )
    healthy = [described(OURS, cell, ours(cell, runs, policy)) for cell in _healthy()]
    return {
        "setting": name,
        "value": value,
        "runs": runs,
        "false_rollback": {cell.incident: row["false_rollback"] for cell, row in zip(_healthy(), healthy, strict=True)},
        "first_window_500": fourfold["first_window"],
        "median_seconds_500": fourfold["median_seconds"],
        "median_seconds_50": slower["median_seconds"],
    }


def _healthy() -> list[Cell]:
    return [
        Cell(Traffic(500.0, 0.005, 0.2), 1.0, "none"),
        Cell(Traffic(500.0, 0.005, 0.2, noise="arm"), 1.0, "noise per arm"),
        Cell(Traffic(500.0, 0.005, 0.5, noise="arm"), 1.0, "noise per arm, cv 0.5"),
    ]
