"""Whether inputs in bins differ: those of one arm from another's, or from what a version was judged by.

It describes, and decides nothing: it says what a shift of predictions may come from. So a test at one moment does, with
a level so small that looking again and again seldom finds what is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from plimsoll.core.statistics.bins import enough, population_stability_index
from plimsoll.facts import OutputBins

#: Population stability index from which a feature is said to differ: a moderate shift.
LEAST_PSI = 0.1
#: Chance that any feature is said to differ where none does, at one look.
ALPHA = 1e-4


@dataclass(frozen=True, slots=True)
class FeatureShift:
    """How far a feature differs, the bin that differs most, and the shares of that bin here and there."""

    name: str
    psi: float
    bin: str
    here: float
    there: float


@dataclass(frozen=True, slots=True)
class InputShift:
    """`told` is how many features have enough rows to tell; `shifts` those that differ, the worst first."""

    told: int
    shifts: tuple[FeatureShift, ...] = ()


def input_shift(features: Sequence[OutputBins], least: float = LEAST_PSI) -> InputShift:
    """The features, `candidate` being here and `stable` there, whose bias-corrected PSI is at least `least` and no
    chance: (1/n + 1/m)·χ²(B−1) is what it would be of like inputs (Yurdakul & Naranjo 2020, see `bins`), held against
    ALPHA over the number of features. Features without any two bins in common tell nothing."""
    told = [one for one in features if _told_apart(one) and enough(*_arms(one))]
    found = [shift for one in told if (shift := _shift(one, least, ALPHA / len(told))) is not None]
    return InputShift(len(told), tuple(sorted(found, key=lambda shift: -shift.psi)))


def _arms(feature: OutputBins) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    return tuple(np.array(arm, dtype=np.float64) for arm in (feature.candidate, feature.stable))


def _told_apart(feature: OutputBins) -> bool:
    """`missing` alone is a difference, `finite` alone is none."""
    return len(feature.bins) > 1


def _shift(feature: OutputBins, least: float, alpha: float) -> FeatureShift | None:
    here, there = _arms(feature)
    psi = population_stability_index(here, there)
    freedom = int(((here + there) > 0).sum()) - 1
    noise = 1 / here.sum() + 1 / there.sum()
    if freedom < 1 or psi < least or psi + freedom * noise < noise * float(chi2.isf(alpha, freedom)):
        return None
    shares = here / here.sum(), there / there.sum()
    differs = [float(one) for one in shares[0] - shares[1]]
    # Two bins differ by as much as each other: then the one that is more frequent here is named.
    most = max(range(len(differs)), key=lambda at: (round(abs(differs[at]), 9), differs[at]))
    return FeatureShift(feature.name, psi, feature.bins[most], float(shares[0][most]), float(shares[1][most]))
