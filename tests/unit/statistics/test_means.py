"""Differences of means: exact expectations, the figures of confseq, and alpha and power by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from plimsoll.core.statistics import mixture
from plimsoll.core.statistics.means import (
    BET_WEIGHTS,
    BETS,
    Moments,
    best_rho,
    log_normal_mixture,
    log_worse,
    log_worse_unbounded,
)
from scipy.optimize import brentq
from scipy.stats import binom

RUNS, WINDOWS = 200, 60


def moments(values: np.ndarray) -> list[Moments]:
    """Of values (runs, windows, n): one Moments for each run."""
    return [Moments(np.full(len(x), float(x.shape[1])), x.sum(axis=1), (x**2).sum(axis=1)) for x in values]


def fires(draw, shift: float, margin: float, *, unbounded: bool = False, sizes=(10, 90)) -> float:  # type: ignore[no-untyped-def]
    """How many of RUNS ever reach 1/0.05 within WINDOWS; the level wanders from window to window in both arms."""
    rng = np.random.default_rng(17)
    level = rng.uniform(0.1, 0.3, size=(RUNS, WINDOWS, 1))
    arms = [moments(draw(rng, level + more, (RUNS, WINDOWS, n))) for more, n in zip((shift, 0.0), sizes, strict=True)]
    found = 0
    for candidate, stable in zip(*arms, strict=True):
        if unbounded:
            logs = log_worse_unbounded(candidate, stable, margin)
        else:
            logs = mixture(np.cumsum(log_worse(candidate, stable, margin), axis=0), BET_WEIGHTS)
        found += bool((logs >= np.log(20)).any())
    return found / RUNS


def coins(rng: np.random.Generator, level: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.random(shape) < level).astype(float)


def errors(rng: np.random.Generator, level: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Squared errors: a scaled chi-squared law."""
    return level * rng.normal(size=shape) ** 2


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("n_c", "n_s"), [(1, 1), (3, 20), (15, 8)])
@pytest.mark.parametrize("stable", [0.0, 0.05, 0.5, 0.9])
def test_on_the_margin_no_bet_gains_by_enumeration(sign: int, n_c: int, n_s: int, stable: float) -> None:
    for margin in (0.0, 0.1):
        k_c, k_s = (grid.ravel().astype(float) for grid in np.meshgrid(np.arange(n_c + 1), np.arange(n_s + 1)))
        law = binom.pmf(k_c, n_c, stable + margin) * binom.pmf(k_s, n_s, stable)
        for earlier in (0.0, 0.5):  # the mean that an earlier window left behind
            rows = [
                log_worse(_after(earlier, k, n_c), _after(earlier, m, n_s), margin, sign=sign)[1]
                for k, m in zip(k_c, k_s, strict=True)
            ]
            assert np.all(law @ np.exp(rows) <= 1 + 1e-12), (margin, earlier)


def _after(earlier: float, k: float, n: int) -> Moments:
    total = np.array([8 * earlier, k])
    return Moments(np.array([8.0, n]), total, total)


def test_the_bet_of_a_window_is_the_formula_of_the_docstring() -> None:
    candidate, stable = Moments(*np.array([[4.0], [6.0], [14.0]])), Moments(*np.array([[12.0], [9.0], [30.0]]))
    found = log_worse(candidate, stable, 0.2, (0.0, 4.0))[0]
    bet, psi = BETS / 4, lambda x: (-np.log(1 - 4 * x) - 4 * x) / 16
    spread_c, spread_s = 14 - 2 * 2 * 6 + 4 * 4, 30 - 2 * 2 * 9 + 4 * 12
    expected = bet * 3 * (1.5 - 0.75 - 0.2) - psi(bet * 0.75) * spread_c - psi(bet * 0.25) * spread_s
    np.testing.assert_allclose(found, expected)


def test_the_normal_mixture_gives_the_figures_of_confseq() -> None:
    """OneSidedNormalMixture(v_opt = 100, alpha_opt = 0.05) of the unit tests of confseq 0.0.11."""
    rho = best_rho(100, 0.05)
    at = lambda s: float(log_normal_mixture(np.array(s), np.array(100.0), rho))  # noqa: E731
    assert at(10.0) == pytest.approx(-0.06502391, abs=1e-5)
    assert brentq(lambda s: at(s) - np.log(20), 0, 100) == pytest.approx(27.66071, abs=1e-4)
    assert best_rho(100, 0.025) == pytest.approx(12.60056, abs=1e-5)


def test_equal_means_seldom_raise_an_alarm_however_often_they_are_looked_at() -> None:
    assert fires(coins, 0.0, 0.0) <= 0.05
    assert fires(coins, 0.05, 0.05) <= 0.05


def test_twice_the_wrong_answers_are_found() -> None:
    assert fires(coins, 0.2, 0.0) >= 0.99


def test_equal_unbounded_errors_seldom_raise_an_alarm() -> None:
    assert fires(errors, 0.0, 0.0, unbounded=True) <= 0.05


def test_noise_that_a_whole_window_shares_is_counted_once_a_window() -> None:
    def noisy(rng: np.random.Generator, level: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return errors(rng, level, shape) + 0.1 * rng.normal(size=(*shape[:2], 1))

    assert fires(noisy, 0.0, 0.0, unbounded=True, sizes=(30, 120)) <= 0.05


def test_twice_the_squared_error_is_found() -> None:
    assert fires(errors, 0.2, 0.0, unbounded=True) >= 0.95


def test_a_window_without_one_of_the_arms_says_nothing_and_too_few_values_neither() -> None:
    full, empty = Moments(*np.array([[9.0], [3.0], [3.0]])), Moments(*np.zeros((3, 1)))
    for candidate, stable in ((full, empty), (empty, full)):
        assert not log_worse(candidate, stable, 0.1).any()
    assert not log_worse_unbounded(full, full, 0.0).any()


def test_moments_and_bounds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="squares must be at least"):
        Moments(np.array([2.0]), np.array([4.0]), np.array([1.0]))
    with pytest.raises(ValueError, match="bounds are"):
        log_worse(Moments(*np.zeros((3, 1))), Moments(*np.zeros((3, 1))), 0.0, (1.0, 1.0))
