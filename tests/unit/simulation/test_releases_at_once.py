"""The simulator says of many releases at once what the verdict says of each."""

from __future__ import annotations

import numpy as np
import pytest
from plimsoll.core.simulation import PROMOTED, ROLLED_BACK, Step, Traffic, Trial, run, simulate
from plimsoll.core.simulation.judged import judged
from plimsoll.core.simulation.world import Counts, draw, hour
from plimsoll.core.statistics.policy import Policy
from plimsoll.core.verdict import verdicts
from plimsoll.facts import ArmCounts, Window
from plimsoll.names import LATENCY_EDGES

STEPS = (Step(10), Step(50), Step(95, 60.0, 0))
FAST = (0,) * len(LATENCY_EDGES)
RUNS = 6


def counts_of(seed: int, rows: int, effect: float) -> tuple[Counts, np.ndarray]:
    """Windows of 10 s over two steps, with noise, errors and quiet ones among them."""
    rng = np.random.default_rng(seed)
    traffic = Traffic(float(rng.choice([2.0, 20.0, 100.0])), float(rng.choice([0.0, 0.01, 0.05])), 0.5)
    steps = np.repeat([1, 2], [rows - rows // 2, rows // 2])
    begins = np.broadcast_to(np.arange(rows)[:, None] * 10.0, (rows, RUNS))
    weight = np.broadcast_to(np.where(steps == 1, 0.1, 0.5)[:, None], (rows, RUNS))
    return draw(traffic, hour(traffic, RUNS, 10, seed), effect, 10.0, begins, weight, rng), steps


def windows_of(counts: Counts, steps: np.ndarray, one: int) -> list[Window]:
    def arm(n: float, k: float) -> ArmCounts:
        return ArmCounts(int(n), int(k), 0, int(n), FAST)

    windows = []
    for row, step in enumerate(steps):
        pods = tuple(arm(n, k) for n, k in zip(counts.n_pods[row, :, one], counts.k_pods[row, :, one], strict=True))
        stable = arm(counts.n_pods[row, :, one].sum(), counts.k_pods[row, :, one].sum())
        candidate = arm(counts.n_candidate[row, one], counts.k_candidate[row, one])
        weight = 10 if step == 1 else 50
        windows.append(Window(row + 1, 10.0 * row, 10.0 * row + 10, int(step), weight, stable, candidate, pods))
    return windows


@pytest.mark.parametrize("effect", [1.0, 3.0, 60.0])
@pytest.mark.parametrize("seed", range(4))
def test_many_at_once_are_judged_like_each_alone(seed: int, effect: float) -> None:
    policy = Policy()
    counts, steps = counts_of(seed, 24, effect)
    found = judged(counts, steps, 10.0, policy)
    for one in range(RUNS):
        said = [verdict.outcome for verdict in verdicts(windows_of(counts, steps, one), policy)]
        decided = zip(found.failed[:, one], found.passes[:, one], strict=True)
        ours = ["Fail" if failed else "Pass" if passes else "Inconclusive" for failed, passes in decided]
        assert ours == said


def test_rows_that_a_run_did_not_have_change_nothing() -> None:
    counts, steps = counts_of(1, 24, 3.0)
    longer = np.full(RUNS, 12)
    padded = counts.head(12).joined(counts.until(np.zeros(RUNS, dtype=np.int64)).head(6)).joined(_rows(counts, 12, 24))
    found = judged(padded, np.repeat([1, 2], [18, 12]), 10.0, Policy())
    plain = judged(counts, steps, 10.0, Policy())
    assert (found.failed[-12:] == plain.failed[-12:]).all()
    assert (found.passes[-12:] == plain.passes[-12:]).all()
    assert (judged(counts.until(longer), steps, 10.0, Policy()).failed[:12] == plain.failed[:12]).all()


def _rows(counts: Counts, first: int, last: int) -> Counts:
    return counts.each(lambda mine, name: mine[first:last])


def test_the_same_seed_gives_the_same_releases_and_another_seed_others() -> None:
    trial = Trial(Policy(), STEPS, Traffic(50.0, 0.02, 0.5), 2.0)
    first, again, other = run(trial, 40, 1), run(trial, 40, 1), run(trial, 40, 2)
    assert (first.seconds == again.seconds).all() and (first.bad == again.bad).all()
    assert (first.bad != other.bad).any()


def test_a_healthy_release_without_errors_is_promoted_step_by_step() -> None:
    found = run(Trial(Policy(), STEPS, Traffic(500.0, 0.0, 0.0)), 20, 1)
    assert (found.outcome == PROMOTED).all()
    assert (found.seconds == 30.0 + 30.0 + 60.0).all()
    assert (found.bad == 0).all()


def test_a_broken_candidate_is_taken_back_in_the_first_window() -> None:
    found = run(Trial(Policy(), STEPS, Traffic(500.0, 0.02, 0.2), 40.0), 20, 1)
    assert (found.outcome == ROLLED_BACK).all()
    assert (found.seconds == 10.0).all()


def test_without_telemetry_nothing_is_decided_but_requests_still_fail() -> None:
    found = simulate(Policy(), STEPS, Traffic(50.0, 0.02, gaps_per_hour=60.0), effect=4.0, runs=20)
    assert (found.rolled_back, found.promoted, found.undecided, found.seconds) == (0.0, 0.0, 1.0, None)
    assert found.bad_requests > 0


def test_runs_are_cut_into_pieces_that_do_not_repeat_one_another() -> None:
    found = run(Trial(Policy(), STEPS[:1], Traffic(5.0, 0.02, 0.5), horizon=60.0), 50, 3)
    assert len(np.unique(found.bad)) > 1
    assert simulate(Policy(), STEPS[:1], Traffic(50.0, 0.0), runs=501).runs == 501


@pytest.mark.parametrize(
    "fields", [{"requests_per_second": 0.0}, {"error_rate": 1.0}, {"noise_cv": 9.0}, {"diurnal": 1.0}]
)
def test_a_traffic_that_cannot_be_is_refused_by_the_name_of_its_field(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        Traffic(**({"requests_per_second": 1.0, "error_rate": 0.0} | fields))  # type: ignore[arg-type]
