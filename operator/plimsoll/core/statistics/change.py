"""Noticing that a rate got worse long after it was well: detectors that forget a healthy past.

An e-process against "the rate is at most the limit" loses capital while all is well and would need long to win it back.
The e-detector M ← max(M, 1)·e is worth at least what a bet that began at the last low is worth. It is an e-detector
(Shin, Ramdas & Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", NEJSDS 2023): while
the rate is within the limit, the expected number of windows until it reaches A is at least A. Averages with fixed
weights are e-detectors too.
"""

from __future__ import annotations

import numpy as np

from plimsoll.core.statistics.wealth import Array

#: Windows between two false alarms, on average and at least, of a rate that lies at its limit all the time.
RUN_LENGTH = 1e6


def grown(log_wealth: Array, log_factors: Array) -> Array:
    """Log wealth of each alternative after a window with these log e-values; same shape, 0 to begin with."""
    moved: Array = np.maximum(log_wealth, 0.0) + log_factors
    return moved
