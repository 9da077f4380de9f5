"""Laws of the splits: disjoint and complete by construction (a mask), deterministic, and true to their column."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_training.errors import UserError
from plimsoll_training.run import Split
from plimsoll_training.splits import evaluation_rows

from tests.unit.training.laws import law

fractions = st.floats(0.05, 0.95)
seeds = st.integers(0, 2**32 - 1)


def table(values: list[str], name: str = "when") -> pd.DataFrame:
    return pd.DataFrame({name: values, "target": "1"}, dtype=object)


def asked(by: str, fraction: float, seed: int = 0, column: str | None = "when") -> Split:
    return Split.model_validate({"by": by, "fraction": fraction, "seed": seed, "column": column})


@law
@given(st.integers(2, 400), fractions, seeds)
def test_a_random_split_takes_its_fraction_rounded_up_and_always_the_same(
    rows: int, fraction: float, seed: int
) -> None:
    frame, split = table([str(n) for n in range(rows)]), asked("Random", fraction, seed, None)
    wanted = math.ceil(rows * fraction)
    if wanted == rows:
        with pytest.raises(UserError, match="no training rows are left"):
            evaluation_rows(frame, split)
        return
    mask = evaluation_rows(frame, split)
    assert mask.sum() == wanted
    assert (mask == evaluation_rows(frame.copy(), split)).all()


@law
@given(st.lists(st.integers(-50, 50), min_size=3, max_size=60, unique=True), fractions, st.randoms())
def test_a_time_split_evaluates_what_came_last_whatever_the_order_of_rows(
    times: list[int], fraction: float, random: object
) -> None:
    split = asked("Time", fraction)
    if math.ceil(len(times) * fraction) == len(times):
        return
    frame = table([str(time) for time in times])
    mask = evaluation_rows(frame, split)
    evaluated = {int(value) for value in frame["when"][mask]}
    trained = {int(value) for value in frame["when"][~mask]}
    assert max(trained) < min(evaluated)
    assert len(evaluated) == math.ceil(len(times) * fraction)
    shuffled = frame.iloc[::-1].reset_index(drop=True)
    assert set(shuffled["when"][evaluation_rows(shuffled, split)]) == set(frame["when"][mask])


@law
@given(st.lists(st.integers(0, 12), min_size=4, max_size=80), fractions)
def test_a_time_split_never_parts_rows_of_one_instant(times: list[int], fraction: float) -> None:
    frame = table([str(time) for time in times])
    try:
        mask = evaluation_rows(frame, asked("Time", fraction))
    except UserError:
        return
    assert not set(frame["when"][mask]) & set(frame["when"][~mask])


def test_a_time_split_reads_iso_times_of_any_zone() -> None:
    frame = table(["2026-01-02T00:30:00+02:00", "2026-01-01T23:00:00Z", "2026-01-01", "2025-12-31T10:00:00"])
    assert evaluation_rows(frame, asked("Time", 0.25)).tolist() == [False, True, False, False]


def test_a_time_split_refuses_what_is_no_time() -> None:
    with pytest.raises(UserError, match="when holds 'yesterday', neither a number nor an ISO 8601 time"):
        evaluation_rows(table(["2026-01-01", "yesterday"]), asked("Time", 0.5))


@law
@given(st.lists(st.text(max_size=4), min_size=2, max_size=60), fractions, seeds)
def test_a_hash_split_keeps_an_entity_on_one_side_wherever_it_occurs(
    values: list[str], fraction: float, seed: int
) -> None:
    frame, split = table(values), asked("Hash", fraction, seed)
    try:
        mask = evaluation_rows(frame, split)
    except UserError as error:
        assert "rows are left of" in str(error)
        return
    evaluated, trained = set(frame["when"][mask]), set(frame["when"][~mask])
    assert not evaluated & trained
    # The side does not depend on the other rows.
    more = table([*values, *values, "a new entity"])
    again = set(more["when"][evaluation_rows(more, split)]) - {"a new entity"}
    assert again == evaluated - {"a new entity"}


def test_a_hash_split_comes_near_its_fraction() -> None:
    mask = evaluation_rows(table([f"customer-{n}" for n in range(4000)]), asked("Hash", 0.3))
    assert abs(mask.mean() - 0.3) < 0.03


def test_splits_are_the_same_for_ever() -> None:
    """Runs of last year are split again by their publishers: these rows may not change."""
    frame = table([str(n) for n in range(12)])
    assert np.flatnonzero(evaluation_rows(frame, asked("Random", 0.25, 7, None))).tolist() == [2, 7, 10]
    assert np.flatnonzero(evaluation_rows(frame, asked("Hash", 0.25, 7))).tolist() == [3, 4, 7, 8]


def test_a_split_by_an_unknown_column_names_those_there_are() -> None:
    with pytest.raises(UserError, match="the data have no column 'day'; they have when, target"):
        evaluation_rows(table(["1", "2"]), asked("Hash", 0.5, column="day"))
