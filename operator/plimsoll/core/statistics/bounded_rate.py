"""One arm against a fixed rate: what the comparison of two arms cannot say when nothing ever fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.beta_binomial import concentration, log_likelihood_ratio
from plimsoll.core.statistics.wealth import Array, Level

#: Alternatives as parts of the limit, and what is bet on each: most on "practically never".
BELOW = np.array([0.05, 0.2, 0.4, 0.65])
BELOW_WEIGHTS = np.array([0.5, 0.25, 0.15, 0.1])
#: Alternatives as multiples of the odds of the limit.
ABOVE = np.array([1.5, 3.0, 10.0, 100.0])
ABOVE_WEIGHTS = np.array([0.25, 0.25, 0.25, 0.25])


def log_rate_below(k: Array, n: Array, limit: Level, cv: Array) -> Array:
    """Log e-values against "the rate of each window is at least `limit`", for k events in n trials; shape k.shape +
    (4,).

    A beta-binomial mixture (Robbins 1970; the sequential counterpart of Clopper–Pearson): the rate of a window may vary
    with coefficient of variation `cv`. Large means: the rate is below. n = 0 or a limit outside (0, 1) is no
    information.
    With no event it is 20 after 378 trials at a limit of 1 % and cv 0.2 (300 without mixture and noise).
    """
    limits = np.broadcast_to(limit, k.shape)
    told = (n > 0) & (limits > 0) & (limits < 1)
    trials = Trials(np.stack([n - k, n, 1 - limits, (cv * limits) ** 2]), told)
    return log_ratios(trials, 1 - limits[..., None] * BELOW)


def log_rate_above(k: Array, n: Array, limit: float, cv: Array) -> Array:
    """Log e-values against "the rate of each window is at most `limit`"; shapes and the rest as in `log_rate_below`."""
    told = (n > 0) & (0 < limit < 1)
    odds = limit / (1 - limit) * ABOVE if 0 < limit < 1 else ABOVE
    null = np.full(k.shape, limit)
    trials = Trials(np.stack([k, n, null, cv**2 * limit**2]), told)
    return log_ratios(trials, np.broadcast_to(odds / (1 + odds), (*k.shape, 4)))


@dataclass(frozen=True, slots=True)
class Trials:
    """`k` of `n` against "the share is at most `null`", which varies between windows with this `variance`: the
    `columns` (4, …). Where `told` (…) is false nothing is."""

    columns: Array
    told: NDArray[np.bool_]


def log_ratios(trials: Trials, alternatives: Array) -> Array:
    """Log e-values by the beta-binomial, of the shape of the alternatives; 0 where nothing is told."""
    ways = alternatives.shape[-1]
    logs, cells = np.zeros((trials.told.size, ways)), np.flatnonzero(trials.told)
    if len(cells):
        k, n, null, variance = trials.columns.reshape(4, -1).take(cells, axis=1)[..., None]
        s, others = concentration(variance, null), alternatives.reshape(-1, ways).take(cells, axis=0)
        logs[cells] = log_likelihood_ratio(k, n, null, others, s)
    return logs.reshape(alternatives.shape)


def log_ratios_of(tests: Sequence[tuple[Trials, Array]]) -> list[Array]:
    """`log_ratios` of each of these, all with as many alternatives, in one go."""
    trials = Trials(
        np.concatenate([one.columns.reshape(4, -1) for one, _ in tests], axis=1),
        np.concatenate([one.told.ravel() for one, _ in tests]),
    )
    logs = log_ratios(trials, np.concatenate([others.reshape(-1, others.shape[-1]) for _, others in tests]))
    found, first = [], 0
    for one, others in tests:
        found.append(logs[first : first + one.told.size].reshape(others.shape))
        first += one.told.size
    return found
