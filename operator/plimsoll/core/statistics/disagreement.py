"""How often a shadow's answer differs from the one that the user got: against a bound, for nobody knows who is right.

Where requests are mirrored nobody learns which of the two was right, so that the sequential McNemar test of `mcnemar`
has nothing to count: it needs labels of both answers to one request. What is left is one share against a bound:
`bounded_rate` (Robbins, Ann. Math. Statist. 1970; Lindon & Malek, NeurIPS 2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plimsoll.core.statistics.bounded_rate import BELOW_WEIGHTS, log_rate_below
from plimsoll.core.statistics.criteria import Criterion
from plimsoll.core.statistics.measures import PASS_CAP, above
from plimsoll.core.statistics.tables import Noise, Table, starts_of
from plimsoll.core.statistics.wealth import average, capped, mixture
from plimsoll.facts import Pairs, Window


def disagreement(windows: Sequence[Window], limit: float, levels: tuple[float, float], noise: Noise) -> Criterion:
    """Pairs of answers that differ: fails above `limit`, passes once shown to be below; `levels` are alpha and beta.

    Of at least one window. Pairs that one side failed to answer are errors, and counted as such.
    """
    pairs = [window.pairs or Pairs() for window in windows]
    k = np.array([[one.differed] for one in pairs], dtype=np.float64)
    n = np.array([[one.differed + one.matched] for one in pairs], dtype=np.float64)
    cv, none = np.full_like(k, noise.cv_floor), np.zeros_like(k)
    counts = np.stack([k, n, none, none], axis=1)
    data = Table(counts, cv, starts_of(windows))
    against_health = above(data, limit)
    return Criterion(
        name="shadow disagreement",
        totals=data.totals,
        units=(" pairs",),
        margin=None,
        tolerance=limit,
        negligible=limit,
        alpha=levels[0],
        beta=levels[1],
        against_health=against_health,
        failing=average(against_health),
        against_harm=mixture(capped(log_rate_below(k, n, limit, cv), PASS_CAP), BELOW_WEIGHTS),
    )
