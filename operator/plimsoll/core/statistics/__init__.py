"""Sequential tests of two arms by their counts, as e-processes. Pure numpy and scipy.special: no I/O, no clock, no
randomness.

An e-process is a nonnegative process E that starts at 1 and whose expectation under the null is at most 1 at every
stopping time; by Ville's inequality P(sup E ≥ 1/α) ≤ α, so it may be looked at after every window. Products over
windows, averages with fixed weights under any dependence, and discarding wealth all give e-processes again.
Everything is in log space: 0 says "no information". Arrays are (windows, edges), alternatives last.

Tested (tests/unit/statistics; alpha 0.01, 120 seeded attempts of 32 windows of 10 s, 300 requests/s, 2 % errors,
weights 5 to 50, an incident of both arms in every 20th window, three stable pods, gamma noise per pod; the breaker is
aside): healthy releases fail in at most 1 % at cv 0.2 (also at the margin) and cv 0.5; with noise of cv 0.5 that
lasts a minute, in at most 1 % by errors and 3 % by latency; with one stable pod in at most 5 %, and 15 % when the
noise lasts a minute. Twice 5 % errors pass in at most 5 %, six times 2 % fail in at least 95 %. Without errors a
healthy candidate passes within 9, 5 and 3 windows of 50, 100 and 200 requests; 3 % errors against none fail in the
second window of 100, 50 to 100 ms against 1 to 5 in the first.

Seen in simulations of 400 attempts of the same world, healthy releases that failed:

    noise                           3 stable pods   2         1 (nothing can be learned)
    cv 0.5, new in each window      0               –         4.75 %
    cv 0.5, lasting a minute        0.5 %           1.75 %    11.75 %
    cv 1, new in each window        1.5 %           2.5 %     –
    cv 1, lasting a minute          2.75 %          10.5 %    –

Two other series (60 windows) had 1 % and 3.25 % at cv 0.5, a minute, two pods. So alpha is not held under strong noise:
docs/decisions/0006-the-sequential-test.md.

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
