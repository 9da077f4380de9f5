"""The breaker takes back what fails alone, and nothing for an outage that both versions share."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from plimsoll.core.breaker import counts, looks_back, tripped
from plimsoll.core.statistics.policy import Policy
from plimsoll.core.verdict import verdicts
from plimsoll.facts import Window
from scipy.stats import binom

from tests.unit.statistics.builders import arm, repeat, window

POLICY = Policy()
#: Healthy windows, an outage of a minute that begins within a window, and what follows, in windows of 10 s.
BEFORE, OUTAGE, AFTER = 6, 6, 3


def arms(*rows: tuple[float, ...]) -> np.ndarray:
    """Windows of (n, k, n_stable, k_stable, share)."""
    return np.array(rows, dtype=np.float64)


def trips(*rows: tuple[float, ...]) -> bool:
    return bool(tripped(arms(*rows), POLICY).any())


def chance_of_a_trip(n: int, n_stable: int, rate: float) -> float:
    """Exactly, where both versions fail at this rate in one window."""
    k, k_stable = (
        np.array(axis, dtype=np.float64) for axis in zip(*product(range(n + 1), range(n_stable + 1)), strict=True)
    )
    recent = np.stack([np.full_like(k, n), k, np.full_like(k, n_stable), k_stable, np.full_like(k, n / (n + n_stable))])
    probability = binom.pmf(k, n, rate) * binom.pmf(k_stable, n_stable, rate)
    return float(probability[tripped(recent[None], POLICY)[0]].sum())


@pytest.mark.parametrize("n_stable", [1, 2, 3, 5, 8, 13, 20, 40])
@pytest.mark.parametrize("n", [20, 47, 95])
def test_an_equal_share_of_failures_in_both_hardly_ever_trips_however_few_stable_requests(
    n: int, n_stable: int
) -> None:
    for rate in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0):
        assert chance_of_a_trip(n, n_stable, rate) <= 0.001


@pytest.mark.parametrize("percent", [10, 50, 80, 95])
@pytest.mark.parametrize("per_second", [1, 5, 20, 50, 200])
def test_an_outage_of_both_hardly_ever_takes_a_healthy_candidate_back(per_second: float, percent: int) -> None:
    """In whatever step, at whatever traffic, looked at after every window of a minute's outage: of 2,000 less than ten
    (0.5 %); where the breaker took a thin stable arm for a healthy one, it were up to all of them."""
    rng, runs, share = np.random.default_rng(1), 2000, percent / 100
    rows, worst = BEFORE + OUTAGE + AFTER, 0.0
    for rate in (0.5, 0.6, 0.9, 1.0):
        part = np.zeros((rows, runs))
        part[BEFORE : BEFORE + OUTAGE] = 1.0
        part[BEFORE] = rng.random(runs)
        failing = part * rate + (1 - part) * 0.005
        n, n_stable = (rng.poisson(10 * per_second * of, (rows, runs)) for of in (share, 1 - share))
        k, k_stable = (rng.binomial(requests, failing) for requests in (n, n_stable))
        recent = np.stack([n, k, n_stable, k_stable, np.full(n.shape, share)], axis=1).astype(np.float64)
        back = np.zeros(runs, dtype=np.bool_)
        for row in range(BEFORE, rows):
            back |= tripped(recent[max(0, row + 1 - looks_back(POLICY)) : row + 1], POLICY).any(axis=0)
        worst = max(worst, float(back.mean()))
    assert worst <= 0.005


@pytest.mark.parametrize(
    ("percent", "per_second", "windows"), [(10, 50, 1), (50, 5, 1), (50, 20, 1), (95, 50, 1), (95, 5, 2)]
)
def test_a_candidate_that_alone_fails_is_taken_back_at_once(percent: int, per_second: float, windows: int) -> None:
    n, n_stable = 10 * per_second * percent / 100, 10 * per_second * (100 - percent) / 100
    healthy, broken = (n, 0, n_stable, 0, percent / 100), (n, round(0.9 * n), n_stable, 0, percent / 100)
    rows = [healthy] * 5 + [broken] * windows
    assert trips(*rows)
    assert not trips(*rows[:-1]) or windows == 1


def test_of_a_thin_stable_arm_more_windows_are_asked_than_of_the_candidate() -> None:
    """60 % of 47 fail, and none of 2 in each window: chance explains eight, and not ten."""
    rows = [(47, 28, 2, 0, 0.95)] * 5
    assert [trips(*rows[:length]) for length in (1, 2, 3, 4, 5)] == [False, False, False, False, True]


def test_the_stable_version_may_be_silent_by_chance_but_not_for_long() -> None:
    assert not trips((47, 47, 0, 0, 0.95)), "a twentieth of some 50 requests may well be none"
    assert trips((190, 190, 0, 0, 0.95)), "of 200 it is not: there is nobody to be compared with"
    assert trips((20, 20, 0, 0, 0.5)), "no half is that silent"


def test_without_a_stable_version_beside_it_the_candidate_is_judged_alone() -> None:
    """Recreate, or a holdback of 0."""
    assert trips((20, 10, 0, 0, 1.0))
    assert trips((100, 0, 100, 0, 0.5), (20, 20, 0, 0, 1.0)), "what was beside it in the step before is no help"
    assert not trips((19, 19, 0, 0, 1.0))


def test_an_outage_that_begins_with_a_larger_share_is_one_of_both() -> None:
    """Taken together, 95 of 105 requests of the candidate failed, and 5 of 95 of the stable version."""
    assert not trips((10, 0, 90, 0, 0.1), (95, 95, 5, 5, 0.95))
    assert not trips((0, 0, 500, 0, 0.0), (25, 25, 225, 225, 0.1)), "the windows before the first share"


def test_windows_with_requests_of_one_arm_alone_tell_nothing_of_the_other() -> None:
    assert not trips((0, 0, 90, 0, 0.5), (0, 0, 90, 0, 0.5), (30, 30, 2, 2, 0.5))
    assert not trips((30, 30, 0, 0, 0.95), (30, 30, 2, 2, 0.95))


def test_a_stable_version_that_fails_half_as_often_leaves_it_to_the_comparison() -> None:
    assert not trips((1000, 800, 1000, 400, 0.5))
    assert trips((1000, 800, 1000, 390, 0.5))


def test_the_verdict_names_the_windows_in_which_the_candidate_failed() -> None:
    windows: list[Window] = [
        *repeat(5, arm(2), arm(47), weight=95),
        *(window(index, arm(3), arm(47, 40), weight=95) for index in (6, 7)),
    ]
    said = verdicts(windows, POLICY)
    assert [one.mode for one in said[-2:]] == ["Sequential", "Breaker"]
    assert said[-1].reason == (
        "Fail: breaker: candidate failed 40/47 requests (85%) within 1 window; limit 50% of at least 20; window 7"
    )


def test_counts_have_the_candidates_share() -> None:
    assert counts(window(1, arm(190, 2), arm(10, 1), weight=5)) == (10, 1, 190, 2, 0.05)
