"""Evidence on events that the stable version hardly has: its values against scipy, fairness by enumeration, and what it
is for."""

from __future__ import annotations

import numpy as np
import pytest
from plimsoll.core.statistics.apart import BEYOND, Apart, levels
from plimsoll.core.statistics.bounded_rate import (
    ABOVE,
    ABOVE_WEIGHTS,
    BELOW,
    BELOW_WEIGHTS,
    Rates,
    log_rate_below,
    log_ratios,
)
from plimsoll.core.statistics.policy import Policy
from plimsoll.core.verdict import verdicts
from plimsoll.facts import ArmCounts, Window
from plimsoll.names import LATENCY_EDGES
from scipy.stats import betabinom, binom

MARGIN, TOLERANCE, CV = 2.0, 0.05, 0.2


def log_e(k_c: np.ndarray, n_c: int, k_s: np.ndarray, n_s: int) -> np.ndarray:
    """Of one window for each pair of counts, as edges."""
    spell = np.stack([k_c, np.full_like(k_c, n_c), k_s, np.full_like(k_s, n_s)])[None].astype(float)
    edges, begins = len(k_c), np.array([True])
    places = np.arange(4 * edges).reshape(4, -1)
    tests = levels(np.full(edges, MARGIN), np.full(edges, TOLERANCE), places, places[0])
    (logs,) = log_ratios(tests.of(spell.reshape(1, -1), np.full((1, edges), CV)))
    return Apart().after(logs, begins, begins)[1][0]


def beta_binomial(k: int, n: int, null: float, other: float, variance: float) -> float:
    s = max(1.0, null * (1 - null) / variance - 1)
    above = betabinom.logpmf(k, n, max(s * other, s * null + 1), s * (1 - other))
    return float(np.exp(above - betabinom.logpmf(k, n, s * null, s * (1 - null))))


def test_one_window_is_the_smaller_of_two_beta_binomial_ratios() -> None:
    k_c, n_c, k_s, n_s = 9, 40, 1, 300
    bets = []
    for beyond in BEYOND:
        most, least = TOLERANCE * (1 + beyond), TOLERANCE * beyond / MARGIN
        never = sum(
            weight * beta_binomial(n_s - k_s, n_s, 1 - least, 1 - part * least, (CV * least) ** 2)
            for part, weight in zip(BELOW, BELOW_WEIGHTS, strict=True)
        )
        for odds, weight in zip(most / (1 - most) * ABOVE, ABOVE_WEIGHTS, strict=True):
            often = beta_binomial(k_c, n_c, most, odds / (1 + odds), (CV * most) ** 2)
            bets.append(weight / len(BEYOND) * min(often, never))
    # The first step has half of the capital; the other half is kept for steps to come.
    assert np.exp(log_e(np.array([k_c]), n_c, np.array([k_s]), n_s))[0] == pytest.approx(0.5 * sum(bets) + 0.5)


@pytest.mark.parametrize("p_s", [0.0, 0.001, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("part", [1.0, 0.5, 0.0])
def test_one_window_gains_nothing_under_the_hypothesis_by_enumeration(p_s: float, part: float) -> None:
    n_c, n_s = 25, 60
    p_c = MARGIN * p_s * part + TOLERANCE * part
    k_c, k_s = (grid.ravel() for grid in np.meshgrid(np.arange(n_c + 1), np.arange(n_s + 1)))
    law = binom.pmf(k_c, n_c, p_c) * binom.pmf(k_s, n_s, p_s)
    assert law.sum() == pytest.approx(1.0)
    assert law @ np.exp(log_e(k_c, n_c, k_s, n_s)) <= 1.0 + 1e-9


def test_an_incident_of_both_arms_tells_nothing() -> None:
    assert log_e(np.array([20]), 40, np.array([150]), 300)[0] < 0


def slow(n: int, k: int) -> ArmCounts:
    """`k` of `n` requests take a second, the others no time."""
    return ArmCounts(n, 0, 0, n, tuple(k if edge < 1 else 0 for edge in LATENCY_EDGES))


def release(seed: int, tail: float, rows: int = 90) -> list[Window]:
    """50 requests/s, a tenth to the candidate, of which `tail` take a second; of the stable version none do."""
    rng, windows = np.random.default_rng(seed), []
    for row in range(rows):
        pods = tuple(slow(int(rng.poisson(150)), 0) for _ in range(3))
        n = int(rng.poisson(50))
        stable = slow(sum(pod.requests for pod in pods), 0)
        candidate = slow(n, int(rng.binomial(n, tail)))
        windows.append(Window(row + 1, 10.0 * row, 10.0 * row + 10, 1, 10, stable, candidate, pods))
    return windows


@pytest.mark.parametrize("seed", range(4))
def test_a_slow_tail_that_the_stable_version_has_not_is_taken_back(seed: int) -> None:
    """Twice the share that is accepted."""
    found = next(one for one in verdicts(release(seed, 0.1), Policy()) if one.outcome != "Inconclusive")
    assert (found.outcome, found.metric) == ("Fail", "latency")
    assert "slower than" in found.reason and "above 2 × stable + 5%" in found.reason


@pytest.mark.parametrize("seed", range(4))
def test_a_tail_within_what_is_accepted_is_not_taken_back(seed: int) -> None:
    assert all(one.outcome != "Fail" for one in verdicts(release(seed, 0.04), Policy()))


def test_a_rate_that_none_can_be_at_says_nothing_beside_those_that_do() -> None:
    rates, places = np.array([0.0, 0.05, 1.0]), np.array([[0, 0, 0], [1, 1, 1]])
    tests = Rates.at(rates, places, np.zeros(3, dtype=np.int64), above=False, rest=True)
    (logs,) = log_ratios(tests.of(np.array([[2.0, 400.0], [0.0, 0.0]]), np.full((2, 1), CV)))
    assert logs.shape == (2, 3, len(BELOW))
    assert not logs[:, [0, 2]].any()
    assert logs[0, 1] == pytest.approx(log_rate_below(np.array([2.0]), np.array([400.0]), 0.05, np.array([CV]))[0])
    assert not logs[1].any()
