"""Bins equal a slow reference that looks at each value by itself."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from numpy.typing import NDArray
from plimsoll_serving.counting.bins import Bins, FiniteBins, HighestBins, NumberBins, ValueBins
from plimsoll_serving.counting.reference import Entry

law = settings(deadline=None, derandomize=True, max_examples=150)
narrow = st.floats(width=32)
edge = st.floats(-100, 100, width=32) | st.floats(-1e300, 1e300)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    edges = sorted(draw(st.sets(edge, max_size=9)))
    if draw(st.booleans()):
        return Entry("x", 0, edges=tuple(edges))
    low = draw(st.floats(-1e6, 1e6)) if not edges else edges[0] - draw(st.floats(0, 10))
    high = (edges[-1] if edges else low) + draw(st.floats(0, 10))
    return Entry("x", 0, edges=tuple(edges), low=low, high=high)


def counted(bins: Bins) -> Counter[str]:
    found: Counter[str] = Counter()
    for _, label, count in bins.series():
        assert label not in found
        found[label] = count
    return found


def slow(entry: Entry, values: NDArray[Any], missing: str = "missing") -> Counter[str]:
    expected: Counter[str] = Counter()
    for value in map(float, values.reshape(-1)):
        if math.isnan(value):
            expected[missing] += 1
        elif math.isinf(value):
            expected["infinite"] += 1
        elif value < entry.low:
            expected["below_range"] += 1
        elif value > entry.high:
            expected["above_range"] += 1
        else:
            upper = next((edge for edge in entry.edges or () if value <= edge), None)
            expected["le:+Inf" if upper is None else f"le:{upper!r}"] += 1
    return expected


@law
@given(st.data(), st.lists(entries(), min_size=1, max_size=5), st.sampled_from([np.float32, np.float64, np.float16]))
def test_numbers_fall_in_the_bins_of_their_column(data: st.DataObject, given: list[Entry], dtype: Any) -> None:
    shape = (data.draw(st.integers(1, 30)), len(given) + data.draw(st.integers(0, 2)))
    known = [edge for entry in given for edge in (*(entry.edges or ()), entry.low, entry.high)]
    with np.errstate(over="ignore"):
        elements = st.sampled_from([*np.array(known, dtype), dtype(math.nan)]) | stn.from_dtype(np.dtype(dtype))
        table = data.draw(stn.arrays(dtype, shape, elements=elements))
    columns = data.draw(st.permutations(range(shape[1])))[: len(given)]
    named = [Entry(f"x{i}", 0, one.edges, None, one.low, one.high) for i, one in enumerate(given)]
    bins = NumberBins(named, columns, "missing")
    bins.add(table)
    bins.add(table[:1])
    for entry, column in zip(named, columns, strict=True):
        found = Counter({label: count for name, label, count in bins.series() if name == entry.name})
        assert +found == slow(entry, np.concatenate([table[:, column], table[:1, column]]))


@law
@given(entries(), stn.arrays(np.int64, st.integers(1, 30), elements=st.integers(-200, 200)))
def test_whole_numbers_are_binned_as_numbers(entry: Entry, values: NDArray[Any]) -> None:
    bins = NumberBins([entry], [0], "missing")
    bins.add(values)
    assert +counted(bins) == slow(entry, values)


@law
@given(entries(), stn.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 5)), elements=narrow))
def test_probabilities_are_binned_by_the_highest_of_a_row(entry: Entry, table: NDArray[Any]) -> None:
    bins = HighestBins(entry)
    bins.add(table)
    assert +counted(bins) == slow(entry, np.array([row.max() for row in table]), "nan")


@law
@given(
    st.lists(st.text(max_size=3), max_size=10, unique=True),
    st.lists(st.text(max_size=3) | st.sampled_from(["", "other", "missing"]), min_size=1, max_size=30),
    st.booleans(),
)
def test_text_falls_in_the_bin_of_its_value_or_in_other(known: list[str], given: list[str], encoded: bool) -> None:
    bins = ValueBins(Entry("site", 0, values=tuple(known)), 0, missing=True)
    column = [text.encode("utf-8", "replace") for text in given] if encoded else given
    bins.add(np.array(column, dtype=object).reshape(-1, 1))
    expected = Counter("missing" if not text else f"value:{text}" if text in known else "other" for text in given)
    assert +counted(bins) == expected


@law
@given(stn.arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 12)))
def test_classes_fall_in_the_bin_of_their_value(labels: NDArray[Any]) -> None:
    bins = ValueBins(Entry("label", 0, values=(3, 1, 2)), 0, missing=False)
    bins.add(labels)
    expected = Counter(f"value:{label}" if label in (1, 2, 3) else "other" for label in labels.tolist())
    assert +counted(bins) == expected
    assert set(counted(bins)) == {"value:3", "value:1", "value:2", "other"}


@law
@given(stn.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=narrow))
def test_a_row_without_reference_is_finite_infinite_or_nan(table: NDArray[Any]) -> None:
    bins = FiniteBins("score")
    bins.add(table)
    kinds = ("nan" if np.isnan(row).any() else "infinite" if np.isinf(row).any() else "finite" for row in table)
    assert +counted(bins) == Counter(kinds)


def test_a_long_value_is_cut_in_its_label() -> None:
    bins = ValueBins(Entry("site", 0, values=("x" * 500,)), 0, missing=True)
    bins.add(np.array([["x" * 500], ["x" * 499]], dtype=object))
    assert counted(bins) == {"value:" + "x" * 64: 1, "other": 1, "missing": 0}
