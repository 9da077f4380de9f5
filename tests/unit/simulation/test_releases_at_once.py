"""The simulator says of many releases at once what the verdict says of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plimsoll.core.breaker import looks_back
from plimsoll.core.simulation import PROMOTED, ROLLED_BACK, UNDECIDED, Releases, Step, Traffic, Trial, run, simulate
from plimsoll.core.simulation.judged import Judged
from plimsoll.core.simulation.releases import Group, Walk
from plimsoll.core.simulation.standing import Standing, put, taken
from plimsoll.core.simulation.world import Counts, hour
from plimsoll.core.statistics.criteria import Criterion
from plimsoll.core.statistics.policy import Policy, compared
from plimsoll.core.verdict import verdicts
from plimsoll.facts import ArmCounts, Window
from plimsoll.names import LATENCY_EDGES

STEPS = (Step(10), Step(50), Step(95, 60.0, 0, probation=True))
FAST = (0,) * len(LATENCY_EDGES)
RUNS = 8
WORLDS = {
    "plain": (Traffic(20.0, 0.02, 0.2), 1.0),
    "noisy and four times as bad": (Traffic(50.0, 0.02, 0.5), 4.0),
    "broken": (Traffic(5.0, 0.01, 0.2), 60.0),
    "never an error": (Traffic(50.0, 0.0, 0.0), 1.0),
    "hardly any requests": (Traffic(0.5, 0.05, 0.2), 4.0),
    "gaps, resets and incidents": (
        Traffic(50.0, 0.005, 0.2, gaps_per_hour=15.0, resets_per_hour=15.0, incidents_per_hour=6.0), 2.0,
    ),
    "healthy with gaps": (Traffic(100.0, 0.002, 0.2, gaps_per_hour=15.0), 1.0),
    "rare errors, four times as many": (Traffic(500.0, 0.001, 0.2, gaps_per_hour=5.0), 4.0),
    "watched before": (Traffic(200.0, 0.02, 0.2, gaps_per_hour=5.0), 4.0),
    "cold beside a baseline of the same age": (Traffic(100.0, 0.02, 0.2, cold_minutes=2, gaps_per_hour=5.0), 4.0),
    "outages of both": (Traffic(50.0, 0.008, 0.2, incidents_per_hour=20.0, incident_factor=100.0), 1.0),
    "one stable pod, a cold start": (Traffic(30.0, 0.01, 0.5, stable_pods=1, cold_minutes=2), 1.0),
}  # fmt: skip

PRE_SECONDS = {"watched before": 90.0}
FRESH = "cold beside a baseline of the same age"
ENDS = {
    "watched before": {ROLLED_BACK},
    "rare errors, four times as many": {ROLLED_BACK},
    "noisy and four times as bad": {ROLLED_BACK},
    "broken": {ROLLED_BACK},
    "outages of both": {PROMOTED},
    "never an error": {PROMOTED},
    "hardly any requests": {UNDECIDED},
    "healthy with gaps": {PROMOTED},
}


class Recorded(Walk):
    """Keeps every window of every run, as the verdict would be given it."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.windows_of: list[list[Window]] = [[] for _ in self.outcome]
        self.found: Releases
        self.log_e_of: list[list[np.ndarray]] = [[] for _ in self.outcome]

    def window(self, number: int, group: Group, begins: np.ndarray) -> Counts:
        counts, weight = super().window(number, group, begins), 0 if number < 0 else self.trial.steps[number].weight
        for place in np.flatnonzero(group.going):
            pods = tuple(map(arm, counts.n_pods[0, :, place], counts.k_pods[0, :, place]))
            stable = arm(counts.n_stable[0, place], counts.k_stable[0, place])
            candidate = arm(counts.n_candidate[0, place], counts.k_candidate[0, place])
            mine, end = self.windows_of[group.runs[place]], begins[place] + self.trial.window_seconds
            gap = None if counts.seen[0, place] else "down: no pod answered"
            mine.append(
                Window(len(mine) + 1, begins[place], end, number + 1, weight, stable, candidate, pods, gap)
            )  # fmt: skip
        return counts

    def judged(self, number: int, group: Group, counts: Counts, begins: np.ndarray) -> tuple[Standing, Judged]:
        standing, said = super().judged(number, group, counts, begins)
        for place in np.flatnonzero(group.going & counts.seen[0]):
            self.log_e_of[group.runs[place]].append(said.log_e[:, place])
        return standing, said


def arm(n: float, k: float) -> ArmCounts:
    return ArmCounts(int(n), int(k), 0, int(n), FAST)


def errors_of(windows: list[Window], policy: Policy) -> Criterion:
    """What the verdict makes of the errors in these windows."""
    counted = [window for window in windows if window.gap is None]
    found = [one for one in compared(counted, policy) if isinstance(one, Criterion)]
    return next(one for one in found if one.name == "error rate")


def taken_through(windows: list[Window], trial: Trial) -> tuple[int, int]:
    """How a release ends that gets these windows and is judged after each, and after how many."""
    for number, step in enumerate(trial.steps, 1):
        policy = replace(trial.policy, min_requests=max(trial.policy.min_requests, step.min_requests))
        said = verdicts(windows, policy)
        for place, window in enumerate(windows):
            if window.step != number:
                continue
            if said[place].outcome == "Fail":
                return ROLLED_BACK, place + 1
            first = next(one.start for one in windows if one.step == number)
            if said[place].outcome == "Pass" and window.gap is None and window.end - first >= step.min_seconds:
                if number == len(trial.steps):
                    return PROMOTED, place + 1
                break
        else:
            return UNDECIDED, len(windows)
    raise AssertionError("there is no step")


def walked(world: str, seed: int) -> Recorded:
    traffic, effect = WORLDS[world]
    before, fresh = PRE_SECONDS.get(world, 0.0), world == FRESH
    trial = Trial(Policy(), STEPS, traffic, effect, horizon=600.0, pre_seconds=before, fresh=fresh)
    fixed = hour(traffic, RUNS, trial.minutes, seed, fresh=trial.fresh)
    walk = Recorded(trial, fixed, RUNS, np.random.default_rng(seed))
    walk.found = walk.result()
    return walk


@pytest.mark.parametrize("world", WORLDS)
def test_the_evidence_of_every_window_is_that_of_each_release_alone(world: str) -> None:
    walk = walked(world, 3)
    for windows, log_e in zip(walk.windows_of, walk.log_e_of, strict=True):
        alone = errors_of(windows, walk.trial.policy)
        assert alone.against_harm is not None
        both = np.column_stack([alone.against_health[:, 0], alone.against_harm[:, 0]])
        np.testing.assert_allclose(np.array(log_e), both, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("world", WORLDS)
def test_many_releases_at_once_end_like_each_judged_alone(world: str) -> None:
    walk = walked(world, 1)
    alone = [taken_through(windows, walk.trial) for windows in walk.windows_of]
    assert {one for one, _ in alone} >= ENDS.get(world, set()), "this world must show these ends"
    assert [len(windows) for windows in walk.windows_of] == [ended for _, ended in alone]
    pre = PRE_SECONDS.get(world, 0.0)
    seconds = [10.0 * ended - pre for _, ended in alone]
    assert list(zip((one for one, _ in alone), seconds, strict=True)) == list(
        zip(walk.found.outcome, walk.found.seconds, strict=True)
    )


def test_a_baseline_of_the_same_age_takes_the_blame_for_the_cold_start() -> None:
    """Three times the errors for four minutes: of 80 healthy releases some are taken back by comparison with warm pods,
    none by comparison with cold ones, and a regression is found all the same."""
    traffic = Traffic(200.0, 0.02, 0.2, cold_minutes=4)
    warm, cold, worse = (
        simulate(Policy(), STEPS[:1], traffic, effect=effect, runs=80, fresh=fresh)
        for effect, fresh in ((1.0, False), (1.0, True), (4.0, True))
    )
    assert warm.rolled_back > 0.05
    assert cold.rolled_back <= 0.01
    assert worse.rolled_back > 0.9


def test_where_some_runs_stand_can_be_taken_out_and_put_back() -> None:
    traffic, mine = Traffic(500.0, 0.002, 0.2), np.array([False, True, False, True, True])
    walk = Walk(Trial(Policy(), STEPS, traffic, horizon=300.0), hour(traffic, 5, 6, 1), 5, np.random.default_rng(2))
    walk.result()
    part = taken(walk.standing, mine)
    assert (part.stable > 0).all(), "these runs must have passed a step"
    again = put(Standing.new(5, 3, looks_back(Policy())), mine, part)
    assert repr(taken(again, mine)) == repr(taken(again, np.array([1, 3, 4]))) == repr(part)
    others = taken(again, ~mine)
    assert (others.spell == -np.inf).all() and not others.stable.any()
    assert not np.asarray(others.comparison.total).any() and not np.asarray(others.comparison.passing.total).any()


def test_the_same_seed_gives_the_same_releases_and_another_seed_others() -> None:
    trial = Trial(Policy(), STEPS, Traffic(50.0, 0.02, 0.5), 2.0, horizon=300.0)
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


@pytest.mark.parametrize("per_second", [5.0, 50.0])
def test_outages_of_both_versions_take_hardly_any_healthy_release_back(per_second: float) -> None:
    """80 % of the requests of both fail for a minute, 20 times an hour; a probation of five minutes with a holdback of
    5 %. Of 200 at most two are taken back; where no stable requests were a sign of health, it were up to all."""
    traffic = Traffic(per_second, 0.008, 0.0, incidents_per_hour=20.0, incident_factor=100.0)
    steps = (Step(50), Step(95, 300.0, 0))
    assert simulate(Policy(), steps, traffic, runs=200).rolled_back <= 0.01
    assert simulate(Policy(), steps, traffic, effect=125.0, runs=200).rolled_back > 0.99


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
