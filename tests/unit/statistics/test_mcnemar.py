"""Discordant pairs: exact expectations, the exact test of one look, and alpha under continuous looking."""

from __future__ import annotations

import doctest

import numpy as np
import plimsoll.core.statistics
import pytest
from plimsoll.core.statistics import mixture
from plimsoll.core.statistics.mcnemar import EQUAL, EQUAL_WEIGHTS, WORSE, WORSE_WEIGHTS, log_not_worse, log_worse
from scipy.stats import binom, binomtest


def wealth(seed: int, odds: float, margin: float, *, runs: int = 1000, pairs: int = 400) -> np.ndarray:
    """Running log wealth (runs, pairs), one discordant pair after the other."""
    wrong = (np.random.default_rng(seed).random((runs, pairs)) < odds / (1 + odds)).astype(float).ravel()
    logs = log_worse(wrong, 1 - wrong, margin).reshape(runs, pairs, len(WORSE))
    return mixture(np.cumsum(logs, axis=1), WORSE_WEIGHTS)


def test_the_ratio_is_scipys_binomial_one() -> None:
    for test, odds in ((log_worse, 1.5 * WORSE), (log_not_worse, 1.5 ** (1 - EQUAL))):
        found = test(np.array([7.0]), np.array([3.0]), 1.5)[0]
        expected = binom.logpmf(7, 10, odds / (1 + odds)) - binom.logpmf(7, 10, 0.6)
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("margin", [1.0, 1.2, 3.0])
@pytest.mark.parametrize("pairs", [1, 12, 60])
def test_at_the_margin_a_bet_is_fair_and_below_it_loses_by_enumeration(margin: float, pairs: int) -> None:
    k = np.arange(pairs + 1.0)
    e = np.exp(mixture(log_worse(k, pairs - k, margin), WORSE_WEIGHTS))
    assert binom.pmf(k, pairs, margin / (1 + margin)) @ e == pytest.approx(1.0)
    assert binom.pmf(k, pairs, 0.8 * margin / (1 + 0.8 * margin)) @ e < 1.0
    assert np.all(np.diff(e) > 0)


def test_the_reverse_is_fair_at_the_margin_and_loses_above_it() -> None:
    k = np.arange(41.0)
    e = np.exp(mixture(log_not_worse(k, 40 - k, 1.5), EQUAL_WEIGHTS))
    assert binom.pmf(k, 40, 0.6) @ e == pytest.approx(1.0)
    assert binom.pmf(k, 40, 0.7) @ e < 1.0


def test_equal_models_seldom_raise_an_alarm_however_often_they_are_looked_at() -> None:
    hits = (wealth(1, 1.0, 1.0) >= np.log(20)).any(axis=1).mean()
    assert 0.005 < hits <= 0.05


def test_a_fixed_test_looked_at_after_each_pair_would_not_hold_its_alpha() -> None:
    """What the sequential test is for: McNemar's exact test at 5 %, looked at 400 times, errs far more often."""
    wrong = np.cumsum(np.random.default_rng(1).random((500, 400)) < 0.5, axis=1)
    p = binom.sf(wrong - 1, np.arange(1, 401), 0.5)
    assert p[0, -1] == pytest.approx(binomtest(int(wrong[0, -1]), 400, alternative="greater").pvalue)
    assert (p <= 0.05).any(axis=1).mean() > 0.2


def test_a_model_that_is_wrong_twice_as_often_is_found_within_two_hundred_pairs() -> None:
    reached = wealth(2, 2.0, 1.0) >= np.log(100)
    assert reached[:, :200].any(axis=1).mean() >= 0.9


def test_a_model_within_its_margin_passes() -> None:
    wrong = (np.random.default_rng(3).random(600) < 0.5).astype(float)
    assert mixture(log_not_worse(wrong, 1 - wrong, 1.5).sum(axis=0), EQUAL_WEIGHTS) >= np.log(20)


def test_no_discordant_pair_says_nothing() -> None:
    assert not log_worse(np.zeros(3), np.zeros(3), 1.2).any()


def test_what_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="margin is 0: it must be positive"):
        log_worse(np.ones(1), np.ones(1), 0)
    with pytest.raises(ValueError, match="margin is 1: it must be above 1"):
        log_not_worse(np.ones(1), np.ones(1), 1)
    with pytest.raises(ValueError, match="must not be negative"):
        log_worse(-np.ones(1), np.ones(1), 1.2)


def test_the_example_of_the_package_is_true() -> None:
    assert doctest.testmod(plimsoll.core.statistics).failed == 0
    assert doctest.testmod(plimsoll.core.statistics).attempted > 0
