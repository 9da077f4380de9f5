"""Intervals of an effect cover the truth at all looks at once, and shrink."""

from __future__ import annotations

import numpy as np
import pytest
from plimsoll.core.statistics.effect import difference_interval, ratio_interval
from plimsoll.core.statistics.means import BET_WEIGHTS, Moments, log_worse
from plimsoll.core.statistics.wealth import mixture

RUNS, WINDOWS = 80, 40


def draws(seed: int, candidate: float, stable: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n_c, n_s = np.full((RUNS, WINDOWS), 300.0), np.full((RUNS, WINDOWS), 900.0)
    return rng.binomial(300, candidate, n_c.shape) * 1.0, n_c, rng.binomial(900, stable, n_s.shape) * 1.0, n_s


def test_the_difference_of_proportions_is_covered_at_every_look() -> None:
    missed, widths = 0, []
    for k_c, n_c, k_s, n_s in zip(*draws(2, 0.25, 0.2), strict=True):
        low, high = difference_interval(Moments(n_c, k_c, k_c), Moments(n_s, k_s, k_s), 0.05)
        missed += bool(((low > 0.05) | (high < 0.05)).any())
        widths.append((high - low)[[0, -1]])
    assert missed / RUNS <= 0.05
    assert np.mean(widths, axis=0)[1] < 0.04 < np.mean(widths, axis=0)[0]


def test_a_bound_is_where_the_test_begins_to_refute() -> None:
    k_c, n_c, k_s, n_s = (x[0] for x in draws(3, 0.3, 0.2))
    arms = Moments(n_c, k_c, k_c), Moments(n_s, k_s, k_s)
    low, high = difference_interval(*arms, 0.05)
    for bound, sign in ((low[-1], 1), (high[-1], -1)):
        at = mixture(log_worse(*arms, float(bound), sign=sign).sum(axis=0)[None], BET_WEIGHTS)[0]
        assert at == pytest.approx(np.log(40), abs=1e-6)


def test_the_ratio_of_rates_is_covered_at_every_look_though_the_level_wanders() -> None:
    missed, widths = 0, []
    level = np.random.default_rng(1).uniform(0.01, 0.05, size=WINDOWS)
    runs = list(zip(*(x[:40] for x in draws(4, 2 * level, level)), strict=True))  # type: ignore[arg-type]
    for k_c, n_c, k_s, n_s in runs:
        looks = [ratio_interval((k_c[:t], k_s[:t]), (n_c[:t], n_s[:t]), 0.05) for t in (1, 3, 10, 20, WINDOWS)]
        missed += any(not low <= 2 <= high for low, high in looks)
        widths.append(looks[-1][1] / looks[-1][0])
    assert missed / len(runs) <= 0.05
    assert np.median(widths) < 1.8


def test_without_events_or_arms_nothing_is_known() -> None:
    zero, some = np.zeros(1), np.full(1, 50.0)
    assert ratio_interval((zero, zero), (some, some), 0.05) == (0.0, np.inf)
    empty = Moments(zero, zero, zero)
    assert [x[0] for x in difference_interval(empty, empty, 0.05)] == [-1.0, 1.0]
    with pytest.raises(ValueError, match="alpha is 2"):
        ratio_interval((zero, zero), (some, some), 2)
