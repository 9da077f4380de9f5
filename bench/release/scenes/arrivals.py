"""When the labels of requests come."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.release.scenes.catalogue import AGE_SECONDS, LABELLED

Array = NDArray[np.float64]


class Arrivals:
    """Labels of one arm, `runs` side by side, in turns of `seconds`. `before`: requests a turn in the hours before."""

    def __init__(self, runs: int, seconds: float, before: float = 0.0) -> None:
        parts = zip(AGE_SECONDS, LABELLED, strict=True)
        self.kernels = [_kernel(low, high, seconds, part) for (low, high), part in parts]
        self.requests = [np.full(runs, before)] * max(map(len, self.kernels))

    def turn(self, requests: Array) -> Array:
        """Labels to be expected in this turn, (ages, runs), with `requests` (runs,) answered in it."""
        self.requests.append(requests)
        return np.stack([kernel @ np.stack(self.requests[: -len(kernel) - 1 : -1]) for kernel in self.kernels])

    def forget(self, turns: int) -> None:
        """The last turns did not come to pass."""
        del self.requests[len(self.requests) - turns :]


def _kernel(low: float, high: float, seconds: float, part: float) -> Array:
    """Labels for each request of so many turns ago. A label comes in the turn in which its age is over."""
    turns = np.arange(int(np.ceil(high / seconds)) + 1) * seconds
    overlap = np.minimum(turns + seconds, high) - np.maximum(turns, low)
    found: Array = part * np.maximum(overlap, 0.0) / (high - low)
    return found
