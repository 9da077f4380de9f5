"""Shifts of a histogram between two arms: predictions or features in bins, with "missing" and "out of range" as bins.

Both arms see the same traffic, so a shift of the inputs moves both alike and is no evidence here: given what both
arms put into a bin, the candidate's part of it is all that counts.
"""

from __future__ import annotations

from math import nan

import numpy as np

from plimsoll.core.statistics.beta_binomial import concentration, log_likelihood_ratio
from plimsoll.core.statistics.wealth import Array

#: Alternatives: multiples of the odds ratio at the boundary, for each bin and either direction.
SHIFTS = np.array([1.25, 2.0, 5.0])
_LAWS = np.array([1.0, *SHIFTS])
#: So many predictions of either arm for each degree of freedom, or the index says nothing.
MIN_PER_BIN = 50
#: Least noise of a bin's odds: with less the likelihoods could not be told from the binomial ones in floating point.
MIN_CV = 1e-3


def log_shifted(candidate: Array, stable: Array, cv: Array | float, margin: float = 1.0) -> Array:
    """Log e-values against "no bin's odds differ by more than `margin` between the arms", (windows, alternatives).

    `candidate` and `stable` (windows, bins) count predictions. `cv` (a number, or windows by bins) is the coefficient
    of variation of one arm's share of a bin between windows. There are 2·len(SHIFTS) alternatives for each bin; every
    one is an e-value by itself, so that their running sums may be averaged under any dependence: `wealth.average`, or
    `wealth.restarted` with equal weights. Windows without one of the arms are 0.

    Given the bin's total, the candidate's part under odds ratio `margin` is Fisher's noncentral hypergeometric. It is a
    sum of independent Bernoullis (Harkness, Ann. Math. Statist. 1965), so the binomial of the same mean dominates it in
    the convex order (Hoeffding 1956), and the mean is at most that of the beta-binomial of `log_likelihood_ratio`
    (Lindon & Malek, NeurIPS 2022). Raises ValueError for a margin below 1 or counts of unlike shape.
    """
    if candidate.shape != stable.shape or candidate.ndim != 2:
        raise ValueError(f"candidate is {candidate.shape}, stable {stable.shape}: both must be (windows, bins)")
    if margin < 1:
        raise ValueError(f"margin is {margin}: it must be at least 1, the odds ratio that is accepted either way")
    windows, bins = candidate.shape
    noise = np.broadcast_to(np.asarray(cv, dtype=np.float64), (windows, bins))
    n_c, n_s = (np.broadcast_to(x.sum(axis=1, keepdims=True), x.shape) for x in (candidate, stable))
    told = (n_c > 0) & (n_s > 0) & (candidate + stable > 0)
    logs = np.zeros((windows, bins, 2, len(SHIFTS)))
    total, base = (candidate + stable)[told], n_c[told] / (n_c[told] + n_s[told])
    for way, (k, part) in enumerate(((candidate[told], base), (stable[told], 1 - base))):
        shares = _part(margin * _LAWS, part[:, None])
        null = shares[:, 0]
        s = concentration(2 * (np.maximum(noise[told], MIN_CV) * null * (1 - null)) ** 2, null)
        logs[told, way] = log_likelihood_ratio(k, total, shares, s)
    return logs.reshape(windows, -1)


def _part(odds: Array | float, base: Array) -> Array:
    return odds * base / (odds * base + 1 - base)


def enough(candidate: Array, stable: Array) -> bool:
    """Whether both arms hold at least MIN_PER_BIN·(B−1) predictions, for the index to mean something: what
    chance adds goes with B − 1 and 1/n (Yurdakul & Naranjo 2020); the figure is ours."""
    used = int(((candidate + stable) > 0).sum())
    return bool(min(candidate.sum(), stable.sum()) >= max(1, MIN_PER_BIN * (used - 1)))


def population_stability_index(candidate: Array, stable: Array) -> float:
    """Σ (pᵢ − qᵢ)·ln(pᵢ/qᵢ) of the bins that either arm used (each of shape (bins,)), less what chance adds to it.

    Without any shift the index is (1/n + 1/m)·χ²(B−1) (Yurdakul & Naranjo, "Statistical Properties of the Population
    Stability Index", J. Risk Model Validation 2020): its mean (B−1)(1/n + 1/m) is taken off, so that the figure does
    not depend on how much was seen; without a shift it lies around 0, on either side. Half a count is added to every
    bin, so that an empty one is finite. The usual reading: 0.1 a moderate, 0.25 a large shift. It describes, it is no
    test. NaN, which compares as false, where `enough` does not hold.
    """
    if not enough(candidate, stable):
        return nan
    used = (candidate + stable) > 0
    p, q = ((x[used] + 0.5) / (x[used] + 0.5).sum() for x in (candidate, stable))
    chance = (int(used.sum()) - 1) * (1 / candidate.sum() + 1 / stable.sum())
    return float(((p - q) * np.log(p / q)).sum() - chance)
