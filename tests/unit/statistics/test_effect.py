"""The effect of a test and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from plimsoll.core.effect import Effect, ratio_of_failures
from plimsoll.core.statistics.tables import Noise
from plimsoll.facts import ArmCounts, Window

CALM = Noise(0.05, 0.0)


def windows(candidate: list[tuple[int, int]], stable: list[tuple[int, int]]) -> list[Window]:
    """Failures and requests of both arms, window by window."""
    arms = [[ArmCounts(requests=n, failures=k, timed=n) for k, n in side] for side in (candidate, stable)]
    return [Window(i, 10.0 * i, 10.0 * i + 10, 1, 50, s, c) for i, (c, s) in enumerate(zip(*arms, strict=True), 1)]


def effect(candidate: list[tuple[int, int]], stable: list[tuple[int, int]]) -> Effect:
    found = ratio_of_failures(windows(candidate, stable), 0.05, CALM)
    assert found is not None
    return found


def test_a_clear_difference_has_an_interval_on_one_side_of_one() -> None:
    found = effect([(40, 1000)] * 20, [(10, 1000)] * 20)
    assert found.low is not None and found.high is not None
    assert 1.5 < found.low < 4 < found.high < 9
    assert found.reason.startswith("failures candidate 800/20,000 (4.00%) vs stable 200/20,000 (1.00%); ratio 4, 95%")


def test_arms_that_change_places_turn_the_interval_round() -> None:
    one, other = effect([(40, 1000)] * 20, [(10, 1000)] * 20), effect([(10, 1000)] * 20, [(40, 1000)] * 20)
    assert one.low is not None and other.high is not None and one.high is not None and other.low is not None
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))


def test_more_evidence_never_widens_the_interval_of_equal_arms() -> None:
    found = [effect([(10, 1000)] * count, [(10, 1000)] * count) for count in (5, 20, 80)]
    widths = [(one.high or np.inf) / (one.low or 1e-9) for one in found]
    assert widths == sorted(widths, reverse=True)
    assert all((one.low or 0) <= 1 <= (one.high or np.inf) for one in found)


def test_without_failures_nothing_is_known_of_a_ratio() -> None:
    found = effect([(0, 1000)] * 20, [(0, 1000)] * 20)
    assert (found.ratio, found.low, found.high) == (None, None, None)
    assert found.reason.endswith("ratio unknown, 95% interval 0 to any")


def test_without_requests_there_is_no_effect() -> None:
    assert ratio_of_failures(windows([(0, 0)], [(1, 10)]), 0.05, CALM) is None


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_interval_covers_the_truth_wherever_one_stops(true: float) -> None:
    """At the end of 40 tests of 12 windows, each interval being the one of all its past."""
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(40):
        k_c, k_s = rng.binomial(500, 0.02 * true, 12), rng.binomial(500, 0.02, 12)
        found = effect([(int(k), 500) for k in k_c], [(int(k), 500) for k in k_s])
        missed += not (found.low or 0) <= true <= (found.high or np.inf)
    assert missed <= 5
