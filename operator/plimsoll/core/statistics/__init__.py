"""Sequential tests of two arms by their counts, as e-processes. Pure numpy and scipy.special: no I/O, no clock, no
randomness.

An e-process is a nonnegative process E that starts at 1 and whose expectation under the null is at most 1 at every
stopping time; by Ville's inequality P(sup E ≥ 1/α) ≤ α, so it may be looked at after every window. Products over
windows, averages with fixed weights under any dependence, and discarding wealth all give e-processes again.
Everything is in log space: 0 says "no information". Arrays are (windows, edges), alternatives last.

Nothing in here knows Kubernetes; only `measures` and `policy` know windows, and they build on the rest.
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
