"""Shifts of histograms: exact expectations by enumeration, the index against its law, and alpha by simulation."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from plimsoll.core.statistics import average
from plimsoll.core.statistics.bins import MIN_CV, SHIFTS, enough, log_shifted, population_stability_index
from scipy.stats import betabinom, binom, chi2

SHARES = np.array([0.3, 0.25, 0.2, 0.1, 0.08, 0.05, 0.015, 0.005])


def draw(seed: int, candidate: np.ndarray, runs: int, windows: int, cv: float) -> list[np.ndarray]:
    """Counts (runs·windows, bins) of both arms, 100 and 900 a window; each arm's shares wander with `cv`."""
    rng = np.random.default_rng(seed)
    found = []
    for shares, requests in ((candidate, 100), (SHARES, 900)):
        noise = rng.gamma(1 / cv**2, cv**2, size=(runs * windows, len(SHARES))) if cv else 1.0
        p = (
            shares * noise / (shares * noise).sum(axis=-1, keepdims=True)
            if cv
            else np.tile(shares, (runs * windows, 1))
        )
        found.append(rng.multinomial(requests, p).astype(float))
    return found


def fires(candidate: np.ndarray, *, cv: float, assumed: float, margin: float = 1.0, runs: int = 150) -> float:
    """How many of `runs` releases of 60 windows ever reach 1/0.01."""
    arms = draw(7, candidate, runs, 60, cv)
    logs = log_shifted(*arms, assumed, margin).reshape(runs, 60, -1)
    return float((average(np.cumsum(logs, axis=1)) >= np.log(100)).any(axis=1).mean())


def test_the_ratio_is_scipys_beta_binomial_one_in_both_directions() -> None:
    candidate, stable, cv, margin = np.array([[9.0, 21.0]]), np.array([[30.0, 240.0]]), 0.3, 1.1
    found = log_shifted(candidate, stable, cv, margin).reshape(2, 2, len(SHIFTS))
    for way, (k, base) in enumerate(((9, 0.1), (30, 0.9))):
        null = margin * base / (margin * base + 1 - base)
        s = 1 / (2 * cv**2 * null * (1 - null)) - 1
        for place, shift in enumerate(SHIFTS):
            other = margin * shift * base / (margin * shift * base + 1 - base)
            expected = betabinom.logpmf(k, 39, max(s * other, s * null + 1), s * (1 - other)) - betabinom.logpmf(
                k, 39, s * null, s * (1 - null)
            )
            assert found[0, way, place] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("margin", [1.0, 1.5])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("cv", [MIN_CV, 0.2])
def test_within_the_margin_no_bet_gains_by_enumeration(margin: float, share: float, cv: float) -> None:
    n_c, n_s = 15, 40
    k_c, k_s = (grid.ravel().astype(float) for grid in np.meshgrid(np.arange(n_c + 1), np.arange(n_s + 1)))
    bins = [np.stack([k, n - k], axis=1) for k, n in ((k_c, n_c), (k_s, n_s))]
    e = np.exp(log_shifted(*bins, cv, margin))
    for odds in (margin, 1.0, 1 / margin):
        other = share / (1 - share) * odds / (1 + share / (1 - share) * odds)
        law = binom.pmf(k_c, n_c, other) * binom.pmf(k_s, n_s, share)
        assert np.all(law @ e <= 1 + 1e-6), odds


def test_unshifted_bins_seldom_raise_an_alarm_however_often_they_are_looked_at() -> None:
    assert fires(SHARES, cv=0.0, assumed=0.0) <= 0.01
    assert fires(SHARES, cv=0.2, assumed=0.2) <= 0.01


def test_a_shift_within_the_margin_is_no_alarm() -> None:
    shifted = SHARES * np.array([1.2, 1, 1, 1, 1, 1, 1, 1])
    assert fires(shifted / shifted.sum(), cv=0.0, assumed=0.0, margin=1.25) <= 0.01


def test_a_real_shift_is_found_with_and_without_noise() -> None:
    shifted = SHARES * np.array([0.5, 1, 1, 1, 1, 2, 3, 1])
    assert fires(shifted / shifted.sum(), cv=0.0, assumed=0.05) >= 0.99
    assert fires(shifted / shifted.sum(), cv=0.2, assumed=0.2) >= 0.95


def test_a_window_without_one_of_the_arms_says_nothing() -> None:
    logs = log_shifted(np.array([[0.0, 0.0], [3.0, 5.0]]), np.array([[9.0, 9.0], [0.0, 0.0]]), 0.2)
    assert not logs.any()


def test_the_index_is_unbiased_without_a_shift_and_spreads_as_chi_squared() -> None:
    rng = np.random.default_rng(3)
    shares, n, m = np.full(10, 0.1), 1000, 9000
    found = np.array(
        [population_stability_index(*(rng.multinomial(k, shares).astype(float) for k in (n, m))) for _ in range(1000)]
    )
    scale = 1 / n + 1 / m
    assert abs(found.mean()) < 4 * scale * np.sqrt(2 * 9 / 1000)
    assert np.quantile(found / scale + 9, 0.95) == pytest.approx(chi2.ppf(0.95, 9), rel=0.1)


def test_the_index_of_a_known_shift_is_its_definition() -> None:
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.3, 0.6])
    expected = ((p - q) * np.log(p / q)).sum()
    assert population_stability_index(1e7 * p, 1e7 * q) == pytest.approx(expected, rel=1e-4)


def test_too_few_predictions_have_no_index_and_no_index_is_not_large() -> None:
    few, many = np.array([30.0, 30.0, 30.0]), np.array([300.0, 300.0, 300.0])
    assert not enough(few, many) and enough(many, many)
    assert isnan(population_stability_index(few, many))
    assert not population_stability_index(few, many) >= 0.25


def test_margins_and_shapes_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"margin is 0\.9: it must be at least 1"):
        log_shifted(np.ones((1, 2)), np.ones((1, 2)), 0.2, 0.9)
    with pytest.raises(ValueError, match=r"both must be \(windows, bins\)"):
        log_shifted(np.ones((1, 2)), np.ones((1, 3)), 0.2)
