"""The whole benchmark: cells by engines, the curves, and what a verdict costs."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from plimsoll.core.simulation import Traffic
from plimsoll.core.statistics.policy import Policy

from bench.release import cost, report
from bench.release.cells import Cell, conditions, grid
from bench.release.engines import ENGINES, FEWER, OURS, Found, judge, ours
from bench.release.scenes import run as scenes

Row = dict[str, Any]
#: What decides a claim is a rare event: a healthy release taken back, a decision without data. The rest is described
#: by medians, which a tenth of the runs gives well enough; so are the curves.
DECIDES = 10
BLIND = "no telemetry"
WINDOW = 10.0


def run(runs: int, engines: Iterable[str] = ENGINES, cells: Iterable[Cell] | None = None) -> Row:
    """Simulate; `runs` a cell where it decides a claim, a tenth elsewhere, fewer for the slow judge. `cpu_seconds` is
    what each part took."""
    chosen = list(cells) if cells is not None else [*grid(), *conditions()]
    tasks = [(engine, cell, runs_of(runs, engine, cell)) for cell in chosen for engine in engines]
    points = [(*point, max(1, runs // DECIDES)) for point in _points()]
    spent: Counter[str] = Counter()
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        rows = []
        for row, seconds in pool.map(partial(_timed, _row), tasks):
            rows.append(row)
            spent[row["engine"]] += seconds
        curves = []
        for row, seconds in pool.map(partial(_timed, _curve), points):
            curves.append(row)
            spent["curves"] += seconds
        started = time.monotonic()
        seen = scenes.run(max(1, runs // scenes.FEWER), pool)
        spent["scenes, by the clock"] += time.monotonic() - started
    return {
        "alpha": Policy().alpha, "cells": rows, "curves": curves, "scenes": seen, "verdict": cost.measured(),
        "cpu_seconds": {name: round(seconds, 1) for name, seconds in spent.items()},
    }  # fmt: skip


def only_scenes(runs: int) -> list[Row]:
    """The scenes alone, `runs` of each."""
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return scenes.run(runs, pool)


def only_curves(runs: int) -> list[Row]:
    """The curves alone, `runs` of each point."""
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(_curve, [(*point, runs) for point in _points()]))


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
    """One default changed at a time: alpha, the ratio of error rates that is accepted, the least noise for a
    pass, and `prePeriod` in seconds."""
    for alpha in (0.001, 0.01, 0.05, 0.1, 0.2):
        yield "alpha", alpha, Policy(alpha=alpha), 0.0
    for margin in (1.1, 1.25, 1.5, 2.0):
        yield "error_margin", margin, Policy(error_margin=margin), 0.0
    for floor in (0.05, 0.2, 0.4):
        yield "cv_floor", floor, Policy(cv_floor=floor), 0.0
    for pre_seconds in (0.0, 60.0, 120.0, 300.0):
        yield "prePeriod", pre_seconds, Policy(), pre_seconds


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


def _curve(task: tuple[str, float, Policy, float, int]) -> Row:
    name, value, policy, pre_seconds, runs = task

    def seen(traffic: Traffic, effect: float) -> Row:
        cell = Cell(traffic, effect)
        return described(OURS, cell, ours(cell, runs, policy, pre_seconds))

    worlds = {(rate, effect) for rate, effect, _ in SHOWN.values()}
    rows = {(rate, effect): seen(Traffic(rate, 0.005, 0.2), effect) for rate, effect in sorted(worlds)}
    healthy = {noise: seen(traffic, 1.0)["false_rollback"] for noise, traffic in HEALTHY.items()}
    figures = {figure: rows[rate, effect][column] for figure, (rate, effect, column) in SHOWN.items()}
    return {"setting": name, "value": value, "runs": runs, "false_rollback": healthy, **figures}
