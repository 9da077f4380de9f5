"""The scenes by engines, as rows of the results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from plimsoll.core.simulation import PROMOTED, ROLLED_BACK, UNDECIDED

from bench.release.engines import ENGINES, OURS
from bench.release.scenes import ours, peers
from bench.release.scenes.catalogue import Scene, scenes
from bench.release.scenes.ours import HELD

Row = dict[str, Any]
#: Scenes are judged one by one, by the whole verdict: so many times fewer runs than a cell of the grid.
FEWER = 250
ENDS = {"promoted": PROMOTED, "rolled back": ROLLED_BACK, "held": HELD}


def tasks(runs: int, engines: Iterable[str] = ENGINES) -> list[tuple[str, Scene, int]]:
    """`runs` of each scene by each engine."""
    return [(engine, scene, runs) for scene in scenes() for engine in engines]


def row(task: tuple[str, Scene, int]) -> Row:
    """What came of one of them."""
    engine, scene, runs = task
    if engine == OURS:
        outcome, seconds = ours.releases(scene, runs)
    else:
        ended = peers.releases(engine, scene, runs)
        outcome, seconds = ended.outcome, ended.minutes * 60.0
    return described(engine, scene, outcome, seconds)


def described(engine: str, scene: Scene, outcome: Any, seconds: Any) -> Row:
    """A row of the results. `right` is the share that ended as it should; `median_seconds` and `p95_seconds` are of
    all runs, where one that did not counts as never: None."""
    right = outcome == ENDS[scene.right]
    taken = np.where(right, seconds, np.inf)
    shares = {name.replace(" ", "_"): float((outcome == end).mean()) for name, end in ENDS.items()}
    return {
        "engine": engine,
        "scene": scene.kind,
        "candidate": scene.candidate,
        "expected": scene.right,
        "requests_per_second": scene.requests_per_second,
        "runs": len(outcome),
        "right": float(right.mean()),
        **shares,
        "undecided": float((outcome == UNDECIDED).mean()),
        "median_seconds": _quantile(taken, 0.5),
        "p95_seconds": _quantile(taken, 0.95),
    }


def _quantile(seconds: Any, share: float) -> float | None:
    value = float(np.quantile(seconds, share, method="higher"))
    return value if np.isfinite(value) else None
