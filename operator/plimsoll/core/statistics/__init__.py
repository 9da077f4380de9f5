"""Sequential tests of two arms by their counts, as e-processes. Pure numpy and scipy.special: no I/O, no clock, no
randomness.

An e-process is a nonnegative process E that starts at 1 and whose expectation under the null is at most 1 at every
stopping time; by Ville's inequality P(sup E ≥ 1/α) ≤ α, so it may be looked at after every window. Products over
windows, averages with fixed weights under any dependence, and discarding wealth all give e-processes again.
Everything is in log space: 0 says "no information". Arrays are (windows, edges), alternatives last.

What the tests do (seeded, alpha 0.01, 60 windows of 10 s, 300 requests/s, 2 % errors, weights 5 to 50, an incident of
both arms in every 20th window, three stable pods and one candidate, noise per pod, 400 attempts; the breaker is aside):

    noise                                      healthy releases that failed
    cv 0.2, ratio 1 or at the margin           0
    cv 0.5, new in each window                 0
    cv 0.5, lasting a minute                   0.5 % (two stable pods: 3 %, all of it latency)
    cv 0.5, one stable pod (cannot be learned) 3.5 %

Windows of 5 s until the decision, median of 20 (candidate's requests/s; weight 10 at 10 and 20, else 50):

    candidate                      10/s  20/s  50/s  100/s  200/s
    healthy, no errors                8     4     2      1      1  Pass
    healthy, 2 % errors in both      49    22    23     10      7  Pass
    healthy, answers in 20 ms        10     5     4      2      2  Pass
    3 % errors against none           4     1     3      2      1  Fail
    3 % errors against 0.5 %         26    18    50     17     24  Fail
    50 to 100 ms against 1 to 5       1     1     1      1      1  Fail

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
