"""One arm against a fixed rate: what the comparison of two arms cannot say when nothing ever fails.

Either way a mixture over alternatives (Robbins, Ann. Math. Statist. 1970) of beta-binomial likelihood ratios (Lindon &
Malek, NeurIPS 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.beta_binomial import correlated, log_ratios_of
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
    limits = np.where(told, limits, 0.5)
    return log_ratios(Trials.of(told, np.array([n - k, n, cv**2 * _odds(limits)]), rarer(limits)))[0]


def log_rate_above(k: Array, n: Array, limit: float, cv: Array) -> Array:
    """Log e-values against "the rate of each window is at most `limit`"; shapes and the rest as in `log_rate_below`."""
    told, limits = (
        np.broadcast_to((n > 0) & (0 < limit < 1), k.shape),
        np.full(k.shape, limit if 0 < limit < 1 else 0.5),
    )
    return log_ratios(Trials.of(told, np.array([k, n, cv**2 * _odds(limits)]), oftener(limits)))[0]


def rarer(rates: Array) -> Array:
    """Shares of what is no event, (5, …): with events at these rates, and more rarely."""
    shares: Array = 1 - np.multiply.outer(np.array([1.0, *BELOW]), rates)
    return shares


def oftener(rates: Array) -> Array:
    """Shares of events, (5, …): at these rates, and more often."""
    odds = np.multiply.outer(ABOVE, _odds(rates))
    return np.concatenate([rates[None], odds / (1 + odds)])


def _odds(rates: Array) -> Array:
    """How much the trials of a window are correlated at a cv of 1: the variance rate², as a part of rate·(1 − rate)."""
    odds: Array = rates / (1 - rates)
    return odds


class Trials(NamedTuple):
    """`k` of `n` against "the share is at most the null", where the trials of a window have this `correlation`: the
    `columns` (3, cells). `shares` (1 + alternatives, cells) are the null and the alternatives. `cells` are the places
    among all of `shape` where something is told, None where all are."""

    cells: NDArray[np.int64] | None
    shape: tuple[int, ...]
    columns: Array
    shares: Array

    @classmethod
    def of(cls, told: NDArray[np.bool_], columns: Array, shares: Array) -> Trials:
        """Of those (3, …) and (1 + alternatives, …), where they are `told` (…)."""
        cells = told.ravel().nonzero()[0]
        laws = shares.reshape(len(shares), -1)
        return cls(cells, told.shape, columns.reshape(3, -1).take(cells, axis=1), laws.take(cells, axis=1))


def log_ratios(*trials: Trials) -> list[Array]:
    """Log e-values by the beta-binomial, (…, alternatives) of each; 0 where nothing is told."""
    columns = np.concatenate([one.columns for one in trials], axis=1)
    shares = np.concatenate([one.shares for one in trials], axis=1)
    found, first, logs = log_ratios_of(columns[0], columns[1], shares, correlated(columns[2])).T, 0, []
    for one in trials:
        last = first + one.columns.shape[1]
        logs.append(_placed(one, found[first:last]))
        first = last
    return logs


def _placed(trials: Trials, found: Array) -> Array:
    if trials.cells is not None:
        told, found = found, np.zeros((prod(trials.shape), found.shape[-1]))
        found[trials.cells] = told
    return found.reshape(*trials.shape, -1)


@dataclass(frozen=True, slots=True)
class Rates:
    """Tests of arms against fixed rates, side by side (tests,): their `odds`, and their `shares` (5, tests) as in
    `Trials`.

    `places` (2, tests) are those of the events and trials of each among all counts, `noise` that of its cv. Where
    `rest` is 1, and not 0, what is no event is counted. `silent` are those whose rate is outside (0, 1): they say
    nothing.
    """

    odds: Array
    shares: Array
    places: NDArray[np.int64]
    noise: NDArray[np.int64]
    rest: Array
    silent: NDArray[np.bool_]

    @classmethod
    def at(cls, rates: Array, places: NDArray[np.int64], noise: NDArray[np.int64], *, above: bool, rest: bool) -> Rates:
        """Tests against rates of at most (`above`) or at least so much, by the events or by the `rest`."""
        silent = (rates <= 0) | (rates >= 1)
        rates = np.where(silent, 0.5, rates)
        shares = oftener(rates) if above else rarer(rates)
        return cls(_odds(rates), shares, places, noise, np.full(len(rates), float(rest)), silent)

    def then(self, more: Rates) -> Rates:
        """Both, one after the other."""
        return Rates(*(np.concatenate([getattr(self, name), getattr(more, name)], axis=-1) for name in self.__slots__))

    def of(self, counts: Array, cv: Array) -> Trials:
        """The tests of each row of counts (rows, places) and cv (rows, places): (rows, tests)."""
        rows, tests = len(counts), len(self.odds)
        columns, taken, noise = (
            np.empty((3, rows, tests)),
            counts.take(self.places, axis=1),
            cv.take(self.noise, axis=1),
        )
        columns[1] = taken[:, 1]
        np.abs(taken[:, 0] - columns[1] * self.rest, out=columns[0])
        np.multiply(noise * noise, self.odds, out=columns[2])
        if np.count_nonzero(self.silent):
            columns[:2, :, self.silent] = 0.0
        shares = self.shares if rows == 1 else self.shares[:, None].repeat(rows, axis=1).reshape(len(self.shares), -1)
        return Trials(None, (rows, tests), columns.reshape(3, -1), shares)
