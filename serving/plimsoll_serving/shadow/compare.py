"""Compares two answers to one request, output by output and row by row. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.shadow.answers import Answer, Output

# The squares of larger differences are no finite numbers, and one would spoil the sum for good.
FARTHEST = 1e150


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Floats agree when ``|candidate - stable| <= absolute + relative * |stable|``."""

    relative: float = 1e-4
    absolute: float = 1e-6


@dataclass(slots=True)
class Difference:
    """How one output of a pair differs.

    Attributes:
        rows, different: rows of the stable answer, and those that do not agree.
        gained, lost: one class a row (integers, booleans, text): how often the candidate alone, and the stable alone,
            said this class. These are the discordant counts of McNemar's test, class by class.
        above, below, level: one float a row: rows in which the candidate is above, below, or exactly at the stable.
        excess, shortfall: sums of the differences of the rows above, and of those below; both at least 0.
        squared: sum of the squared differences.
    """

    rows: int
    different: int
    gained: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    above: int = 0
    below: int = 0
    level: int = 0
    excess: float = 0.0
    shortfall: float = 0.0
    squared: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two answers agree, and the outputs of the stable answer one by one."""

    match: bool
    outputs: dict[str, Difference]


def compare(stable: Answer, candidate: Answer, tolerance: Tolerance) -> Comparison:
    """Agreement means: the same output names, datatypes and shapes, and values that agree."""
    outputs = {name: _difference(output, candidate.get(name), tolerance) for name, output in stable.items()}
    alike = stable.keys() == candidate.keys() and all(
        difference.different == 0 and _same_form(stable[name], candidate[name]) for name, difference in outputs.items()
    )
    return Comparison(alike, outputs)


def _same_form(stable: Output, candidate: Output) -> bool:
    return candidate.datatype == stable.datatype and candidate.values.shape == stable.values.shape


def _difference(stable: Output, candidate: Output | None, tolerance: Tolerance) -> Difference:
    ours = stable.values
    rows = ours.shape[0] if ours.ndim else 1
    if candidate is None or not _same_form(stable, candidate):
        return Difference(rows, rows)
    theirs = candidate.values
    equal = _equal(ours, theirs, tolerance)
    difference = Difference(rows, rows - int(equal.reshape(rows, -1).all(axis=1).sum()) if rows else 0)
    if rows and ours.size == rows:
        if ours.dtype.kind == "f":
            _note_distance(difference, ours.reshape(-1), theirs.reshape(-1))
        elif difference.different:
            _note_classes(difference, ours.reshape(-1), theirs.reshape(-1))
    return difference


def _equal(ours: NDArray[Any], theirs: NDArray[Any], tolerance: Tolerance) -> NDArray[Any]:
    if ours.dtype.kind != "f":
        return np.asarray(ours == theirs)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.isclose(
            theirs.astype(np.float64),
            ours.astype(np.float64),
            rtol=tolerance.relative,
            atol=tolerance.absolute,
            equal_nan=True,
        )


def _note_classes(difference: Difference, ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    for mine, other in zip(ours.tolist(), theirs.tolist(), strict=True):
        if mine != other:
            difference.lost[str(mine)] += 1
            difference.gained[str(other)] += 1


def _note_distance(difference: Difference, ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    """Rows without a finite distance are different or equal, but neither above nor below."""
    with np.errstate(over="ignore", invalid="ignore"):
        distance = theirs.astype(np.float64) - ours.astype(np.float64)
    distance = distance[np.abs(distance) < FARTHEST]  # false for NaN, too
    above, below = distance[distance > 0], distance[distance < 0]
    difference.above, difference.below = above.size, below.size
    difference.level = distance.size - above.size - below.size
    difference.excess, difference.shortfall = float(above.sum()), -float(below.sum())
    difference.squared = float(np.square(distance).sum())
