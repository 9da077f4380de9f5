"""The mean of a value that is never negative, and has no upper bound, against a limit: from the mean of each window.

No law is assumed, no variance is estimated, and values of a window may depend on each other: the mean of a window is
itself such a value, and is bet on once. So a window of a thousand values is worth no more than a large one can be, and
one hard hour is no proof. 1 + λ(x/limit − 1) is the bet on a nonnegative x (Waudby-Smith & Ramdas, "Estimating means
of bounded random variables by betting", JRSS B 2024, section 4; it needs no upper bound from this side), mixed over λ
(Robbins, Ann. Math. Statist. 1970).
"""

from __future__ import annotations

import numpy as np

from plimsoll.core.statistics.wealth import Array

#: What is bet, as parts of all there is: little for means that vary much, nearly all for those that hardly do.
BETS = np.array([0.1, 0.3, 0.6, 0.95])
BET_WEIGHTS = np.full(len(BETS), 1 / len(BETS))
#: For the mean to be shown to be below a limit, a window counts at most as so many times the limit.
MOST = 2.0
#: For it to be shown to be above: no single value, however absurd, is proof by itself.
WORST = 10.0


def log_mean_above(means: Array, limit: float) -> Array:
    """Log e-values against "the mean of each window is expected to be at most `limit`", means.shape + (4,).

    Exact whatever the law: E[1 + λ(x/limit − 1)] ≤ 1, and less where what is above WORST × `limit` counts as that much.
    """
    logs: Array = np.log1p((np.minimum(means[..., None] / limit, WORST) - 1) * BETS)
    return logs


def log_mean_below(means: Array, limit: float) -> Array:
    """Log e-values against "… at least `limit`", where what is above MOST × `limit` counts as that much.

    Without such a cap nothing can be shown: a mean may lie in values that are too rare to have been seen (Bahadur &
    Savage, Ann. Math. Statist. 1956).
    """
    logs: Array = np.log1p((1 - np.minimum(means[..., None] / limit, MOST)) * BETS)
    return logs
