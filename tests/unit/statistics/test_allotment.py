"""Alpha shared out over metrics and attempts is never more than alpha."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll.core.statistics.allotment import of_attempt, part_of_attempt
from scipy.special import zeta

SHARES = {"error rate": 2.0, "client error rate": 1.0, "latency": 1.0}


@settings(max_examples=25)
@given(
    alpha=st.floats(0.001, 0.5),
    attempts=st.integers(1, 20),
    shares=st.dictionaries(st.text(max_size=4), st.floats(0.01, 100), min_size=1, max_size=4),
)
def test_all_metrics_of_all_attempts_together_spend_at_most_alpha(
    alpha: float, attempts: int, shares: dict[str, float]
) -> None:
    spent = sum(sum(of_attempt(alpha, k, shares).values()) for k in range(1, attempts + 1))
    assert alpha * 0.6 < spent <= alpha * (1 + 1e-9)


def test_the_parts_of_all_attempts_sum_to_one() -> None:
    assert sum(part_of_attempt(k) for k in range(1, 1001)) + 6 / 9.8696044 * zeta(2, 1001) == pytest.approx(1.0)


def test_an_attempt_gets_less_than_the_one_before_and_metrics_keep_their_proportions() -> None:
    first, second = of_attempt(0.01, 1, SHARES), of_attempt(0.01, 2, SHARES)
    assert first["error rate"] == pytest.approx(2 * first["latency"])
    assert sum(first.values()) == pytest.approx(0.01 * 0.6079, rel=1e-3)
    assert all(second[name] == pytest.approx(first[name] / 4) for name in SHARES)


def test_what_is_switched_off_leaves_its_part_to_the_others() -> None:
    assert of_attempt(0.01, 1, {"latency": 1.0})["latency"] == pytest.approx(sum(of_attempt(0.01, 1, SHARES).values()))
    assert of_attempt(0.01, 1, {}) == {}


@pytest.mark.parametrize(
    ("alpha", "attempt", "shares", "said"),
    [
        (0.0, 1, SHARES, "alpha is 0.0"),
        (0.01, 0, SHARES, "attempt is 0"),
        (0.01, 1, {"latency": 0.0}, "share of latency is 0.0"),
        (0.01, 1, {"latency": -inf}, "share of latency is -inf"),
    ],
)
def test_what_means_nothing_is_refused(alpha: float, attempt: int, shares: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        of_attempt(alpha, attempt, shares)
