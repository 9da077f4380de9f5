"""The figures of the release engines, the page made of them, and what does not depend on chance."""

from __future__ import annotations

import json

import numpy as np
import pytest
from plimsoll.core.simulation import Traffic

from bench.release import page, report
from bench.release.cells import CONDITIONS, Cell, grid
from bench.release.cli import PAGE, RESULTS
from bench.release.engines import ENGINES, OURS, judge
from bench.release.peers import argo, flagger
from bench.release.run import described
from tests.unit.docs.pages import ROOT

ASKED = {
    "engine", "requests_per_second", "base_rate", "effect", "noise_cv", "incident", "runs", "inconclusive",
    "median_seconds", "p95_seconds", "bad_requests",
}  # fmt: skip


def figures() -> report.Row:
    found: report.Row = json.loads((ROOT / RESULTS).read_text())
    return found


def test_the_page_is_up_to_date_with_the_figures() -> None:
    assert (ROOT / PAGE).read_text() == page.page(figures()), "run: python -m bench.release --page"


def test_every_cell_has_what_the_issue_asks_for_of_every_engine() -> None:
    cells = figures()["cells"]
    assert [one for one in cells if ASKED - set(one)] == []
    assert [one for one in cells if ("false_rollback" in one) != (one["effect"] == 1)] == []
    assert len(cells) == len(ENGINES) * (len(list(grid())) + 3 * len(CONDITIONS))


def test_the_same_seed_gives_the_same_figures() -> None:
    cell = Cell(Traffic(50.0, 0.005, 0.2), 4.0)
    for engine in ENGINES:
        assert described(engine, cell, judge(engine, cell, 6)) == described(engine, cell, judge(engine, cell, 6))


def test_without_telemetry_ours_waits_and_every_peer_takes_a_healthy_release_back() -> None:
    cell = Cell(Traffic(50.0, 0.005, 0.2, gaps_per_hour=60.0), 1.0, "no telemetry")
    found = {engine: described(engine, cell, judge(engine, cell, 4)) for engine in ENGINES}
    assert found.pop(OURS)["inconclusive"] == 1.0
    assert {engine: row["false_rollback"] for engine, row in found.items()} == dict.fromkeys(found, 1.0)


def test_a_candidate_that_fails_always_is_taken_back_by_everybody() -> None:
    cell = Cell(Traffic(50.0, 0.2, 0.0), 5.0)
    assert {engine: float((judge(engine, cell, 4).outcome == -1).mean()) for engine in ENGINES} == dict.fromkeys(
        ENGINES, 1.0
    )


def test_argo_tolerates_its_limit_and_fails_on_one_more() -> None:
    run = argo.AnalysisRun(argo.Metric(0.95, failure_limit=1), 1)
    seen = []
    for value in (0.9, 0.99, 0.9):
        run.measure(np.array([value]), np.array([False]))
        seen.append(run.phase[0])
    assert seen == ["Running", "Running", "Failed"]


def test_flagger_rolls_back_one_tick_after_the_last_failed_check() -> None:
    canary = flagger.Canary(flagger.Analysis(threshold=2), 1)
    seen = []
    for _ in range(3):
        canary.tick(np.array([50.0]), np.array([10.0]))
        seen.append((canary.phase[0], int(canary.failed_checks[0])))
    assert seen == [("Progressing", 1), ("Progressing", 2), ("Failed", 0)]


@pytest.mark.parametrize("effect", [2.0, 4.0])
def test_a_peer_that_rolls_back_more_healthy_releases_is_no_rival(effect: float) -> None:
    document = figures()
    healthy = {(row["engine"], report.world(row)): row for row in document["cells"] if row["effect"] == 1}
    for race in report.races(document, effect):
        if race["best"] is not None:
            place = report.world(race["row"])
            limit = max(document["alpha"], healthy[OURS, place]["false_rollback"])
            assert healthy[race["best"]["engine"], place]["false_rollback"] <= limit
