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
from plimsoll.core.statistics.wealth import Array, increments, log_sum, mixture

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
    """Laws, side by side: `shift` is the log odds ratio relative to the boundary, `cv` the noise. The first `nulls`
    are the null, the last len(BETS) say that the candidate is like the stable version, and what lies between bets."""

    shift: Array
    cv: Array
    nulls: int

    @classmethod
    def of(cls, margin: float) -> Models:
        equal = -float(np.log(margin))
        nulls = [(share * equal, cv) for cv in QUIET for share in (0.0, 0.5, 1.0)] + [(equal, cv) for cv in LOUD]
        bets = [(float(shift), float(cv)) for cv in BETS for shift in np.log(WORSE)]
        laws = np.array(nulls + bets + [(equal, float(cv)) for cv in BETS])
        return cls(laws[:, 0], laws[:, 1], len(nulls))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both arms, (windows, edges), and the pods of the stable one, `k` of `n`, (windows, pods, edges)."""

    arms: Arms
    k: Array
    n: Array

    def within(self, firsts: NDArray[np.int64]) -> Evidence:
        """Sums over the rows since the first one of each row's spell."""
        arms = self.arms
        sums = [within(x, firsts) for x in (arms.k_candidate, arms.n_candidate, arms.k_stable, arms.n_stable)]
        return Evidence(Arms(*sums), within(self.k, firsts), within(self.n, firsts))


def within(counts: Array, firsts: NDArray[np.int64]) -> Array:
    """Sums over the rows since `firsts`, the row where each row's spell begins."""
    total = np.cumsum(counts, axis=0)
    since: Array = total - (total - counts)[firsts]
    return since


def log_worse_in_noise(
    evidence: Evidence, spells: NDArray[np.int64], starts: NDArray[np.int64], margin: float, tolerance: float = 0.0
) -> Array:
    """Running log e-values (windows, edges) against "p_c ≤ margin·p_s + tolerance", whatever the noise.

    `spells` holds the first row of each row's spell, `starts` the rows from which a candidate may have turned worse:
    the i-th (from 1) gets 2⁻ⁱ of the capital, which until then bets that the candidate is like the stable version, and
    so learns about noise. Rows without one of the arms tell only about the noise of pods.
    """
    models = Models.of(margin)
    bound = (margin, tolerance)
    lasting = np.cumsum(increments(_log_likelihoods(evidence.within(spells), bound, models), spells), axis=0)
    nulls = Models(models.shift[: models.nulls], models.cv[: models.nulls], models.nulls)
    passing = np.cumsum(_log_likelihoods(evidence, bound, nulls), axis=0)
    null = np.maximum(lasting[..., : models.nulls], passing).max(axis=-1)
    bets = lasting[..., models.nulls : -len(BETS)].reshape(*null.shape, len(BETS), len(WORSE))
    found: Array = _restarted(bets, lasting[..., -len(BETS) :], starts) - null
    return found


def _restarted(bets: Array, alike: Array, starts: NDArray[np.int64]) -> Array:
    """The mixture over when it turned worse: alike until then, worse from there on."""
    weights = np.outer(BET_WEIGHTS, WORSE_WEIGHTS).ravel()
    idle = mixture(alike, BET_WEIGHTS)
    parts = []
    for place, start in enumerate(starts):
        before = alike[start - 1, :, :, None] - bets[start - 1] if start else np.zeros_like(bets[0])
        turned = mixture((bets + before).reshape(*idle.shape, -1), weights)
        late = np.arange(len(idle))[:, None] < start
        parts.append(np.where(late, idle, turned) - (place + 1) * np.log(2))
    parts.append(idle - len(starts) * np.log(2))
    return log_sum(np.stack(parts), 0)


def _log_likelihoods(evidence: Evidence, bound: tuple[float, float], models: Models) -> Array:
    """Of each row by itself, relative to the boundary without noise; (windows, edges, models)."""
    pods = np.maximum((evidence.n > 0).sum(axis=1), 1)
    noises, place = np.unique(models.cv, return_inverse=True)
    logs: Array = _of_pods(evidence.k, evidence.n, noises)[..., place]
    found = shares(evidence.arms, *bound, worse=True)
    odds = found.ratio * found.base / (1 - found.base)
    for count in np.unique(pods[found.useful]):
        rows = found.useful & (pods == count)
        logs[rows] += _of_shares(found.k[rows], found.total[rows], odds[rows], int(count), models)
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
    weights = np.stack(
        [_ratio_law(cv, pods, shift) for cv, shift in zip(models.cv[noisy], models.shift[noisy], strict=True)]
    )
    logs[:, noisy] = np.log(np.maximum(np.exp(on_grid - top) @ weights.T, 1e-300)) + top
    return logs


@lru_cache(maxsize=1024)
def _ratio_law(cv: float, pods: int, shift: float) -> Array:
    """How probable each log ratio of GRID is: one gamma variable over the mean of `pods` ones, moved by `shift`."""
    shape, log_ratio = cv**-2, GRID - shift
    logs = shape * log_ratio - (pods + 1) * shape * np.log1p(np.exp(log_ratio) / pods)
    likelihoods = np.exp(logs - logs.max())
    law: Array = likelihoods / likelihoods.sum()
    return law


def _of_pods(k: Array, n: Array, noises: Array) -> Array:
    """Log likelihood of the split between pods by the Dirichlet-multinomial, less that without noise: (windows, edges,
    noises)."""
    events, trials, pods = k.sum(axis=1), n.sum(axis=1), (n > 0).sum(axis=1)
    share = np.where(n > 0, n / np.maximum(trials, 1.0)[:, None], 1.0)
    logs = np.zeros((*events.shape, len(noises)))
    plain = (k * np.log(share)).sum(axis=1)
    told = (pods > 1) & (events > 0)
    for place, cv in enumerate(noises):
        if cv > 0:
            whole = np.maximum(pods, 1) / cv**2
            each = whole[:, None] * share
            split = np.where(n > 0, gammaln(k + each) - gammaln(each), 0.0).sum(axis=1)
            logs[..., place] = np.where(told, gammaln(whole) - gammaln(whole + events) + split - plain, 0.0)
    return logs
