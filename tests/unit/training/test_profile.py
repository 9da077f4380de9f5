"""Reference bins."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from plimsoll_training.profile import BINS, bins_of, grid_bins, sample_of, value_counts

from tests.unit.training.laws import law

finite = st.floats(-1e6, 1e6, width=32)


arrays = stn.arrays(np.float32, st.integers(1, 200), elements=finite)


@law
@given(arrays, st.sampled_from([bins_of, grid_bins]))
def test_bins_count_every_value_between_increasing_edges(
    values: np.ndarray, binned: Callable[[np.ndarray], dict[str, Any]]
) -> None:
    bins = binned(values)
    assert len(bins["counts"]) == len(bins["edges"]) + 1 <= BINS
    assert sum(bins["counts"]) == len(values)
    assert all(low < high for low, high in zip(bins["edges"], bins["edges"][1:], strict=False))
    inside = [(values <= edge).sum() for edge in bins["edges"]]
    assert np.cumsum(bins["counts"])[:-1].tolist() == inside
    assert bins["range"] == [values.min(), values.max()]
    assert bins["range"][0] <= min(bins["edges"]) <= max(bins["edges"]) <= bins["range"][1]


@law
@given(st.tuples(*[st.tuples(st.floats(-100, 100), st.floats(0.01, 1000))] * 2))
def test_grids_of_two_versions_meet_where_both_reach(ends: tuple[tuple[float, float], ...]) -> None:
    grids = [grid_bins(np.linspace(low, low + width, 500))["edges"] for low, width in ends]
    fine, coarse = sorted(grids, key=lambda edges: np.min(np.diff(edges), initial=np.inf))
    reached = [edge for edge in coarse if fine[0] <= edge <= fine[-1]]
    assert set(reached) <= set(fine)
    assert all(3 <= len(edges) <= BINS - 1 for edges in grids)


def test_predictions_of_a_retrained_version_fall_into_the_bins_of_the_one_before() -> None:
    rng = np.random.default_rng(3)
    old, new = (grid_bins(rng.normal(150 + shift, 60, 400))["edges"] for shift in (0, 4))
    assert len(set(old) & set(new)) >= 4
    assert not set(bins_of(rng.normal(150, 60, 400))["edges"]) & set(bins_of(rng.normal(154, 60, 400))["edges"])


def test_a_constant_prediction_is_an_edge_of_its_own() -> None:
    assert grid_bins(np.full(5, 0.3))["edges"] == [0.3]
    assert grid_bins(np.array([np.nan])) == {"edges": [], "counts": [0]}


def test_values_spread_evenly_fill_ten_bins_evenly() -> None:
    assert bins_of(np.arange(1000.0))["counts"] == [100] * 10


def test_a_constant_has_a_bin_for_what_comes_above_it() -> None:
    assert bins_of(np.zeros(5)) == {"edges": [0.0], "counts": [5, 0], "range": [0.0, 0.0]}


def test_missing_numbers_are_not_counted() -> None:
    bins = bins_of(np.array([1.0, np.nan, 2.0, np.inf]))
    assert (sum(bins["counts"]), bins["range"]) == (2, [1.0, 2.0])
    assert bins_of(np.array([np.nan])) == {"edges": [], "counts": [0]}


def test_values_are_counted_the_most_frequent_first_and_the_rest_together() -> None:
    assert value_counts(np.array(["b", "a", "b"])) == {"values": ["b", "a"], "counts": [2, 1, 0]}
    many = value_counts(np.arange(25))
    assert (len(many["values"]), many["counts"]) == (10, [1] * 10 + [15])


def test_a_sample_is_the_first_rows_without_missing_numbers() -> None:
    feeds = {"x": np.array([[1.0], [np.nan], [3.0]]), "site": np.array([["a"], ["b"], ["c"]], dtype=object)}
    assert sample_of(feeds) == [{"x": [1.0], "site": ["a"]}, {"x": [3.0], "site": ["c"]}]
    assert len(sample_of({"input": np.zeros((50, 3))})) == 8
