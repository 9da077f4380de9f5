"""The comparison that learns the noise: its likelihoods against scipy, fairness by enumeration, alpha by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from plimsoll.core.statistics import learned_noise as learned
from plimsoll.core.statistics.comparison import WORSE
from plimsoll.core.statistics.dispersion import Pods
from plimsoll.core.statistics.learned_noise import Models, log_worse_in_noise
from scipy.integrate import quad
from scipy.stats import betaprime, binom, dirichlet_multinomial, multinomial, nbinom, poisson

RUNS = 200
#: Errors get half of an alpha of 1 %.
LEVEL = np.log(2 / 0.01)
SPELL = 6
#: Events that are expected of a pod in a window, where all that may happen is enumerated.
RARE = 0.6


def releases(
    seed: int,
    *,
    cv: float,
    ratio: float = 1.0,
    pods: int = 3,
    lasts: int = SPELL,
    quiet: int = 0,
    windows: int = 60,
    alike: bool = False,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """RUNS releases side by side (as edges): windows of 10 s, a tenth to the candidate after `quiet` ones without.

    Each pod's rate is gamma with `cv`, drawn anew every `lasts` windows, one draw for all stable pods where they are
    `alike`; every 20th window an incident hits all tenfold. Returns the evidence and where spells begin.
    """
    rng = np.random.default_rng(seed)
    rows = windows + quiet
    total = rng.poisson(500 * 10, size=(rows, RUNS))
    n_c = rng.binomial(total, np.where(np.arange(rows) < quiet, 0.0, 0.1)[:, None])
    n = np.moveaxis(rng.multinomial(total - n_c, [1 / pods] * pods), 2, 1)
    noise = rng.gamma(1 / cv**2, cv**2, size=(rows, pods + 1, RUNS)) if cv else np.ones((rows, pods + 1, RUNS))
    noise = noise[np.arange(rows) // lasts]
    if alike:
        noise[:, :pods] = noise[:, :1]
    noise *= 0.02 * np.where(rng.random((rows, 1, RUNS)) < 0.05, 10.0, 1.0)
    k = rng.binomial(n, np.minimum(noise[:, :pods], 1.0))
    k_c = rng.binomial(n_c, np.minimum(ratio * noise[:, pods], 1.0))
    told = n_c > 0
    arms = np.stack([np.where(told, x, 0.0) for x in (k_c, n_c, k.sum(axis=1), n.sum(axis=1))], axis=1)
    return (arms, np.stack([k, n], axis=1).astype(float)), np.arange(rows) % SPELL == 0


def hits(seed: int = 5, *, within: int = 60, quiet: int = 0, **world: float) -> float:
    """How many of the releases reach the level in their first `within` windows with a candidate."""
    evidence, begins = releases(seed, quiet=quiet, windows=within, **world)  # type: ignore[arg-type]
    logs = log_worse_in_noise(evidence, begins, np.ones(len(begins)), 1.5)
    return float((logs[quiet:] >= LEVEL).any(axis=0).mean())


def test_the_split_between_pods_is_scipys_dirichlet_multinomial() -> None:
    k, n, cv = np.array([3.0, 9.0, 1.0]), np.array([100.0, 150.0, 50.0]), 0.5
    found = learned._of_pods(Pods.of(np.stack([k, n])[None, ..., None]))[0, 0, [0, -1]]
    share = n / n.sum()
    expected = dirichlet_multinomial.logpmf(k.astype(int), 3 / cv**2 * share, 13) - multinomial.logpmf(k, 13, share)
    assert found == pytest.approx([0.0, expected], abs=1e-9)


@pytest.mark.parametrize("pods", [1, 3])
@pytest.mark.parametrize(("k", "total"), [(0, 4), (7, 20), (40, 130), (300, 1000), (2000, 6000)])
def test_the_share_under_noise_is_the_integral_over_the_ratio_of_two_gamma_variables(
    k: int, total: int, pods: int
) -> None:
    cv, shift, odds = 0.5, np.log(WORSE[0]), 1.5 / 9
    models = Models.of(1.5)
    places = [int(np.flatnonzero((models.shift == x) & (models.cv == y))[0]) for x, y in ((0.0, 0.0), (shift, cv))]
    cell = np.array([float(k)]), np.array([float(total)]), np.array([odds]), (np.array([1.5]), np.array([float(pods)]))
    found = learned._of_shares(*cell)[0, places]

    def under(ratio: float) -> float:
        """A gamma of mean 1 over the mean of `pods` ones is beta prime with scale `pods`."""
        share = odds * np.exp(shift) * ratio / (1 + odds * np.exp(shift) * ratio)
        return float(binom.pmf(k, total, share) * betaprime.pdf(ratio, cv**-2, pods * cv**-2, scale=pods))

    expected = np.log(quad(under, 0, 60, limit=200)[0]) - binom.logpmf(k, total, odds / (1 + odds))
    assert found == pytest.approx([0.0, expected], abs=0.01)


@pytest.mark.parametrize(("ratio", "cv"), [(1.5, 0.0), (1.0, 0.0), (1.5, 0.2), (1.0, 0.35), (1.0, 0.5)])
def test_one_window_gains_nothing_under_any_law_of_the_null_by_enumeration(ratio: float, cv: float) -> None:
    """Rare events at two stable pods and one of the candidate; negative binomial, as gamma noise makes them."""
    k = _three_counts()
    law = np.ones(len(k[0]))
    for events, expected in zip(k, (ratio * RARE, RARE, RARE), strict=True):
        law *= nbinom.pmf(events, cv**-2, 1 / (1 + cv**2 * expected)) if cv else poisson.pmf(events, expected)
    assert law.sum() == pytest.approx(1.0, abs=1e-3)
    assert law @ _e_of_a_window(k) <= 1.0


def test_one_window_gains_nothing_under_the_noise_of_a_whole_arm_by_enumeration() -> None:
    k, cv = _three_counts(), 0.5
    both = k[1] + k[2]
    law = binom.pmf(k[1], both, 0.5)  # pods that share their draw
    for events, expected in ((k[0], RARE), (both, 2 * RARE)):
        law *= nbinom.pmf(events, cv**-2, 1 / (1 + cv**2 * expected))
    assert law.sum() == pytest.approx(1.0, abs=1e-3)
    assert law @ _e_of_a_window(k) <= 1.0


def _three_counts() -> list[np.ndarray]:
    """Events of the candidate and of two stable pods: all there are, practically, of RARE ones."""
    return [grid.ravel().astype(float) for grid in np.meshgrid(*[np.arange(15)] * 3)]


def _e_of_a_window(k: list[np.ndarray]) -> np.ndarray:
    """Side by side, of 1,000 requests to each pod."""
    n, pods = np.full((1, len(k[0])), 1000.0), np.stack(k[1:])[None]
    arms = np.stack([k[0][None], n, pods.sum(axis=1), 2 * n], axis=1)
    counts = arms, np.stack([pods, np.full_like(pods, 1000.0)], axis=1)
    e: np.ndarray = np.exp(log_worse_in_noise(counts, np.array([True]), np.array([1]), 1.5)[0])
    return e


@pytest.mark.parametrize("pods", [1, 2, 3])
@pytest.mark.parametrize("cv", [0.0, 0.2, 0.5])
def test_healthy_releases_never_fail_more_often_than_alpha_whatever_the_noise_and_the_pods(
    cv: float, pods: int
) -> None:
    assert hits(cv=cv, pods=pods) <= 0.005


def test_noise_that_changes_with_each_window_does_not_fail_healthy_releases_either() -> None:
    assert hits(cv=0.5, lasts=1) <= 0.005
    assert hits(cv=0.5, lasts=1, pods=1) <= 0.005


def test_noise_that_all_pods_of_an_arm_share_does_not_fail_healthy_releases_though_they_look_alike() -> None:
    assert hits(cv=0.5, alike=True) <= 0.005


def test_at_the_margin_alpha_holds_in_ordinary_noise() -> None:
    assert hits(cv=0.2, ratio=1.5) <= 0.005


def test_four_times_the_errors_are_found_within_minutes_and_with_one_stable_pod_it_takes_longer() -> None:
    assert hits(cv=0.0, ratio=4.0, within=18) >= 0.8
    assert hits(cv=0.2, ratio=4.0, within=30) >= 0.8
    assert hits(cv=0.5, ratio=4.0) >= 0.8
    assert hits(cv=0.0, ratio=4.0, pods=1, within=36) >= 0.5


def test_an_incident_of_both_arms_destroys_no_evidence_of_four_times_the_errors() -> None:
    """A likelihood that was flattened where much is known lost a hundred nats in each, to that of windows."""
    assert hits(cv=0.2, ratio=4.0, pods=1) >= 0.9


@pytest.mark.parametrize("ratio", [8.0, 10.0])
def test_however_many_failures_are_evidence(ratio: float) -> None:
    assert hits(cv=0.2, ratio=ratio, within=30) >= 0.99


def test_what_no_noise_of_a_minute_explains_is_found_in_the_first_window() -> None:
    assert hits(cv=0.2, ratio=10.0, within=1) <= 0.1  # a whole arm's may do that
    assert hits(cv=0.2, ratio=40.0, within=1) >= 0.8


def test_two_quiet_minutes_before_the_candidate_let_its_first_half_minute_decide() -> None:
    """Windows without a candidate teach how noisy the stable pods are."""
    assert hits(cv=0.0, ratio=4.0, within=3) <= 0.5
    assert hits(cv=0.0, ratio=4.0, within=3, quiet=12) >= 0.9
    assert hits(cv=0.5, quiet=12) <= 0.005


def test_without_a_candidate_and_with_one_stable_pod_nothing_is_learned() -> None:
    evidence, begins = releases(1, cv=0.5, pods=1, windows=0, quiet=12)
    assert not log_worse_in_noise(evidence, begins, np.ones(len(begins)), 1.5).any()
