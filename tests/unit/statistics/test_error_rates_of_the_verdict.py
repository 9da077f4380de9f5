"""Seeded simulations: how often a healthy release fails and a harmful one passes, looked at after every window.

The seeds are fixed, so that these are statements about the program, not draws. `fails` and `passes` count attempts.
"""

from __future__ import annotations

import numpy as np
import pytest
from plimsoll.core.verdict import Policy, verdicts
from plimsoll.facts import Window

from tests.unit.statistics.builders import draw, total

#: A model that answers in some 20 ms: many edges lie in the middle of its times.
SLOW = np.array([1, 1, 1, 1, 0.5, 0.2, 0.05, 0.02, 0.01, 0.003, 0.001, 0, 0])
WEIGHTS = (5, 10, 25, 50)
ATTEMPTS = 60
#: The breaker is no part of alpha: here it would trip when noise and an incident make half of the requests fail.
STATISTICS = Policy(breaker_share=0.95)


def attempt(
    seed: int, *, cv: float, ratio: float, rate: float = 0.02, spell: int = 1, slow: float = 1.0, stable: int = 3
) -> list[Window]:
    """32 windows of 3,000 requests over four weights, `stable` stable pods and one of the candidate.

    Each pod's rates are gamma with `cv`, drawn anew every `spell` windows; in every 20th window an incident hits both
    arms tenfold.
    """
    rng = np.random.default_rng(seed)
    windows = []
    for index in range(32):
        if index % spell == 0:
            noise = rng.gamma(1 / cv**2, cv**2, size=(2, stable + 1))
        step = index // 8
        candidates = int(rng.binomial(3000, WEIGHTS[step] / 100))
        incident = 10.0 if rng.random() < 0.05 else 1.0
        parts = [*rng.multinomial(3000 - candidates, [1 / stable] * stable), candidates]
        arms = []
        for place, requests in enumerate(parts):
            worse, slower = (ratio, slow) if place == stable else (1.0, 1.0)
            shares = np.minimum.accumulate(np.minimum(SLOW * incident**0.3 * noise[1, place] * slower, 1.0))
            arms.append(draw(rng, int(requests), rate * incident * noise[0, place] * worse, tuple(shares)))
        pods = tuple(arms[:stable])
        windows.append(
            Window(index, 10.0 * index, 10.0 * index + 10, step, WEIGHTS[step], total(pods), arms[stable], pods)
        )
    return windows


def rate_of(outcome: str, policy: Policy = STATISTICS, attempts: int = ATTEMPTS, **world: float) -> float:
    hits = sum(any(v.outcome == outcome for v in verdicts(attempt(seed, **world), policy)) for seed in range(attempts))  # type: ignore[arg-type]
    return hits / attempts


@pytest.mark.parametrize(
    "world",
    [{"cv": 0.2, "ratio": 1.0}, {"cv": 0.2, "ratio": 1.5}, {"cv": 0.5, "ratio": 1.0}],
    ids=["quiet", "margin", "noisy"],
)
def test_healthy_releases_hardly_ever_fail(world: dict[str, float]) -> None:
    assert rate_of("Fail", **world) <= 0.01


def test_noise_that_lasts_a_minute_hardly_ever_fails_a_healthy_release() -> None:
    """Errors and times of a pod up or down together, cv 0.5, for a minute at a time."""
    assert rate_of("Fail", cv=0.5, ratio=1.0, spell=6) <= 0.01


@pytest.mark.parametrize("spell", [1, 6], ids=["window", "minute"])
def test_one_stable_pod_is_no_reason_to_fail_a_healthy_release(spell: int) -> None:
    """No pod can be compared with another: noise shows in how the candidate's share moves. One attempt of 60 may fail:
    of 250 it were 2 (alpha is 1 %)."""
    assert rate_of("Fail", cv=0.5, ratio=1.0, spell=spell, stable=1) <= 1 / ATTEMPTS


def test_harmful_releases_hardly_ever_pass() -> None:
    """Twice the errors from a base of 5 %: beyond 1.5 × stable + 1 %."""
    assert rate_of("Pass", cv=0.2, ratio=2.0, rate=0.05) <= 0.05


def test_harmful_releases_do_fail() -> None:
    assert rate_of("Fail", cv=0.2, ratio=6.0, rate=0.02) >= 0.95
