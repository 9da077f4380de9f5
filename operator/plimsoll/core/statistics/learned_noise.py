"""Two arms compared while nobody knows how noisy they are: the noise is learned from the evidence it must be told from.

A pod's rate is multiplied by a draw of a gamma law with mean 1 and coefficient of variation cv, anew for each spell (a
minute) or for each window: neither cv nor how long a draw lasts is known. Two things tell: how the events of the stable
arm are split between its pods, and how the candidate's share of all events moves from spell to spell. The e-value is
that of universal inference (Wasserman, Ramdas & Balakrishnan, PNAS 2020): the likelihood under a fixed mixture of
alternatives, divided by the largest likelihood under *any* law of the null. For whichever law of the null holds, the
ratio is at most the one against that law, a martingale that starts at 1; so alpha holds without an estimate of cv, as
far as the law is in the null:

* p_c ≤ margin·p_s + tolerance with cv up to QUIET, and
* p_c ≤ p_s with cv up to LOUD (with a tolerance: a rate ratio of a margin less than the boundary), and the same where
  all pods of an arm share their draw while both arms serve, so that like pods look quiet (decision 0014).

So a candidate that is not worse is safe in strong noise, one that is at the margin only in ordinary noise: with a
margin that had to hold at cv 0.5 as well, twice the errors would hardly ever be found there.

Given the spell's totals the two likelihoods are independent (the split of gamma variables of equal scale is independent
of their sum): a Dirichlet-multinomial for the pods of the stable arm, and for the candidate's share a binomial whose
odds are multiplied by the ratio of two gamma variables, integrated on a grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from plimsoll.core.statistics.comparison import WORSE, WORSE_WEIGHTS, Arms, Shares, shares
from plimsoll.core.statistics.dispersion import Pods
from plimsoll.core.statistics.wealth import (
    NONE,
    ONE,
    Array,
    Level,
    Restarted,
    begins_in,
    increments,
    running,
    within,
)

#: Noise at which the margin is kept, and at which only equality is.
QUIET = (0.0, 0.1, 0.2)
LOUD = (0.35, 0.5)
#: What is bet on how noisy the arms are.
BETS = np.array([0.0, 0.2, 0.5])
BET_WEIGHTS = np.array([0.5, 0.3, 0.2])
#: Logarithms of odds, relative to the boundary, on which the noise is integrated.
STEP = 0.08
GRID = np.arange(-4.0, 6.6, STEP)
#: Where so much is known of a share, by its events, that the grid is too coarse; the least likelihood.
_MUCH, _TINY = np.array(STEP**-2), np.array(1e-300)
#: Cells at a time: what they need on the grid stays in a processor's cache.
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Models:
    """Laws, side by side: `shift` is the log odds ratio relative to the boundary, `cv` the noise. The first NULLS are
    the null, of which ALIKE is the noise of a whole arm, the last len(BETS) say that the candidate is like the stable
    version, and what lies between bets."""

    shift: Array
    cv: Array

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, margin: float) -> Models:
        equal = -float(np.log(margin))
        nulls = [(share * equal, cv) for cv in QUIET for share in (0.0, 0.5, 1.0)]
        nulls += [(equal, cv) for cv in (*LOUD, LOUD[-1])]
        bets = [(float(shift), float(cv)) for cv in BETS for shift in np.log(WORSE)]
        laws = np.array(nulls + bets + [(equal, float(cv)) for cv in BETS])
        return cls(laws[:, 0], laws[:, 1])


NULLS = 3 * len(QUIET) + len(LOUD) + 1
ALIKE = NULLS - 1
#: Noise is the same in the models of every margin: each kind once (none first), and which one a model has.
_NOISES, _NOISE_OF = np.unique(Models.of(1.5).cv, return_inverse=True)
_INVERSE_VARIANCES = _NOISES[1:, None, None] ** -2
_QUIET, _NOISY = np.flatnonzero(_NOISE_OF == 0), np.flatnonzero(_NOISE_OF)
_SHAPES = 1 / _NOISES[_NOISE_OF[_NOISY]] ** 2
#: Where each model is among those without noise and, after these, those with.
_PLACES = np.argsort(np.concatenate([_QUIET, _NOISY]))
#: What of the capital for each kind of noise is bet on its alternatives, and those capitals.
_LOG_WEIGHTS = np.log(np.tile(WORSE_WEIGHTS, len(BETS))), np.log(BET_WEIGHTS)


def log_worse_in_noise(
    counts: tuple[Array, Array],
    begins: NDArray[np.bool_],
    steps: NDArray[np.int64],
    margin: float,
    tolerance: Level = 0.0,
) -> Array:
    """Running log e-values (windows, edges) against "p_c ≤ margin·p_s + tolerance", whatever the noise.

    `counts` are those of both arms, (windows, 4, edges) as in `Arms.stacked`, and of the stable pods, (windows, 2,
    pods, edges); `begins` says where a spell begins, `steps` names the step of each row. Rows without one of the arms
    tell only about the noise of pods.
    """
    arms, pods = (np.concatenate([one, within(one, begins)]) for one in counts)
    found = shares(Arms.stacked(arms).checked(), margin, tolerance, worse=True)
    told = np.sign(np.minimum(counts[0][:, 1], counts[0][:, 3]))
    evidence = Evidence(found, Pods.of(pods), told, np.full(told.shape[1], margin))
    return LearnedNoise().after(evidence, begins, begins_in(steps))[1]


class Evidence(NamedTuple):
    """What rows show: `shares` and stable `pods` of each row by itself, followed by those of the spell up to each;
    whether a row has both arms, 1 or 0, `told` (rows, edges); and the `margins` (edges,)."""

    shares: Shares
    pods: Pods
    told: Array
    margins: Array


@dataclass(frozen=True, slots=True)
class LearnedNoise:
    """Where `log_worse_in_noise` stands after some rows.

    Likelihoods (edges, models): `lasting` where noise lasts a spell, `so_far` of the spell under way; `passing` (edges,
    NULLS) where it is drawn for each window. In each step a candidate may turn worse, from the first of its rows with
    both arms (`compared` (edges,) counts these): there the bets begin anew, with capital that until then bets that the
    candidate is like the stable version and so learns about noise.
    """

    lasting: Array | float = 0.0
    so_far: Array | float = 0.0
    passing: Array | float = 0.0
    compared: Array | float = 0.0
    turned: Restarted = field(default_factory=Restarted)

    def after(
        self, evidence: Evidence, begins: NDArray[np.bool_], anew: NDArray[np.bool_]
    ) -> tuple[LearnedNoise, Array]:
        """Where it stands after these rows as well, and the log e-values in them; `begins` says where a spell begins,
        `anew` where a step does, (rows,)."""
        logs, rows = _log_likelihoods(evidence), len(begins)
        so_far = logs[rows:]
        lasting = running(increments(so_far, begins, self.so_far), self.lasting)
        passing = running(logs[:rows, :, :NULLS], self.passing)
        null = np.maximum.reduce(np.maximum(lasting[..., :NULLS], passing), axis=-1)
        compared = within(evidence.told, anew, self.compared)
        before = self.lasting[:, NULLS:] if isinstance(self.lasting, np.ndarray) else 0.0
        turns = evidence.told * (compared == ONE)
        turned, wealth = self.turned.after(lasting[..., NULLS:], turns, _LOG_WEIGHTS, before)
        return LearnedNoise(lasting[-1], so_far[-1], passing[-1], compared[-1], turned), wealth - null


def _log_likelihoods(evidence: Evidence) -> Array:
    """Of each row by itself, relative to the boundary without noise; (windows, edges, models)."""
    logs: Array = _of_pods(evidence.pods).take(_NOISE_OF, axis=-1)
    # Pods that share their noise are alike while it is told from harm; what they show before is believed of the arm.
    logs[..., ALIKE] *= ONE - np.concatenate([evidence.told, evidence.told])
    cells, columns = evidence.shares.told()
    if len(cells):
        k, total, base, ratio = columns[0], columns[1], columns[2], columns[3]
        kinds = evidence.margins.take(cells, mode="wrap"), np.maximum(evidence.pods.there.take(cells), ONE)
        each = logs.reshape(-1, len(_NOISE_OF))
        each[cells] = each.take(cells, axis=0) + _of_shares(k, total, ratio * base / (ONE - base), kinds)
    return logs


def _of_shares(k: Array, total: Array, odds: Array, kinds: tuple[Array, Array]) -> Array:
    """The binomial likelihood of `k` of `total`, its odds shifted and noisy, by the models of its kind, which is margin
    and number of pods; all (cells,), the result (cells, models).

    Where so much is known of a share that the grid is too coarse for it, the integral is Laplace's.
    """
    logs, (margins, pods) = np.empty((len(k), len(_NOISE_OF))), kinds
    for first in range(0, len(k), _BLOCK):
        some = slice(first, first + _BLOCK)
        laws = _laws_of(margins[some].tobytes(), pods[some].tobytes())
        logs[some] = _of_some(k[some], total[some], odds[some], laws)
    return logs


@dataclass(frozen=True, slots=True)
class _Laws:
    """Of some kinds of cells, or of some cells: the `points`, (kinds, points), at which their likelihood is asked for,
    on GRID and at the shifts of the models without noise, and what these add to the odds, as parts of them (`growth`).
    `noise` are the laws of the noisy models of all kinds side by side, (grid, kinds·models); `place` says where among
    all cells by kinds is what is asked for, None where there is but one kind. `shift` and `draws` (kinds, models) are
    those of the noisy models, and how many stable draws of noise."""

    points: Array
    growth: Array
    noise: Array
    place: NDArray[np.int64] | None
    shift: Array
    draws: Array


@lru_cache(maxsize=16)
def _laws_of(margins: bytes, pods: bytes) -> _Laws:
    """Of cells with these margins and numbers of pods, as arrays of bytes: the next windows of a release have the same
    again. Those of cells that are all alike are given once."""
    each = list(zip(np.frombuffer(margins).tolist(), np.frombuffer(pods).tolist(), strict=True))
    known = sorted(set(each))
    laws = _laws(tuple(known))
    if len(known) == 1:
        return laws
    kind = np.array([known.index(one) for one in each])
    place = np.arange(len(each)) * len(known) + kind
    return _Laws(laws.points[kind], laws.growth[kind], laws.noise, place, laws.shift[kind], laws.draws[kind])


@lru_cache(maxsize=64)
def _laws(kinds: tuple[tuple[float, float], ...]) -> _Laws:
    """Of these kinds, each a margin and a number of pods."""
    models = [Models.of(margin) for margin, _ in kinds]
    points = np.array([[*GRID, *one.shift[_QUIET]] for one in models])
    shift = np.array([one.shift[_NOISY] for one in models])
    draws = np.array([np.where(_NOISY == ALIKE, 1.0, pods) for _, pods in kinds])
    noise = [_ratio_laws(*one) for one in zip(shift, draws, strict=True)]
    return _Laws(points, np.expm1(points), np.concatenate(noise, axis=1), None, shift, draws)


def _of_some(k: Array, total: Array, odds: Array, laws: _Laws) -> Array:
    """`_of_shares` of a few cells."""
    curve = laws.growth * (odds / (odds + ONE))[:, None]
    curve += ONE
    np.log(curve, out=curve)
    curve *= -total[:, None]
    curve += laws.points * k[:, None]
    logs, on_grid = np.empty((len(k), len(_NOISE_OF))), curve[:, : len(GRID)]
    top = np.maximum.reduce(on_grid, axis=1)[:, None]
    curve -= top
    logs[:, : len(_QUIET)] = curve[:, len(GRID) :]
    noisy = (np.exp(on_grid, out=on_grid) @ laws.noise).reshape(-1, len(_NOISY))
    noisy = noisy if laws.place is None else noisy.take(laws.place, axis=0)
    np.maximum(noisy, _TINY, out=logs[:, len(_QUIET) :])
    np.log(logs[:, len(_QUIET) :], out=logs[:, len(_QUIET) :])
    logs += top
    known = (k * (total - k) > total * _MUCH).nonzero()[0]
    if len(known):
        some = known if len(laws.shift) > 1 else np.zeros_like(known)
        logs[known, len(_QUIET) :] = _by_laplace(
            k[known], total[known], odds[known], (laws.shift[some], laws.draws[some])
        )
    return logs.take(_PLACES, axis=1)


def _by_laplace(k: Array, total: Array, odds: Array, noise: tuple[Array, Array]) -> Array:
    """As `_of_some` has them for the noisy models, of cells of which much is known, 0 < k < total: around the share
    that was seen the binomial's log is a parabola, and that of the law of noise nearly one (Laplace's method)."""
    (shift, draws), peak = noise, np.log(k / (total - k) / odds)
    best = k * peak - total * np.log1p(np.expm1(peak) * odds / (1 + odds))
    law = _log_density(peak[:, None] - shift, draws)
    part = 1 / (1 + draws * np.exp(shift - peak[:, None]))
    slope = _SHAPES * (1 - (draws + 1) * part)
    curvature = (k * (total - k) / total)[:, None] + _SHAPES * (draws + 1) * part * (1 - part)
    found: Array = best[:, None] + law + slope**2 / (2 * curvature) + np.log(2 * np.pi / curvature) / 2
    return found


def _log_density(log_ratio: Array, draws: Array) -> Array:
    """Of one gamma variable over the mean of `draws` ones, by its logarithm, under each noisy law, (…, laws)."""
    logs = _SHAPES * (log_ratio - np.log(draws)) - (draws + 1) * _SHAPES * np.log1p(np.exp(log_ratio) / draws)
    found: Array = logs + gammaln((draws + 1) * _SHAPES) - gammaln(_SHAPES) - gammaln(draws * _SHAPES)
    return found


def _ratio_laws(shift: Array, draws: Array) -> Array:
    """How probable each log ratio of GRID is under each noisy law with this shift, (grid, laws)."""
    likelihoods = np.exp(_log_density(GRID[:, None] - shift, draws))
    laws: Array = likelihoods / likelihoods.sum(axis=0)
    return laws


def _of_pods(pods: Pods) -> Array:
    """Log likelihood of the split between pods by the Dirichlet-multinomial, less that without noise: (windows, edges,
    noises)."""
    logs = np.zeros((*pods.there.shape, len(_NOISES)))
    # Events and the concentration of their law: of all pods together, and then of each.
    columns = pods.columns.reshape(*pods.columns.shape[:2], -1)
    k, n = columns[0], columns[1]
    share = n / np.maximum(n[0], ONE)
    np.copyto(share, ONE, where=n == NONE)  # of one that was not there nothing is told, k = 0
    a = _INVERSE_VARIANCES * (share * np.maximum(columns[2, 0], ONE))
    split = gammaln(a)
    split -= gammaln(a + k)
    split += k * np.log(share)
    np.subtract.reduce(split, axis=1, out=logs.reshape(-1, len(_NOISES)).T[1:])
    return logs
