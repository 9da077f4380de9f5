"""Pairs: two models that answered the same requests, compared where exactly one of them was wrong.

Pairs on which both were right, or both wrong, say nothing about which model is worse (McNemar, Psychometrika 1947).
Count an input once: requests repeated by a client are not independent pairs.
"""

from __future__ import annotations

import numpy as np

from plimsoll.core.statistics.wealth import Array

#: Alternatives to "not worse": multiples of the odds at the margin.
WORSE = np.array([1.25, 2.0, 5.0, 20.0])
WORSE_WEIGHTS = np.array([0.3, 0.3, 0.2, 0.2])
#: Alternatives to "worse": how far from the margin (0) to equal odds (1) and beyond.
EQUAL = np.array([0.6, 1.0, 2.0])
EQUAL_WEIGHTS = np.array([0.3, 0.4, 0.3])


def log_worse(only_candidate_wrong: Array, only_stable_wrong: Array, margin: float) -> Array:
    """Log e-values against "the candidate alone is wrong at most `margin` times as often as the stable version alone";
    (windows, len(WORSE)).

    Both counts are (windows,). Given the number of discordant pairs, the candidate's are binomial with odds
    ω = P(only candidate)/P(only stable), so that each window's factor is the likelihood ratio of `margin`·WORSE
    against `margin`: a martingale at ω = margin and a supermartingale below (monotone likelihood ratio). Mixed over
    the odds by WORSE_WEIGHTS it is the sequential McNemar test (Robbins 1970 for the mixture; Ramdas, Grünwald, Vovk &
    Shafer, "Game-Theoretic Statistics", 2023). Raises ValueError for a margin that is not positive or negative counts.
    """
    return _log_ratio(only_candidate_wrong, only_stable_wrong, margin, margin * WORSE)


def log_not_worse(only_candidate_wrong: Array, only_stable_wrong: Array, margin: float) -> Array:
    """Log e-values against "… at least `margin` times as often", the reverse of `log_worse`; (windows, len(EQUAL)).

    The alternatives lie towards equal odds and beyond: the margin must be above 1.
    """
    if margin <= 1:
        raise ValueError(f"margin is {margin}: it must be above 1, or equality could never be shown to be within it")
    return _log_ratio(only_candidate_wrong, only_stable_wrong, margin, margin ** (1 - EQUAL))


def _log_ratio(wrong: Array, right: Array, null: float, odds: Array) -> Array:
    if null <= 0:
        raise ValueError(f"margin is {null}: it must be positive, the odds that are accepted")
    if np.any(wrong < 0) or np.any(right < 0):
        raise ValueError("discordant pairs must not be negative: pass counts, not differences")
    pairs = wrong + right
    logs: Array = wrong[:, None] * np.log(odds / null) - pairs[:, None] * np.log((1 + odds) / (1 + null))
    return logs
