"""The scenes that errors do not show: what they are made of, and how releases end in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plimsoll.core.simulation import ROLLED_BACK
from plimsoll.core.simulation.world import hour

from bench.release.engines import ENGINES, OURS, PEERS
from bench.release.scenes import ours, page, peers
from bench.release.scenes.arrivals import Arrivals
from bench.release.scenes.catalogue import BINS, LABELLED, P99, SCENES, Scene, scenes, slower_than, tilted
from bench.release.scenes.run import described
from bench.release.scenes.telemetry import Telemetry


def scene(kind: str, candidate: str) -> Scene:
    return next(one for one in SCENES if (one.kind, one.candidate) == (kind, candidate))


def telemetry(one: Scene, run: int = 0) -> Telemetry:
    return Telemetry(one, hour(one.traffic, 1, 20, one.seed), (one.seed, run))


@pytest.mark.parametrize("psi", [0.0, 0.1, 0.5])
def test_scores_move_by_the_index_that_is_asked(psi: float) -> None:
    shares = tilted(psi) / BINS
    assert shares.sum() == pytest.approx(1.0)
    assert ((shares - 1 / BINS) * np.log(shares * BINS)).sum() == pytest.approx(psi, abs=1e-6)


def test_one_percent_of_the_answers_take_longer_than_p99() -> None:
    assert slower_than(P99, 1.0, 0.0) == pytest.approx(0.01, abs=1e-4)
    assert slower_than(0.5, 1.0, 0.1) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("seconds", [10.0, 60.0])
def test_every_label_comes_once_and_the_late_ones_come_late(seconds: float) -> None:
    arrivals, requests = Arrivals(1, seconds), [1000.0] + [0.0] * int(3600 / seconds)
    come = [arrivals.turn(np.array([answered]))[:, 0] for answered in requests]
    assert np.sum(come, axis=0) == pytest.approx([1000 * part for part in LABELLED])
    assert np.sum(come[: int(600 / seconds)], axis=0)[2] == 0


def test_what_did_not_come_to_pass_brings_no_labels() -> None:
    one, other = Arrivals(1, 10.0), Arrivals(1, 10.0)
    for turn in range(5):
        one.turn(np.array([float(turn)]))
        other.turn(np.array([float(turn)]))
    one.turn(np.array([1e6]))
    one.forget(1)
    assert one.turn(np.array([7.0])) == pytest.approx(other.turn(np.array([7.0])))


def test_windows_hold_what_the_scene_says() -> None:
    slow = telemetry(replace(scene("latency", "twice as slow"), requests_per_second=500.0)).windows(1, 50, 6)
    counts = np.array(
        [(one.candidate.slower[6], one.candidate.timed, one.stable.slower[6], one.stable.timed) for one in slow]
    )
    slow_candidate, n, slow_stable, m = counts.sum(axis=0)
    assert slow_candidate / n == pytest.approx(float(slower_than(0.1, 2.0, 0.0)), abs=0.15)
    assert slow_stable / m == pytest.approx(float(slower_than(0.1, 1.0, 0.0)), abs=0.1)
    labelled = telemetry(scene("labels", "as good")).windows(1, 10, 3)[-1]
    assert [cohort.age for cohort in labelled.cohorts] == ["1m", "10m", "1h"]
    assert labelled.cohorts[2].stable.correct > 0 and labelled.cohorts[2].candidate.correct == 0
    assert sum(labelled.outputs[0].candidate) == labelled.candidate.requests


@pytest.mark.parametrize(
    ("kind", "candidate", "end"),
    [
        ("scores", "scores shift, PSI 0.5", ours.HELD),
        ("latency", "four times as slow", ROLLED_BACK),
        ("labels", "10 points less often right", ROLLED_BACK),
    ],
)
def test_this_engine_ends_a_release_that_is_not_as_it_should_be(kind: str, candidate: str, end: int) -> None:
    outcome, seconds = ours.releases(replace(scene(kind, candidate), requests_per_second=200.0), 2)
    assert list(outcome) == [end, end]
    assert (seconds < 1800).all()


def test_inputs_that_shift_for_both_hold_nothing() -> None:
    outcome, _ = ours.releases(scene("scores", "inputs of both shift, PSI 0.5"), 2)
    assert ours.HELD not in outcome


def test_peers_promote_other_scores_and_the_tuned_ones_see_wrong_labels_and_slow_answers() -> None:
    def ended(engine: str, kind: str, candidate: str) -> float:
        return float(np.mean(peers.releases(engine, scene(kind, candidate), 4).outcome))

    documented = [engine for engine in PEERS if engine not in peers.TUNED]
    assert [ended(engine, "scores", "scores shift, PSI 0.5") for engine in documented] == [1.0, 1.0, 1.0]
    assert [ended(engine, "labels", "10 points less often right") for engine in documented] == [1.0, 1.0, 1.0]
    assert [ended(engine, "latency", "four times as slow") for engine in peers.TUNED] == [-1.0, -1.0, -1.0]
    assert ended("argo-rollouts-tuned", "labels", "10 points less often right") == -1.0


def test_the_page_shows_the_share_that_ended_as_it_should() -> None:
    outcome, seconds = np.array([-1, -1, -1, 1]), np.array([60.0, 30.0, 90.0, 10.0])
    rows = [described(engine, one, outcome, seconds) for one in scenes() for engine in ENGINES]
    slow = next(row for row in rows if row["candidate"] == "twice as slow" and row["engine"] == OURS)
    assert (slow["right"], slow["promoted"], slow["median_seconds"], slow["p95_seconds"]) == (0.75, 0.25, 90.0, None)
    said = page.section({"scenes": rows})
    assert "| twice as slow, 50/s | rolled back | 75%, 90 s |" in said
    assert page.section({}) == ""
