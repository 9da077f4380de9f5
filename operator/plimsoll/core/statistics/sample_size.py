"""How much longer it takes: by the drift of the log e-value at counts as they are expected (Wald 1945)."""

from __future__ import annotations

from math import inf

import numpy as np

from plimsoll.core.statistics.wealth import Array, mixture


def windows_until(log_wealth: Array, drift: Array, weights: Array, level: float) -> float:
    """How many more windows like the expected one until the mixture reaches 1/`level`; 0 if it has, inf if it never
    will.

    `log_wealth` is what each alternative has won so far, `drift` what one window adds to it (both (alternatives,)): the
    log e-values of any test here at the counts expected in a window, which need not be whole. The law of large numbers
    behind it: Wald, "Sequential Tests of Statistical Hypotheses" (1945), expected sample number ≈ boundary/drift, here
    for a mixture and without the overshoot. An order of magnitude, no promise: more than half of the releases take
    less, some far more. Raises ValueError for a level outside
    (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: it must be between 0 and 1, as alpha or beta")
    target = -np.log(level)

    def after(windows: float) -> float:
        return float(mixture((log_wealth + windows * drift)[None], weights)[0])

    if after(0.0) >= target:
        return 0.0
    if not np.max(drift) > 0:
        return inf
    low, high = 0.0, 1.0
    while after(high) < target:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if after(middle) < target else (low, middle)
    return high


def requests_until(log_wealth: Array, drift: Array, weights: Array, level: float, requests_per_window: float) -> float:
    """`windows_until` in requests of the candidate at the traffic that the drift was taken at; inf without traffic."""
    windows = windows_until(log_wealth, drift, weights, level)
    if windows == 0:
        return 0.0
    return windows * requests_per_window if requests_per_window > 0 else inf
