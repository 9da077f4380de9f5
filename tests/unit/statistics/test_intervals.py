"""Intervals of an effect cover the truth at all looks at once, and shrink."""

from __future__ import annotations

import numpy as np
import pytest
from plimsoll.core.statistics.intervals import difference_interval
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


def test_without_either_arm_nothing_is_known() -> None:
    zero = np.zeros(1)
    empty = Moments(zero, zero, zero)
    assert [x[0] for x in difference_interval(empty, empty, 0.05)] == [-1.0, 1.0]
    with pytest.raises(ValueError, match="alpha is 2"):
        difference_interval(empty, empty, 2)
