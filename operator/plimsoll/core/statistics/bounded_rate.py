"""One arm against a fixed rate: what the comparison of two arms cannot say when nothing ever fails."""

from __future__ import annotations

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
    return log_ratios(Trials(np.stack([n - k, n, (cv * limits) ** 2]), rarer(limits), told))


def log_rate_above(k: Array, n: Array, limit: float, cv: Array) -> Array:
    """Log e-values against "the rate of each window is at most `limit`"; shapes and the rest as in `log_rate_below`."""
    told = (n > 0) & (0 < limit < 1)
    shares = np.broadcast_to(oftener(np.array(limit if 0 < limit < 1 else 0.5)), (*k.shape, 1 + len(ABOVE)))
    return log_ratios(Trials(np.stack([k, n, cv**2 * limit**2]), shares, told))


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
    `columns` (3, …). `shares` (…, 1 + alternatives) are the null and the alternatives. Where `told` (…) is false
    nothing is."""

    columns: Array
    shares: Array
    told: NDArray[np.bool_]

    def then(self, more: Trials) -> Trials:
        """Both, one after the other on the last axis."""
        return Trials(
            np.concatenate([self.columns, more.columns], axis=-1),
            np.concatenate([self.shares, more.shares], axis=-2),
            np.concatenate([self.told, more.told], axis=-1),
        )


def log_ratios(trials: Trials) -> Array:
    """Log e-values by the beta-binomial, (…, alternatives); 0 where nothing is told."""
    laws = trials.shares.shape[-1]
    logs, cells = np.zeros((trials.told.size, laws - 1)), trials.told.ravel().nonzero()[0]
    if len(cells):
        k, n, variance = trials.columns.reshape(3, -1).take(cells, axis=1)
        shares = trials.shares.reshape(-1, laws).take(cells, axis=0)
        logs[cells] = log_likelihood_ratio(k, n, shares, concentration(variance, shares[:, 0]))
    return logs.reshape(*trials.told.shape, -1)


@dataclass(frozen=True, slots=True)
class Rates:
    """Tests of arms against fixed `rates`, side by side (tests,), with their `shares` (tests, 5) as in `Trials`.

    `events` and `trials` are the places of what each counts among all counts; the shares are of what is no event where
    it is the `others` that tell. `noise` is the place of its cv.
    """

    rates: Array
    shares: Array
    events: NDArray[np.int64]
    trials: NDArray[np.int64]
    others: NDArray[np.bool_]
    noise: NDArray[np.int64]

    def then(self, more: Rates) -> Rates:
        """Both, one after the other."""
        return Rates(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in self.__slots__))

    def of(self, counts: Array, cv: Array) -> Trials:
        """The tests of each row of counts (rows, places) and cv (rows, places): (rows, tests). A rate outside (0, 1)
        says nothing."""
        columns = np.empty((3, len(counts), len(self.rates)))
        k, n, variance = columns
        counts.take(self.trials, axis=1, out=n)
        counts.take(self.events, axis=1, out=k)
        np.subtract(n, k, out=k, where=self.others)
        np.square(cv.take(self.noise, axis=1) * self.rates, out=variance)
        shares = np.empty((*n.shape, self.shares.shape[-1]))
        shares[:] = self.shares
        return Trials(columns, shares, (n > 0) & (self.rates > 0) & (self.rates < 1))
