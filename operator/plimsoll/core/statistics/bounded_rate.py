"""One arm against a fixed rate: what the comparison of two arms cannot say when nothing ever fails."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

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
    return log_ratios(Trials.of(told, np.array([n - k, n, (cv * limits) ** 2]), rarer(limits)))[0]


def log_rate_above(k: Array, n: Array, limit: float, cv: Array) -> Array:
    """Log e-values against "the rate of each window is at most `limit`"; shapes and the rest as in `log_rate_below`."""
    told = (n > 0) & (0 < limit < 1)
    shares = np.broadcast_to(oftener(np.array(limit if 0 < limit < 1 else 0.5)), (*k.shape, 1 + len(ABOVE)))
    return log_ratios(Trials.of(told, np.array([k, n, cv**2 * limit**2]), shares))[0]


def rarer(rates: Array) -> Array:
    """Shares of what is no event, (…, 5): with events at these rates, and more rarely."""
    shares: Array = 1 - rates[..., None] * [1.0, *BELOW]
    return shares


def oftener(rates: Array) -> Array:
    """Shares of events, (…, 5): at these rates, and more often."""
    odds = (rates / (1 - rates))[..., None] * ABOVE
    return np.concatenate([rates[..., None], odds / (1 + odds)], axis=-1)


@dataclass(frozen=True, slots=True)
class Trials:
    """`k` of `n` against "the share is at most the null", which varies between windows with this `variance`: the
    `columns` (3, cells). `shares` (cells, 1 + alternatives) are the null and the alternatives. `cells` are the places
    among all of `shape` where something is told."""

    cells: NDArray[np.int64]
    shape: tuple[int, ...]
    columns: Array
    shares: Array

    @classmethod
    def of(cls, told: NDArray[np.bool_], columns: Array, shares: Array) -> Trials:
        """Of those (3, …) and (…, 1 + alternatives), where they are `told` (…)."""
        cells = told.ravel().nonzero()[0]
        laws = shares.reshape(-1, shares.shape[-1])
        return cls(cells, told.shape, columns.reshape(3, -1).take(cells, axis=1), laws.take(cells % len(laws), axis=0))


def log_ratios(*trials: Trials) -> list[Array]:
    """Log e-values by the beta-binomial, (…, alternatives) of each; 0 where nothing is told."""
    shares = np.concatenate([one.shares for one in trials])
    k, n, variance = np.concatenate([one.columns for one in trials], axis=1)
    found, first, logs = log_likelihood_ratio(k, n, shares, concentration(variance, shares[:, 0])), 0, []
    for one in trials:
        last = first + len(one.cells)
        logs.append(_placed(one, found[first:last]))
        first = last
    return logs


def _placed(trials: Trials, found: Array) -> Array:
    logs = np.zeros((prod(trials.shape), found.shape[-1]))
    logs[trials.cells] = found
    return logs.reshape(*trials.shape, -1)


@dataclass(frozen=True, slots=True)
class Rates:
    """Tests of arms against fixed `rates`, side by side (tests,), with their `shares` (tests, 5) as in `Trials`.

    `events` and `trials` are the places of what each counts among all counts, `noise` that of its cv. A rate outside
    (0, 1) says nothing.
    """

    rates: Array
    shares: Array
    events: NDArray[np.int64]
    trials: NDArray[np.int64]
    noise: NDArray[np.int64]

    def then(self, more: Rates) -> Rates:
        """Both, one after the other."""
        return Rates(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in self.__slots__))

    def of(self, counts: Array, cv: Array) -> Trials:
        """The tests of each row of counts (rows, places) and cv (rows, places): (rows, tests)."""
        columns = np.empty((3, len(counts), len(self.rates)))
        k, n, variance = columns
        counts.take(self.events, axis=1, out=k)
        counts.take(self.trials, axis=1, out=n)
        np.square(cv.take(self.noise, axis=1) * self.rates, out=variance)
        return Trials.of((n > 0) & (self.rates > 0) & (self.rates < 1), columns, self.shares)
