"""Counters of bins over whole arrays: numbers by edges, text and classes by values, others by being finite or not."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.counting.reference import Entry, value_label

Series = tuple[str, str, int]
INFINITE = "infinite"
OTHER = "other"


class Bins(Protocol):
    """Counts rows of one tensor. Not safe from several threads."""

    def add(self, values: NDArray[Any]) -> None:
        """Count rows: an array ``[rows, …]`` of the tensor."""
        ...

    def series(self) -> Iterator[Series]:
        """``(entry, bin, count)`` of every bin, zeros included."""
        ...


class NumberBins:
    """Several numeric columns of one tensor ``[rows, width]``, counted in one sweep.

    Each value gets the number of thresholds that it has passed: the low end of the range, the edges, the high end. One
    comparison for each threshold over the whole table is several times faster than a search for each value. A column
    with fewer edges than another has infinite ones besides, which no finite value passes.

    Args:
        missing: the bin of NaN.
    """

    def __init__(self, entries: Sequence[Entry], columns: Sequence[int], missing: str) -> None:
        self._entries = tuple(entries)
        self._missing = missing
        self._columns = None if list(columns) == list(range(len(columns))) else list(columns)
        self._depth = max(len(entry.edges or ()) for entry in entries)
        self._thresholds = _thresholds(entries, self._depth)
        self._narrow = _narrowed(self._thresholds)
        self._width = self._depth + 5
        self._offsets = np.arange(len(entries)) * self._width
        self._counts = np.zeros(len(entries) * self._width, dtype=np.int64)

    def add(self, values: NDArray[Any]) -> None:
        table = values.reshape(len(values), -1)
        table = table[:, : len(self._entries)] if self._columns is None else table[:, self._columns]
        if table.dtype != np.float32 or self._narrow is None:
            passed = self._passed(table.astype(np.float64), self._thresholds)
        else:
            passed = self._passed(table, self._narrow)
        self._counts += np.bincount((passed + self._offsets).reshape(-1), minlength=len(self._counts))

    def _passed(self, table: NDArray[Any], thresholds: NDArray[Any]) -> NDArray[np.uint8]:
        over = np.empty(table.shape, dtype=bool)
        passed: NDArray[np.uint8] = np.greater_equal(table, thresholds[0]).view(np.uint8)
        for threshold in thresholds[1:]:
            np.greater(table, threshold, out=over)
            passed += over.view(np.uint8)
        if not np.isfinite(table).all():
            passed[np.isinf(table)] = self._depth + 3
            passed[np.isnan(table)] = self._depth + 4
        return passed

    def series(self) -> Iterator[Series]:
        for entry, counts in zip(self._entries, self._counts.reshape(-1, self._width).tolist(), strict=True):
            edges = entry.edges or ()
            inside = [*(f"le:{edge!r}" for edge in edges), "le:+Inf"]
            yield from zip([entry.name] * len(inside), inside, counts[1:], strict=False)
            if entry.has_range:
                yield entry.name, "below_range", counts[0]
                yield entry.name, "above_range", counts[len(edges) + 2]
            yield entry.name, INFINITE, counts[-2]
            yield entry.name, self._missing, counts[-1]


def _thresholds(entries: Sequence[Entry], depth: int) -> NDArray[np.float64]:
    """``[depth + 2, entries]``: low ends, edges, high ends."""
    columns = [
        [entry.low, *(entry.edges or ()), *[math.inf] * (depth - len(entry.edges or ())), entry.high]
        for entry in entries
    ]
    return np.array(columns, dtype=np.float64).T.copy()


def _narrowed(thresholds: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """The same as FP32, which is quicker to compare with; None when that would move one of them."""
    with np.errstate(over="ignore"):
        narrow = thresholds.astype(np.float32)
    return narrow if np.array_equal(narrow.astype(np.float64), thresholds) else None


class ValueBins:
    """One column of text, or of whole numbers that stand for classes.

    Args:
        missing: whether empty text has a bin of its own.
    """

    def __init__(self, entry: Entry, column: int, missing: bool) -> None:
        self._entry = entry
        self._column = column
        self._counts = dict.fromkeys([*map(value_label, entry.values or ()), OTHER], 0)
        if missing:
            self._counts["missing"] = 0
        self._labels: dict[Any, str] = {}
        for value in entry.values or ():
            self._labels.setdefault(value, value_label(value))
            if isinstance(value, str):
                self._labels.setdefault(value.encode(), value_label(value))
        if missing:
            self._labels[""] = self._labels[b""] = "missing"

    def add(self, values: NDArray[Any]) -> None:
        found: Iterable[Any] = values.reshape(len(values), -1)[:, self._column].tolist()
        for value, count in Counter(found).items():
            self._counts[self._labels.get(value, OTHER)] += count

    def series(self) -> Iterator[Series]:
        return ((self._entry.name, label, count) for label, count in self._counts.items())


class FiniteBins:
    """Rows of an output without reference: a row with a NaN, a row with an infinity, any other row."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts = {"finite": 0, INFINITE: 0, "nan": 0}

    def add(self, values: NDArray[Any]) -> None:
        finite = np.isfinite(values)
        if finite.all():
            self._counts["finite"] += len(values)
            return
        nan = np.isnan(values.reshape(len(values), -1)).any(axis=1)
        broken = ~finite.reshape(len(values), -1).all(axis=1)
        self._counts["nan"] += int(nan.sum())
        self._counts[INFINITE] += int((broken & ~nan).sum())
        self._counts["finite"] += int((~broken).sum())

    def series(self) -> Iterator[Series]:
        return ((self._name, label, count) for label, count in self._counts.items())


class HighestBins:
    """The highest probability of each row ``[rows, classes]``."""

    def __init__(self, entry: Entry) -> None:
        self._bins = NumberBins([entry], [0], "nan")

    def add(self, values: NDArray[Any]) -> None:
        # Along the rows it is ten times as fast as along a few classes.
        by_class = np.ascontiguousarray(values.reshape(len(values), -1).T)
        self._bins.add(by_class.max(axis=0))

    def series(self) -> Iterator[Series]:
        return self._bins.series()
