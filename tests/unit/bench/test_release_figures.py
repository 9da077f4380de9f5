"""The figures of the release engines, the page made of them, and what does not depend on chance."""

from __future__ import annotations

import json

import numpy as np
import pytest
from plimsoll.core.simulation import Traffic

from bench.release import page, report, run
from bench.release.cells import COLD, CONDITIONS, Cell, grid
from bench.release.cli import PAGE, RESULTS
from bench.release.engines import ENGINES, FRESH, OURS, judge
from bench.release.peers import argo, flagger
from bench.release.run import described, runs_of
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
    assert len(cells) == len(ENGINES) * (len(list(grid())) + 3 * len(CONDITIONS)) + 3
    assert {one["incident"] for one in cells if one["engine"] == FRESH} == {COLD}


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
    rivals = [race["best"] for race in report.races(document, effect) if race["best"] is not None]
    assert rivals
    for best in rivals:
        place = report.world(best)
        assert report.equal(healthy[OURS, place], healthy[best["engine"], place])


def cell(engine: str, effect: float, *, rolled_back: float = 0.0, seconds: float | None = None) -> report.Row:
    world = {"requests_per_second": 50.0, "base_rate": 0.01, "noise_cv": 0.2, "noise": "pod", "incident": "none"}
    row = {"engine": engine, "effect": effect, "runs": 10_000, "median_seconds": seconds, **world}
    return row | ({"false_rollback": rolled_back} if effect == 1 else {"missed": 0.0})


def race(peer: float, ours: float = 0.0, *, within_alpha: bool = False) -> report.Row:
    """Ours takes 100 s, a peer 60 s; so many of the healthy releases are rolled back by each."""
    cells = [
        cell(OURS, 1.0, rolled_back=ours), cell("flagger", 1.0, rolled_back=peer),
        cell(OURS, 2.0, seconds=100.0), cell("flagger", 2.0, seconds=60.0),
    ]  # fmt: skip
    return report.races({"alpha": 0.01, "cells": cells}, 2.0, within_alpha=within_alpha)[0]


def test_the_quicker_of_two_that_roll_back_as_many_healthy_releases_is_the_best() -> None:
    assert race(peer=0.0)["slower"] and race(peer=0.0)["best"]["engine"] == "flagger"
    assert race(peer=0.0001)["slower"], "one in ten thousand is not told from none"


def test_one_that_rolls_back_more_is_quicker_only_where_everybody_within_alpha_is() -> None:
    assert race(peer=0.005)["best"] is None
    assert race(peer=0.005, ours=0.005)["slower"]
    assert race(peer=0.005, within_alpha=True)["slower"]
    assert race(peer=0.02, within_alpha=True)["best"] is None


def test_the_interval_of_a_share_is_clopper_and_pearsons() -> None:
    low, high = report.interval(10, 100)
    assert (round(low, 4), round(high, 4)) == (0.0490, 0.1762)  # Newcombe, Statistics in Medicine 1998, method 5
    assert report.interval(0, 10_000) == (0.0, pytest.approx(1 - 0.025 ** (1 / 10_000)))
    assert report.interval(5, 5)[1] == 1.0


def test_this_engine_simulated_again_leaves_the_peers_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Cell(Traffic(50.0, 0.2, 0.0), 4.0)
    monkeypatch.setattr(run, "grid", lambda: [one])
    monkeypatch.setattr(run, "conditions", list)
    peer, ours = (described(engine, one, judge(engine, one, 3)) for engine in ("flagger", OURS))
    assert run.only_ours(30, [peer, ours | {"median_seconds": -1.0}]) == [peer, ours]


def test_what_decides_a_claim_gets_all_runs() -> None:
    healthy, worse = Cell(Traffic(50.0, 0.005), 1.0), Cell(Traffic(50.0, 0.005), 2.0)
    blind = Cell(Traffic(50.0, 0.005, gaps_per_hour=60.0), 2.0, "no telemetry")
    assert [runs_of(10_000, OURS, one) for one in (healthy, blind, worse)] == [10_000, 10_000, 1_000]
    assert all(runs_of(1, engine, worse) == 1 for engine in ENGINES)
