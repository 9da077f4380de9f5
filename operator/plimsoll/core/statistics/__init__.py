"""Sequential tests of two arms by their counts, as e-processes. Pure numpy and scipy.special: no I/O, no clock, no
randomness.

An e-process is a nonnegative process E that starts at 1 and whose expectation under the null is at most 1 at every
stopping time; by Ville's inequality P(sup E ≥ 1/α) ≤ α, so it may be looked at after every window. Products over
windows, averages with fixed weights under any dependence, and discarding wealth all give e-processes again.
Everything is in log space: 0 says "no information". Arrays are (windows, edges), alternatives last.

The modules, each usable by itself, with its source in its docstrings:

    beta_binomial   the likelihood ratio that count tests are made of
    bounded_rate    one rate against a bound
    bounded_mean    the mean of what is never negative against a bound
    comparison      two arms by counts: worse than, or not worse than, a margin and a tolerance; known noise
    learned_noise   the same while the noise is unknown: what Fail rests on
    apart           a candidate that often does what the stable version hardly ever does
    dispersion      how noisy like pods are
    bins            shifts of histograms; the population stability index without its bias
    mcnemar         two models on the same requests
    means           differences of means: bounded values exactly, unbounded ones asymptotically
    labels          right and wrong answers, as labels of equal age tell
    disagreement    how often two answers to one request differ, against a bound
    signed_difference   whether they differ to one side, against a bound
    intervals       intervals of a difference that hold at every look
    sample_ratio    whether the split is the one that was asked for
    sample_size     how much longer it takes
    wealth          e-values put together: mixtures, averages under any dependence, restarts, caps
    allotment       alpha shared out over the attempts of a revision

Most give the log e-value of each window and alternative; sum over windows, then mix over alternatives:

    >>> import numpy as np
    >>> from plimsoll.core.statistics import mcnemar, mixture
    >>> wrong, right = np.array([9.0, 14.0, 11.0]), np.array([2.0, 3.0, 4.0])
    >>> logs = mcnemar.log_worse(wrong, right, margin=1.0)  # (windows, alternatives)
    >>> np.exp(mixture(np.cumsum(logs, axis=0), mcnemar.WORSE_WEIGHTS)).round(1).tolist()
    [5.2, 139.9, 496.9]

Alpha 0.01 is reached at 100. Error rates as simulated, and the cost of noise: decision 0006 (docs/decisions).

A verdict uses them but for `mcnemar`, `intervals` and `sample_size`, which are for whoever takes this package alone.

What runs over time is kept so that the next window costs one window (`LearnedNoise`, `Dispersion`, `Capped`, and
`Measured` of all that the pods count); however the windows are dealt out, the evidence is the same.

Nothing in here knows Kubernetes; only `tables`, `measures`, `measured`, `labels`, `disagreement`,
`signed_difference`, `shift`, `split`, `inputs`, `external` and `policy` know windows, and they build on the rest.
"""

from __future__ import annotations

from plimsoll.core.statistics.beta_binomial import concentration, log_likelihood_ratio
from plimsoll.core.statistics.bounded_rate import log_rate_above, log_rate_below
from plimsoll.core.statistics.comparison import Arms, log_not_worse, log_worse, wilson
from plimsoll.core.statistics.dispersion import coefficient_of_variation
from plimsoll.core.statistics.wealth import Array, average, capped, increments, mixture, restarted

__all__ = [
    "Arms",
    "Array",
    "average",
    "capped",
    "coefficient_of_variation",
    "concentration",
    "increments",
    "log_likelihood_ratio",
    "log_not_worse",
    "log_rate_above",
    "log_rate_below",
    "log_worse",
    "mixture",
    "restarted",
    "wilson",
]
