"""Compares two answers to one request, output by output and row by row. Pure."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.shadow.answers import Answer, Output

# The squares of larger differences are no finite numbers, and one would spoil the sum for good.
FARTHEST = 1e100
FEW = 64
FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})


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
        above, below, level, not_finite: one float a row: rows in which the candidate is above, or below, by more than
            the tolerance, or agrees with the stable, or does not without there being a finite distance.
        excess, shortfall: sums of the differences upwards and downwards of all these rows; both at least 0.
        squared: sum of their squares.
    """

    rows: int
    different: int
    gained: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    above: int = 0
    below: int = 0
    level: int = 0
    not_finite: int = 0
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
    return candidate.datatype == stable.datatype and candidate.shape == stable.shape


def _difference(stable: Output, candidate: Output | None, tolerance: Tolerance) -> Difference:
    rows = stable.shape[0] if stable.shape else 1
    if candidate is None or not _same_form(stable, candidate):
        return Difference(rows, rows)
    ours, theirs = stable.values, candidate.values
    if rows == 0:
        return Difference(0, 0)
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) <= FEW:
        return few(ours, theirs, rows, stable.datatype in FLOATS, tolerance)
    return many(stable.array(), candidate.array(), rows, tolerance)


def few(ours: list[Any], theirs: list[Any], rows: int, floats: bool, tolerance: Tolerance) -> Difference:
    """The difference of a few values; says the same as `many`, whose arrays would cost more than the comparison."""
    width = len(ours) // rows
    if floats:
        bad = [i for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)) if not _near(mine, other, tolerance)]
    else:
        bad = [i for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)) if mine != other]
    difference = Difference(rows, len({i // width for i in bad}) if bad else 0)
    if width != 1:
        return difference
    if floats:
        _note_distances(difference, [other - mine for mine, other in zip(ours, theirs, strict=True)], bad)
    else:
        _note_classes(difference, [(ours[i], theirs[i]) for i in bad])
    return difference


def _near(ours: float, theirs: float, tolerance: Tolerance) -> bool:
    if ours == theirs or (ours != ours and theirs != theirs):
        return True
    return abs(theirs - ours) <= tolerance.absolute + tolerance.relative * abs(ours) < math.inf


def many(ours: NDArray[Any], theirs: NDArray[Any], rows: int, tolerance: Tolerance) -> Difference:
    """The difference of flat arrays of as many values."""
    if ours.dtype.kind != "f":
        equal = np.asarray(ours == theirs)
        difference = Difference(rows, rows - int(equal.reshape(rows, -1).all(axis=1).sum()))
        if ours.size == rows and difference.different:
            bad = np.flatnonzero(~equal)
            _note_classes(difference, list(zip(ours[bad].tolist(), theirs[bad].tolist(), strict=True)))
        return difference
    mine, other = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        distance = other - mine
        bound = tolerance.absolute + tolerance.relative * np.abs(mine)
        equal = (np.abs(distance) <= bound) & (bound < math.inf)
    equal |= (mine == other) | (np.isnan(mine) & np.isnan(other))
    difference = Difference(rows, rows - int(equal.reshape(rows, -1).all(axis=1).sum()))
    if ours.size == rows:
        _note_distances(difference, distance.tolist(), np.flatnonzero(~equal).tolist())
    return difference


def _note_classes(difference: Difference, pairs: list[tuple[Any, Any]]) -> None:
    for mine, other in pairs:
        difference.lost[str(mine)] = difference.lost.get(str(mine), 0) + 1
        difference.gained[str(other)] = difference.gained.get(str(other), 0) + 1


def _note_distances(difference: Difference, distances: list[float], bad: list[int]) -> None:
    """`bad` are the rows that do not agree."""
    if not any(distances):
        difference.level = len(distances)
        return
    finite = [distance for distance in distances if -FARTHEST < distance < FARTHEST]  # false for NaN, too
    difference.above = sum(0 < distances[row] < FARTHEST for row in bad)
    difference.below = sum(-FARTHEST < distances[row] < 0 for row in bad)
    difference.not_finite = len(bad) - difference.above - difference.below
    difference.level = len(distances) - len(bad)
    difference.excess = math.fsum([distance for distance in finite if distance > 0])
    difference.shortfall = -math.fsum([distance for distance in finite if distance < 0])
    difference.squared = math.fsum([distance * distance for distance in finite])
