"""Two arms compared while nobody knows how noisy they are: the noise is learned from the evidence it must be told from.

A pod's rate is multiplied by a draw of a gamma law with mean 1 and coefficient of variation cv, anew for each spell (a
minute) or for each window: neither cv nor how long a draw lasts is known. Two things tell: how the events of the stable
arm are split between its pods, and how the candidate's share of all events moves from spell to spell. The e-value is
that of universal inference (Wasserman, Ramdas & Balakrishnan, PNAS 2020): the likelihood under a fixed mixture of
alternatives, divided by the largest likelihood under *any* law of the null. For whichever law of the null holds, the
ratio is at most the one against that law, a martingale that starts at 1; so alpha holds without an estimate of cv, as
far as the law is in the null:

* p_c ≤ margin·p_s + tolerance with cv up to QUIET, and
* p_c ≤ p_s with cv up to LOUD (with a tolerance: a rate ratio of a margin less than the boundary).

So a candidate that is not worse is safe in strong noise, one that is at the margin only in ordinary noise: with a
margin that had to hold at cv 0.5 as well, twice the errors would hardly ever be found there.

Given the spell's totals the two likelihoods are independent (the split of gamma variables of equal scale is independent
of their sum): a Dirichlet-multinomial for the pods of the stable arm, and for the candidate's share a binomial whose
odds are multiplied by the ratio of two gamma variables, integrated on a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from plimsoll.core.statistics.comparison import WORSE, WORSE_WEIGHTS, Arms, shares
from plimsoll.core.statistics.wealth import (
    Array,
    Level,
    begins_in,
    increments,
    log_sum,
    mixture,
    running,
    started,
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


@dataclass(frozen=True, slots=True)
class Models:
    """Laws, side by side: `shift` is the log odds ratio relative to the boundary, `cv` the noise. The first NULLS are
    the null, the last len(BETS) say that the candidate is like the stable version, and what lies between bets."""

    shift: Array
    cv: Array

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, margin: float) -> Models:
        equal = -float(np.log(margin))
        nulls = [(share * equal, cv) for cv in QUIET for share in (0.0, 0.5, 1.0)] + [(equal, cv) for cv in LOUD]
        bets = [(float(shift), float(cv)) for cv in BETS for shift in np.log(WORSE)]
        laws = np.array(nulls + bets + [(equal, float(cv)) for cv in BETS])
        return cls(laws[:, 0], laws[:, 1])


NULLS = 3 * len(QUIET) + len(LOUD)
#: Noise is the same in the models of every margin: each kind once, and which one a model has.
_NOISES, _NOISE_OF = np.unique(Models.of(1.5).cv, return_inverse=True)
_WEIGHTS = np.outer(BET_WEIGHTS, WORSE_WEIGHTS).ravel()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both arms, (windows, edges), and the pods of the stable one, `k` of `n`, (windows, pods, edges)."""

    arms: Arms
    k: Array
    n: Array

    def then(self, more: Evidence) -> Evidence:
        """Both, one after the other."""
        return Evidence(self.arms.then(more.arms), np.concatenate([self.k, more.k]), np.concatenate([self.n, more.n]))

    def within(self, begins: NDArray[np.bool_]) -> Evidence:
        """Sums over the rows since the last that begins a spell."""
        arms = self.arms
        sums = [within(x, begins) for x in (arms.k_candidate, arms.n_candidate, arms.k_stable, arms.n_stable)]
        return Evidence(Arms(*sums), within(self.k, begins), within(self.n, begins))


def log_worse_in_noise(
    evidence: Evidence, begins: NDArray[np.bool_], steps: NDArray[np.int64], margin: Level, tolerance: Level = 0.0
) -> Array:
    """Running log e-values (windows, edges) against "p_c ≤ margin·p_s + tolerance", whatever the noise.

    `begins` says where a spell begins, `steps` names the step of each row. Rows without one of the arms tell only about
    the noise of pods.
    """
    evidence.arms.checked()
    evidence = evidence.then(evidence.within(begins))
    return LearnedNoise().after(evidence, begins, begins_in(steps), (margin, tolerance))[1]


@dataclass(frozen=True, slots=True)
class LearnedNoise:
    """Where `log_worse_in_noise` stands after some rows.

    Likelihoods (edges, models): `lasting` where noise lasts a spell, `so_far` of the spell under way; `passing` (edges,
    NULLS) where it is drawn for each window. In each step a candidate may turn worse, from the first of its rows with
    both arms; `compared` (edges,) counts these. The i-th such moment (from 1), of which there were `turns` (edges,),
    gets 2⁻ⁱ of the capital, which until then bets that the candidate is like the stable version and so learns about
    noise: `turned` (turns, edges, bets) is what that had earned by then, less what the bets had.
    """

    lasting: Array | float = 0.0
    so_far: Array | float = 0.0
    passing: Array | float = 0.0
    compared: Array | float = 0.0
    turns: Array | float = 0.0
    turned: Array | None = None

    def after(
        self,
        evidence: Evidence,
        begins: NDArray[np.bool_],
        anew: NDArray[np.bool_],
        bound: tuple[Level, Level],
    ) -> tuple[LearnedNoise, Array]:
        """Where it stands after these rows as well, and the log e-values in them.

        `evidence` is that of each row, followed by that of the spell up to each; `begins` says where a spell begins,
        `anew` where a step does, (rows,).
        """
        logs, rows = _log_likelihoods(evidence, bound), len(begins)
        so_far = logs[rows:]
        lasting = running(increments(so_far, begins, self.so_far), self.lasting)
        passing = running(logs[:rows, :, :NULLS], self.passing)
        null = np.maximum(lasting[..., :NULLS], passing).max(axis=-1)
        arms = evidence.arms
        told = ((arms.n_candidate[:rows] > 0) & (arms.n_stable[:rows] > 0)).astype(np.float64)
        compared = within(told, anew, self.compared)
        turns = running(told * (compared == 1), self.turns)
        turned = self._turned(lasting, turns)
        state = LearnedNoise(lasting[-1], so_far[-1], passing[-1], compared[-1], turns[-1], turned)
        return state, _mixed(lasting, turns, turned) - null

    def _turned(self, lasting: Array, turns: Array) -> Array:
        """What being alike had earned at each turn, less what the bets had: (turns, edges, bets)."""
        if self.turned is not None and (turns[-1] == self.turns).all():
            return self.turned
        shape = (int(turns[-1].max()), turns.shape[1], len(_WEIGHTS))
        turned = np.zeros(shape)
        if self.turned is not None:
            turned[: len(self.turned)] = self.turned
        earlier = np.concatenate([started(self.lasting, lasting), lasting[:-1]])
        had = np.broadcast_to(np.asarray(self.turns), turns.shape[1:])
        for place in range(shape[0]):
            edges = np.flatnonzero((turns[-1] > place) & (had <= place))
            if len(edges):
                at = earlier[(turns[:, edges] > place).argmax(axis=0), edges]
                bets = at[:, NULLS : -len(BETS)].reshape(len(edges), len(BETS), len(WORSE))
                turned[place, edges] = (at[:, -len(BETS) :, None] - bets).reshape(len(edges), -1)
        return turned


def _mixed(lasting: Array, turns: Array, turned: Array) -> Array:
    """The mixture over when it turned worse: alike until then, worse from there on; (windows, edges)."""
    bets, idle = lasting[..., NULLS : -len(BETS)], mixture(lasting[..., -len(BETS) :], BET_WEIGHTS)
    parts = [idle - len(turned) * np.log(2)]
    for place, before in enumerate(turned):
        later = np.where(turns > place, mixture(bets + before, _WEIGHTS), idle)
        parts.append(later - (place + 1) * np.log(2))
    return log_sum(np.stack(parts), 0)


def _log_likelihoods(evidence: Evidence, bound: tuple[Level, Level]) -> Array:
    """Of each row by itself, relative to the boundary without noise; (windows, edges, models)."""
    pods = np.maximum((evidence.n > 0).sum(axis=1), 1)
    logs: Array = _of_pods(evidence.k, evidence.n, _NOISES)[..., _NOISE_OF]
    found = shares(evidence.arms, *bound, worse=True)
    odds = found.ratio * found.base / (1 - found.base)
    margins = np.broadcast_to(bound[0], pods.shape)
    for margin in np.unique(bound[0]):
        mine = found.useful & (margins == margin)
        for count in np.unique(pods[mine]):
            rows = mine & (pods == count)
            logs[rows] += _of_shares(found.k[rows], found.total[rows], odds[rows], int(count), Models.of(float(margin)))
    return logs


def _of_shares(k: Array, total: Array, odds: Array, pods: int, models: Models) -> Array:
    """The binomial likelihood of `k` of `total`, its odds shifted and noisy; (cells, models).

    Where so much is known of a share that the grid is too coarse for it, the likelihood is flattened (a power below 1):
    less is concluded than could be.
    """
    information = k * (total - k) / np.maximum(total, 1.0)
    power = np.minimum(1.0, STEP**-2 / np.maximum(information, 1.0))[:, None]

    def curve(shift: Array) -> Array:
        logs: Array = k[:, None] * shift - total[:, None] * np.log1p(
            odds[:, None] * np.expm1(shift) / (1 + odds[:, None])
        )
        return power * logs

    on_grid = curve(GRID)
    top = on_grid.max(axis=1, keepdims=True)
    noisy = models.cv > 0
    logs = np.empty((len(k), len(models.cv)))
    logs[:, ~noisy] = curve(models.shift[~noisy])
    laws = _ratio_laws(tuple(models.cv[noisy]), tuple(models.shift[noisy]), pods)
    logs[:, noisy] = np.log(np.maximum(np.exp(on_grid - top) @ laws, 1e-300)) + top
    return logs


@lru_cache(maxsize=256)
def _ratio_laws(cvs: tuple[float, ...], shifts: tuple[float, ...], pods: int) -> Array:
    """How probable each log ratio of GRID is under each law, (grid, laws): one gamma variable over the mean of `pods`
    ones, moved by its shift."""
    shape, log_ratio = np.array(cvs) ** -2, GRID[:, None] - np.array(shifts)
    logs = shape * log_ratio - (pods + 1) * shape * np.log1p(np.exp(log_ratio) / pods)
    likelihoods = np.exp(logs - logs.max(axis=0))
    laws: Array = likelihoods / likelihoods.sum(axis=0)
    return laws


def _of_pods(k: Array, n: Array, noises: Array) -> Array:
    """Log likelihood of the split between pods by the Dirichlet-multinomial, less that without noise: (windows, edges,
    noises)."""
    events, trials, pods = k.sum(axis=1), n.sum(axis=1), (n > 0).sum(axis=1)
    logs = np.zeros((*events.shape, len(noises)))
    told, noisy = (pods > 1) & (events > 0), noises > 0
    if not told.any():
        return logs
    rows, edges = np.nonzero(told)
    k, n = k[rows, :, edges][:, None], n[rows, :, edges][:, None]
    share = np.where(n > 0, n / trials[told][:, None, None], 1.0)
    whole = pods[told][:, None] / noises[noisy] ** 2
    each = whole[..., None] * share
    split = np.where(n > 0, gammaln(k + each) - gammaln(each), 0.0).sum(axis=-1)
    plain = (k * np.log(share)).sum(axis=-1)
    found = np.zeros((len(rows), len(noises)))
    found[:, noisy] = gammaln(whole) - gammaln(whole + events[told][:, None]) + split - plain
    logs[told] = found
    return logs
