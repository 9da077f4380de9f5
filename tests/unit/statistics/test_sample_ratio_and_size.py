"""The split that happened, and how long it takes: against scipy, by enumeration and by simulation."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from plimsoll.core.statistics import average
from plimsoll.core.statistics.mcnemar import WORSE_WEIGHTS, log_worse
from plimsoll.core.statistics.sample_ratio import log_dirichlet_multinomial, log_mismatch
from plimsoll.core.statistics.sample_size import requests_until, windows_until
from scipy.stats import betabinom, binom, dirichlet_multinomial, multinomial

RUNS, WINDOWS = 300, 80


def alarms(odds: float, *, cv: float = 0.0, margin: float = 1.1) -> float:
    """How many of RUNS releases are ever told that their split is wrong; a tenth is asked for, then half."""
    rng = np.random.default_rng(9)
    share = np.tile(np.repeat([0.1, 0.5], WINDOWS // 2), RUNS)
    actual = odds * share / (odds * share + 1 - share)
    if cv:
        a = 1 / cv**2
        actual = rng.beta(a * actual / (1 - actual).clip(0.5), a * (1 - actual) / (1 - actual).clip(0.5))
    total = np.full(RUNS * WINDOWS, 300.0)
    logs = log_mismatch(rng.binomial(300, actual).astype(float), total, share, cv, margin).reshape(RUNS, WINDOWS, -1)
    return float((average(np.cumsum(logs, axis=1)) >= np.log(100)).any(axis=1).mean())


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_split_within_the_margin_gains_nothing_by_enumeration(share: float) -> None:
    k = np.arange(201.0)
    e = np.exp(log_mismatch(k, np.full(201, 200.0), np.full(201, share)))
    for odds in (1.1, 1.0, 1 / 1.1):
        actual = odds * share / (odds * share + 1 - share)
        assert np.all(binom.pmf(k, 200, actual) @ e <= 1 + 1e-6)


def test_the_split_that_was_asked_for_seldom_raises_an_alarm_and_a_wrong_one_does() -> None:
    assert alarms(1.0) <= 0.01
    assert alarms(1.1) <= 0.01
    assert alarms(1.4) >= 0.99
    assert alarms(1 / 1.4) >= 0.99


def test_the_dirichlet_mixture_is_scipys_and_a_martingale() -> None:
    shares, counts = np.array([0.1, 0.3, 0.6]), np.array([[3, 5, 12], [1, 9, 20]])
    found = log_dirichlet_multinomial(counts, shares, 50.0)
    for row, total in enumerate(np.cumsum(counts, axis=0)):
        n = int(total.sum())
        expected = dirichlet_multinomial.logpmf(total, 50 * shares, n) - multinomial.logpmf(total, n, shares)
        assert found[row] == pytest.approx(expected, abs=1e-8)
    k = np.arange(31)
    e = [float(np.exp(log_dirichlet_multinomial(np.array([[x, 30 - x]]), np.array([0.2, 0.8]))[0])) for x in k]
    assert binom.pmf(k, 30, 0.2) @ e == pytest.approx(1.0)


def test_a_split_looked_at_after_every_window_keeps_its_alpha_exactly() -> None:
    shares = np.array([0.1, 0.9])
    counts = np.random.default_rng(4).multinomial(50, shares, size=(2000, 60))
    hit = [bool((log_dirichlet_multinomial(run, shares) >= np.log(20)).any()) for run in counts]
    assert 0.005 < np.mean(hit) <= 0.05


def test_the_noisy_split_is_scipys_beta_binomial_at_the_margin() -> None:
    found = log_mismatch(np.array([30.0]), np.array([200.0]), np.array([0.1]), 0.3, 1.1)[0, 1]
    null, other = (x / (9 + x) for x in (1.1, 1.1 * 1.5))
    s = 1 / (0.09 * null * (1 - null)) - 1
    expected = betabinom.logpmf(30, 200, max(s * other, s * null + 1), s * (1 - other)) - betabinom.logpmf(
        30, 200, s * null, s * (1 - null)
    )
    assert found == pytest.approx(expected, abs=1e-9)


def test_no_requests_and_no_split_say_nothing_and_percents_are_refused() -> None:
    assert not log_mismatch(np.array([0.0, 9.0]), np.array([0.0, 9.0]), np.array([0.1, 1.0])).any()
    with pytest.raises(ValueError, match="pass fractions, not percents"):
        log_mismatch(np.ones(1), np.ones(1), np.array([10.0]))
    with pytest.raises(ValueError, match="it must be at least 1"):
        log_mismatch(np.ones(1), np.ones(1), np.array([0.1]), margin=0.5)


def test_one_alternative_takes_boundary_over_drift() -> None:
    assert windows_until(np.array([1.0]), np.array([0.5]), np.array([1.0]), 0.05) == pytest.approx(
        (np.log(20) - 1) / 0.5, rel=1e-5
    )


def test_what_is_decided_takes_no_more_and_what_drifts_away_is_never_decided() -> None:
    one = np.array([1.0])
    assert windows_until(np.array([9.0]), np.array([-1.0]), one, 0.01) == 0
    assert windows_until(np.array([0.0]), np.array([0.0]), one, 0.01) == inf
    assert requests_until(np.array([0.0]), np.array([1.0]), one, 0.01, 0.0) == inf
    assert requests_until(np.array([0.0]), np.array([1.0]), one, 0.01, 30.0) == pytest.approx(
        30 * np.log(100), rel=1e-5
    )
    assert requests_until(np.array([9.0]), np.array([1.0]), one, 0.01, 30.0) == 0
    with pytest.raises(ValueError, match=r"level is 1\.0"):
        windows_until(one, one, one, 1.0)


def test_the_forecast_is_somewhat_above_the_median_of_what_happens() -> None:
    """McNemar at odds 2 against 1: pairs until 1/0.01."""
    wrong = (np.random.default_rng(6).random((1000, 600)) < 2 / 3).astype(float)
    logs = np.cumsum(log_worse(wrong.ravel(), 1 - wrong.ravel(), 1.0).reshape(1000, 600, -1), axis=1)
    top = np.log((np.exp(logs) * WORSE_WEIGHTS).sum(axis=2))
    taken = np.median(np.argmax(top >= np.log(100), axis=1) + 1)
    drift = log_worse(np.array([2 / 3]), np.array([1 / 3]), 1.0)[0]
    assert taken < windows_until(np.zeros(4), drift, WORSE_WEIGHTS, 0.01) < 1.4 * taken
