"""Alpha shared out over attempts is never more than alpha."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from plimsoll.core.statistics.allotment import of_attempt


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.2])
def test_all_attempts_together_spend_alpha_and_no_more(alpha: float) -> None:
    spent = np.cumsum([of_attempt(alpha, attempt) for attempt in range(1, 1001)])
    assert spent[-1] == pytest.approx(0.9999 * alpha)
    assert spent.max() < alpha


def test_the_first_attempt_has_nearly_all_and_each_one_less_than_the_one_before() -> None:
    parts = [of_attempt(0.01, attempt) for attempt in range(1, 6)]
    assert parts == pytest.approx([0.009, 0.0005, 0.01 / 60, 0.01 / 120, 0.01 / 200])


def test_a_healthy_version_is_taken_back_in_at_most_alpha_of_all_revisions_that_are_tried_five_times() -> None:
    """By a likelihood ratio, whose chance to reach 1/alpha is close to alpha: the simulated releases of the benchmark
    reach it far more rarely, and would show no sum. With all of alpha in each attempt it is nearly five times alpha."""
    alpha, revisions, attempts = 0.1, 4000, 5
    largest = np.stack([_largest(revisions, seed) for seed in range(attempts)])
    shared = np.array([1 / of_attempt(alpha, attempt) for attempt in range(1, attempts + 1)])
    assert 0.6 * alpha < (largest >= shared[:, None]).any(axis=0).mean() <= alpha
    assert (largest >= 1 / alpha).any(axis=0).mean() > 3 * alpha


def _largest(revisions: int, seed: int) -> NDArray[np.float64]:
    """The largest e-value of an attempt: N(0.15, 1) against N(0, 1), which is true, after each of 500 looks."""
    shift, seen = 0.15, np.random.default_rng(seed).normal(size=(revisions, 500))
    return np.asarray(np.exp(np.cumsum(shift * seen - shift**2 / 2, axis=1).max(axis=1)))


@pytest.mark.parametrize(("alpha", "attempt", "said"), [(0.0, 1, "alpha is 0.0"), (0.01, 0, "attempt is 0")])
def test_what_means_nothing_is_refused(alpha: float, attempt: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        of_attempt(alpha, attempt)
