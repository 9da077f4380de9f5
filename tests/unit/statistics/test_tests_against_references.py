"""The e-values against independent references: scipy's distributions and exact enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from plimsoll.core.statistics import (
    Arms,
    average,
    capped,
    coefficient_of_variation,
    concentration,
    increments,
    log_likelihood_ratio,
    log_not_worse,
    log_rate_above,
    log_rate_below,
    log_worse,
    mixture,
    restarted,
    wilson,
)
from plimsoll.core.statistics.bounded_rate import ABOVE_WEIGHTS, BELOW_WEIGHTS
from plimsoll.core.statistics.comparison import EQUAL_WEIGHTS, WORSE, WORSE_WEIGHTS
from scipy.stats import beta, betabinom, binom, hypergeom


def test_the_likelihood_ratio_is_scipys_beta_binomial_one() -> None:
    k, s, null, alternative = np.arange(31.0), 120.0, 0.15, 0.4
    laws = np.tile([null, alternative], (31, 1))
    found = log_likelihood_ratio(k, np.full(31, 30.0), laws, np.full(31, s))[:, 0]
    expected = betabinom.logpmf(k, 30, s * alternative, s * (1 - alternative)) - betabinom.logpmf(
        k, 30, s * null, s * (1 - null)
    )
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_the_concentration_gives_a_beta_of_the_wanted_variance() -> None:
    share, variance = np.array([0.1, 0.5]), np.array([0.001, 0.01])
    s = concentration(variance, share)
    np.testing.assert_allclose(beta.var(s * share, s * (1 - share)), variance)


@pytest.mark.parametrize("s", [1.0, 2.5, 50.0, 2000.0])
@pytest.mark.parametrize(("null", "alternative"), [(0.1, 0.12), (0.1, 0.8), (0.6, 0.61), (0.95, 0.999)])
def test_the_ratio_rises_convexly_and_is_fair_or_better_under_all_that_the_null_dominates(
    s: float, null: float, alternative: float
) -> None:
    n = 25
    k = np.arange(n + 1.0)
    laws = np.tile([null, alternative], (n + 1, 1))
    e = np.exp(log_likelihood_ratio(k, np.full(n + 1, float(n)), laws, np.full(n + 1, s))[:, 0])
    assert np.all(np.diff(e) > 0)
    assert np.all(np.diff(e, 2) >= -1e-9 * e[1:-1])
    assert betabinom.pmf(k, n, s * null, s * (1 - null)) @ e == pytest.approx(1.0, abs=1e-9)
    lesser = [binom.pmf(k, n, null), binom.pmf(k, n, null / 2), betabinom.pmf(k, n, 3 * s * null, 3 * s * (1 - null))]
    lesser.append(hypergeom.pmf(k, 1000, round(1000 * null), n))
    assert all(law @ e <= 1 + 1e-9 for law in lesser)


def test_the_count_ratio_is_the_conditional_beta_binomial_test() -> None:
    """θ(r) = rθ₀/(rθ₀+1−θ₀) and s = 1/(2cv²θ(1−θ)) − 1, by hand."""
    k_c, k_s, n_c, n_s, margin, cv = 9.0, 4.0, 100.0, 900.0, 1.5, 0.3
    base = n_c / (n_c + n_s)
    share = lambda r: r * base / (r * base + 1 - base)  # noqa: E731
    null = share(margin)
    s = 1 / (2 * cv**2 * null * (1 - null)) - 1
    pmf = lambda p: betabinom.logpmf(k_c, k_c + k_s, s * p, s * (1 - p))  # noqa: E731
    found = log_worse(_arms(k_c, n_c, k_s, n_s), np.array([[cv]]), margin)[0, 0]
    np.testing.assert_allclose(found, [pmf(share(margin * factor)) - pmf(null) for factor in WORSE], atol=1e-9)


@pytest.mark.parametrize(("margin", "tolerance"), [(1.25, 0.0), (1.5, 0.0), (1.5, 0.01), (2.0, 0.05)])
@pytest.mark.parametrize(("n_c", "n_s"), [(20, 180), (60, 60), (120, 15)])
def test_on_the_boundary_no_comparison_gains_by_enumeration(
    margin: float, tolerance: float, n_c: int, n_s: int
) -> None:
    for stable in (0.0, 0.002, 0.02, 0.1, 0.3, 0.6):
        candidate = margin * stable + tolerance
        if candidate >= 1:
            continue
        k_c, k_s = (grid.ravel().astype(float) for grid in np.meshgrid(np.arange(n_c + 1), np.arange(n_s + 1)))
        probability = binom.pmf(k_c, n_c, candidate) * binom.pmf(k_s, n_s, stable)
        arms = _arms(k_c, n_c, k_s, n_s)
        cv = np.full((len(k_c), 1), 0.2)
        for test, weights in ((log_worse, WORSE_WEIGHTS), (log_not_worse, EQUAL_WEIGHTS)):
            e = np.exp(mixture(test(arms, cv, margin, tolerance), weights)[:, 0])
            assert probability @ e <= 1.0005, (test.__name__, stable)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.4])
@pytest.mark.parametrize("n", [5, 40, 400])
def test_a_bounded_rate_is_fair_at_its_limit_and_loses_on_the_wrong_side(limit: float, n: int) -> None:
    k, cv = np.arange(n + 1.0), np.full(n + 1, 0.2)
    below = mixture(log_rate_below(k, np.full(n + 1, float(n)), limit, cv), BELOW_WEIGHTS)
    above = mixture(log_rate_above(k, np.full(n + 1, float(n)), limit, cv), ABOVE_WEIGHTS)
    for rate in (limit, min(1.3 * limit, 1.0)):
        assert np.exp(binom.logpmf(k, n, rate) + below).sum() <= 1 + 1e-9
    for rate in (limit, 0.7 * limit):
        assert np.exp(binom.logpmf(k, n, rate) + above).sum() <= 1 + 1e-9
    assert np.all(np.diff(below) <= 1e-12) and np.all(np.diff(above) >= 0)


def test_no_event_in_400_trials_is_evidence_of_less_than_one_percent() -> None:
    """Close to the exact bound: (1 − 0.01)⁻⁴⁰⁰ = 56, less what the mixture and the noise cost."""
    log_e = mixture(log_rate_below(np.array([0.0]), np.array([400.0]), 0.01, np.array([0.2])), BELOW_WEIGHTS)
    assert 20 < np.exp(log_e[0]) < 0.99**-400


def test_what_says_nothing_is_one() -> None:
    cv = np.array([[0.2]])
    for k_c, n_c, k_s, n_s in ((0, 0, 5, 100), (5, 100, 0, 0), (0, 100, 0, 900), (0, 0, 0, 0)):
        for test, tolerance in product((log_worse, log_not_worse), (0.0, 0.05)):
            assert not test(_arms(k_c, n_c, k_s, n_s), cv, 1.5, tolerance).any(), (k_c, n_c, k_s, n_s)
    assert not log_rate_below(np.array([0.0]), np.array([0.0]), 0.01, np.array([0.2])).any()
    assert not log_rate_below(np.array([0.0]), np.array([9.0]), 0.0, np.array([0.2])).any()


def test_counts_beyond_the_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="k_stable must lie between 0 and n_stable"):
        log_worse(_arms(1, 2, 3, 2), np.array([[0.2]]), 1.5)


def test_wilsons_interval_is_the_solution_of_its_equation() -> None:
    low, high = wilson(np.array([7.0]), np.array([50.0]), 2.0)
    for p in (low[0], high[0]):
        assert abs(7 / 50 - p) == pytest.approx(2.0 * np.sqrt(p * (1 - p) / 50))


def test_capital_that_is_capped_follows_the_recursion() -> None:
    factors = np.random.default_rng(3).normal(0.3, 1.0, size=(200, 2))
    wealth, expected = np.zeros(2), []
    for factor in factors:
        wealth = np.minimum(wealth + factor, 4.0)
        expected.append(wealth)
    np.testing.assert_allclose(capped(factors, 4.0), expected, atol=1e-9)


def test_a_restarted_bet_is_a_mixture_with_idle_capital() -> None:
    factors = np.log(np.array([2.0, 0.5, 3.0, 4.0])).reshape(4, 1, 1)
    wealth = np.exp(restarted(factors, np.array([1.0]), np.array([0, 2])))[:, 0]
    np.testing.assert_allclose(
        wealth, [0.5 * 2 + 0.5, 0.5 * 1 + 0.5, 0.5 * 3 + 0.25 * 3 + 0.25, 0.5 * 12 + 0.25 * 12 + 0.25]
    )


def test_averages_and_mixtures_are_arithmetic_even_where_exponentials_overflow() -> None:
    logs = np.array([[1000.0, 1001.0, -np.inf]])
    assert average(logs)[0] == pytest.approx(1001 + np.log((1 + np.exp(-1)) / 3))
    assert mixture(logs, np.array([0.2, 0.3, 0.5]))[0] == pytest.approx(1001 + np.log(0.3 + 0.2 * np.exp(-1)))


def test_increments_sum_up_to_the_spells() -> None:
    found = increments(np.array([[1.0], [3.0], [5.0], [6.0]]), np.array([True, False, True, False]))
    assert found.ravel().tolist() == [1.0, 2.0, 5.0, 1.0]


@pytest.mark.parametrize("cv", [0.2, 0.5, 0.8])
def test_the_dispersion_is_recovered_or_slightly_overstated(cv: float) -> None:
    rng = np.random.default_rng(11)
    rates = 0.05 * rng.gamma(1 / cv**2, cv**2, size=(300, 3))
    n = np.full((300, 3, 1), 2000.0)
    k = rng.binomial(2000, np.minimum(rates, 1.0)).astype(float)[:, :, None]
    found = coefficient_of_variation(k, n, np.ones(300, dtype=bool), 0.2)[-1, 0]
    assert 0.9 * cv <= found <= 1.3 * cv + 0.03


def test_without_two_pods_the_dispersion_is_the_floor() -> None:
    k, n = np.full((10, 2, 1), 3.0), np.full((10, 2, 1), 100.0)
    k[:, 1], n[:, 1] = 0, 0
    assert np.all(coefficient_of_variation(k, n, np.ones(10, dtype=bool), 0.2) == pytest.approx(0.2))


def test_pods_that_differ_by_chance_alone_hardly_raise_the_dispersion() -> None:
    rng = np.random.default_rng(5)
    n = np.full((200, 3, 1), 1000.0)
    k = rng.binomial(1000, 0.03, size=(200, 3, 1)).astype(float)
    assert coefficient_of_variation(k, n, np.ones(200, dtype=bool), 0.2)[-1, 0] < 0.25


def _arms(k_c: object, n_c: float, k_s: object, n_s: float) -> Arms:
    columns = [np.asarray(x, dtype=float).reshape(-1, 1) for x in (k_c, k_s)]
    return Arms(columns[0], np.full_like(columns[0], n_c), columns[1], np.full_like(columns[1], n_s))
