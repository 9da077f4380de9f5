"""What the columns of a table mean to a model: features and target, numbers and text."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from plimsoll_training.errors import UserError
from plimsoll_training.metric_names import Task
from plimsoll_training.run import Split

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


@dataclass(frozen=True)
class Features:
    """Names in the order of the header; those that are text in the training rows."""

    names: tuple[str, ...]
    text: frozenset[str]

    @property
    def aliases(self) -> dict[str, str]:
        """What a column is called while fitting: skl2onnx rewrites names that are not identifiers."""
        return {name: f"column_{index}" for index, name in enumerate(self.names)}


def drop_split_column(frame: pd.DataFrame, split: Split | None, target: str) -> pd.DataFrame:
    """Without the column that a Time or Hash split goes by: an instant or an entity's id is not a feature."""
    if split is None or split.column is None or split.by == "Random" or split.column == target:
        return frame
    return frame.drop(columns=[split.column])


def require_target(frame: pd.DataFrame, target: str) -> None:
    if target not in frame.columns:
        shown = ", ".join(map(str, frame.columns[:10])) + (", …" if len(frame.columns) > 10 else "")
        raise UserError(f"target: the data have no column {target!r}; they have {shown}")
    if len(frame.columns) < 2:
        raise UserError(f"target: {target!r} is the only column; a feature is needed")


def infer_features(frame: pd.DataFrame, target: str) -> Features:
    """Every column but the target. A column is numeric when each of its cells is a number or missing."""
    names = tuple(str(name) for name in frame.columns if name != target)
    return Features(names, frozenset(name for name in names if not _is_numeric(frame[name])))


def numeric(frame: pd.DataFrame, name: str) -> npt.NDArray[np.float32]:
    """The column as FP32 (n,), NaN where missing. UserError names a cell that is not a finite number."""
    column = frame[name]
    numbers = pd.to_numeric(column.where(~column.isin(MISSING)), errors="coerce").to_numpy(dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    wrong = (np.isnan(numbers) & ~column.isin(MISSING).to_numpy()) | np.isinf(narrow)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(f"column {name!r} holds {column.iloc[row]!r} in row {row + 1}, not a finite 32-bit number")
    return np.asarray(narrow)


def text(frame: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    """The column as text (n,); a missing cell is the category ''."""
    column = frame[name]
    return np.asarray(column.where(~column.isin(MISSING), "").to_numpy(dtype=object))


def labels(frame: pd.DataFrame, target: str, as_text: bool) -> npt.NDArray[Any]:
    """Class labels (n,): INT64, or text. UserError for a missing or unfit cell."""
    column = frame[target]
    if column.isin(MISSING).any():
        raise UserError(f"target: {target!r} is empty in row {int(np.flatnonzero(column.isin(MISSING))[0]) + 1}")
    if as_text:
        return np.asarray(column.to_numpy(dtype=object).astype(str))
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~(numbers == np.round(numbers))
    if wrong.any():
        cell = column.iloc[int(np.flatnonzero(wrong)[0])]
        raise UserError(
            f"target: class {cell!r} of {target!r} is not a whole number; use whole numbers, names, or Regression"
        )
    return np.asarray(numbers.astype(np.int64))


def target_values(frame: pd.DataFrame, target: str, task: Task) -> npt.NDArray[Any]:
    """What is to be predicted (n,): class labels, or FP64 numbers. UserError names the column and the remedy."""
    if task == "Classification":
        return labels(frame, target, as_text=not _is_numeric(frame[target]))
    if frame[target].isin(MISSING).any():
        raise UserError(f"target: {target!r} is empty in row {int(np.flatnonzero(frame[target].isin(MISSING))[0]) + 1}")
    if not _is_numeric(frame[target]):
        raise UserError(f"target: {target!r} is not numeric; choose another column or the task Classification")
    return numeric(frame, target).astype(np.float64)


def _is_numeric(column: "pd.Series[Any]") -> bool:
    present = column[~column.isin(MISSING)]
    return len(present) > 0 and bool(pd.to_numeric(present, errors="coerce").notna().all())
