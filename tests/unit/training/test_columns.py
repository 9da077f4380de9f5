"""What cells mean: numbers, text, missing, and targets."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_training.columns import MISSING, drop_split_column, infer_features, numeric, target_values, text
from plimsoll_training.data import bundled_csv, parse_csv, to_csv
from plimsoll_training.errors import UserError
from plimsoll_training.run import Split

from tests.unit.training.laws import law


def column(*cells: str) -> pd.DataFrame:
    return pd.DataFrame({"x": cells, "y": "1"}, dtype=object)


@pytest.mark.parametrize(
    ("cells", "is_text"),
    [
        (("1", "2.5", "-1e3"), False),
        (("1", ""), False),
        (("", "NA", "nan"), True),
        (("1", "one"), True),
        (("true", "false"), True),
    ],
)
def test_a_column_is_numeric_when_each_cell_is_a_number_or_missing(cells: tuple[str, ...], is_text: bool) -> None:
    assert infer_features(column(*cells), "y").text == (frozenset({"x"}) if is_text else frozenset())


def test_missing_numbers_are_nan_and_missing_text_is_a_category() -> None:
    assert np.isnan(numeric(column(*MISSING), "x")).all()
    assert set(text(column(*MISSING), "x")) == {""}


@pytest.mark.parametrize("cell", ["one", "inf", "1e300"])
def test_a_cell_that_is_no_finite_number_is_named(cell: str) -> None:
    with pytest.raises(UserError, match=f"column 'x' holds '{cell}' in row 2, not a finite 32-bit number"):
        numeric(column("1", cell), "x")


@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        (("1", ""), "Classification", "target: 'x' is empty in row 2"),
        (("1", ""), "Regression", "target: 'x' is empty in row 2"),
        (("1", "high"), "Regression", "target: 'x' is not numeric; choose another column or the task Classification"),
        (("1", "1.5"), "Classification", "target: class '1.5' of 'x' is not a whole number"),
    ],
)
def test_a_target_that_cannot_be_predicted_is_refused(cells: tuple[str, ...], task: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        target_values(column(*cells), "x", task)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


def test_classes_are_whole_numbers_or_names() -> None:
    assert target_values(column("1.0", "2"), "x", "Classification").tolist() == [1, 2]
    assert target_values(column("a", "2"), "x", "Classification").tolist() == ["a", "2"]


def test_the_column_a_split_goes_by_is_no_feature() -> None:
    by_time = Split.model_validate({"fraction": 0.5, "by": "Time", "column": "x"})
    assert list(drop_split_column(column("1"), by_time, "y").columns) == ["y"]
    assert list(drop_split_column(column("1"), by_time, "x").columns) == ["x", "y"]
    assert list(drop_split_column(column("1"), None, "y").columns) == ["x", "y"]


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@law
@given(st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=8))
def test_a_table_survives_being_written_and_read(rows: list[list[str]]) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype=object)
    assert parse_csv(to_csv(frame), "data").to_numpy().tolist() == rows


def test_the_bundled_sets_are_the_same_for_ever() -> None:
    """Their digests are lineage."""
    lines = bundled_csv("iris").decode().splitlines()
    assert lines[:2] == [
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm),target",
        "5.1,3.5,1.4,0.2,0",
    ]
    assert len(lines) == 151
