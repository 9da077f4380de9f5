"""Whether the split that happened is the one that was asked for: if not, the two arms did not get the same requests.

Fabijan et al., "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments" (KDD 2019); the sequential form
after Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022), with a band of shares in
place of one, for no router is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.criteria import against, reaches, share
from plimsoll.core.statistics.sample_ratio import log_uneven
from plimsoll.core.statistics.tables import starts_of, step_start
from plimsoll.core.statistics.wealth import Array, restarted_evenly
from plimsoll.facts import Window

#: A split that was right in so many windows is right again.
_RECENT = 6


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Requests that were given to the candidate, `k` of `n` (rows,); `asked` is its share, accepted from `low` to
    `high`; `log_e` (rows,) is held against 1/`alpha`."""

    k: Array
    n: Array
    asked: Array
    band: tuple[Array, Array]
    log_e: Array
    starts: NDArray[np.int64]
    alpha: float

    name = "sample ratio"

    def found(self, row: int) -> bool:
        """Whether there was evidence within this step that the split is another one, and the last windows are so."""
        step = self._step(row)
        first = max(step, row + 1 - _RECENT)
        given, all_ = self.k[first : row + 1].sum(), self.n[first : row + 1].sum()
        low, high = (float(end[row]) for end in self.band)
        chance = 2 * np.sqrt(all_ * low * (1 - low)), 2 * np.sqrt(all_ * high * (1 - high))
        shown = reaches(self.log_e[step : row + 1], self.alpha).any()
        return bool(shown) and not low * all_ - chance[0] <= given <= high * all_ + chance[1]

    def describe(self, row: int) -> str:
        """What was asked, and what happened."""
        rows = slice(self._step(row), row + 1)
        given = share(int(self.k[rows].sum()), int(self.n[rows].sum()), " requests")
        evidence = against(self.log_e[rows].max(), self.alpha)
        return f"{self.name} mismatch: the candidate was given {given}, not {self.asked[row]:.0%} as asked; {evidence}"

    def _step(self, row: int) -> int:
        return step_start(self.starts, row)


def sample_ratio(windows: Sequence[Window], tolerance: float, alpha: float) -> SampleRatio:
    """The criterion of at least one window; accepted is `tolerance` of the smaller arm's share, either way."""
    k = np.array([window.candidate.requests + window.turned_away[1] for window in windows], dtype=np.float64)
    others = np.array([window.stable.requests + window.turned_away[0] for window in windows], dtype=np.float64)
    asked = np.array([window.weight for window in windows]) / 100
    width = tolerance * np.minimum(asked, 1 - asked)
    band = asked - width, asked + width
    logs, starts = log_uneven(k, k + others, *band), starts_of(windows)
    return SampleRatio(k, k + others, asked, band, restarted_evenly(logs, starts), starts, alpha)
