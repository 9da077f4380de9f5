"""How often a shadow's answer differs from the one that the user got: against a bound, for nobody knows who is right.

Where requests are mirrored nobody learns which of the two was right, so that the sequential McNemar test of `mcnemar`
has nothing to count: it needs labels of both answers to one request.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plimsoll.core.statistics.bounded_rate import BELOW_WEIGHTS, log_rate_below
from plimsoll.core.statistics.comparison import Arms
from plimsoll.core.statistics.criteria import Criterion
from plimsoll.core.statistics.measures import PASS_CAP, Noise, Table, above, spells_of, starts_of
from plimsoll.core.statistics.wealth import capped, mixture
from plimsoll.facts import Pairs, Window


def disagreement(windows: Sequence[Window], limit: float, levels: tuple[float, float], noise: Noise) -> Criterion:
    """Pairs of answers that differ: fails above `limit`, passes once shown to be below; `levels` are alpha and beta.

    Of at least one window. Pairs that one side failed to answer are errors, and counted as such.
    """
    pairs = [window.pairs or Pairs() for window in windows]
    k = np.array([[one.differed] for one in pairs], dtype=np.float64)
    n = np.array([[one.differed + one.matched] for one in pairs], dtype=np.float64)
    cv, none = np.full_like(k, noise.cv_floor), np.zeros_like(k)
    pods = np.zeros((len(windows), 0, k.shape[1]))
    starts, spells = starts_of(windows), spells_of(windows, noise.seconds)
    data = Table(Arms(k, n, none, none), cv, starts, spells, (pods, pods))
    return Criterion(
        name="shadow disagreement",
        data=data,
        units=(" pairs",),
        margin=None,
        tolerance=limit,
        negligible=limit,
        alpha=levels[0],
        beta=levels[1],
        against_health=above(data, limit),
        matters=np.ones(len(windows), dtype=np.bool_),
        against_harm=mixture(capped(log_rate_below(k, n, limit, cv), PASS_CAP), BELOW_WEIGHTS),
    )
