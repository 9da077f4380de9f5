"""Which rows are for evaluation. Pure and deterministic: `fetch` and `publish` must find the same rows."""

import hashlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from plimsoll_training.errors import UserError
from plimsoll_training.run import Split

Mask = npt.NDArray[np.bool_]


def evaluation_rows(frame: pd.DataFrame, split: Split) -> Mask:
    """True for the evaluation rows (n,). UserError when a side would be empty or the column is unfit."""
    if split.by == "Random":
        mask = _random(len(frame), split)
    elif split.column not in frame.columns:
        raise UserError(f"data.split.column: the data have no column {split.column!r}; they have {_names(frame)}")
    elif split.by == "Time":
        mask = _latest(frame[split.column], split)
    else:
        mask = _hashed(frame[split.column], split)
    if mask.all() or not mask.any():
        side = "training" if mask.all() else "evaluation"
        raise UserError(f"data.split: no {side} rows are left of {len(frame)}; change fraction, column or seed")
    return mask


def _random(rows: int, split: Split) -> Mask:
    # RandomState, not Generator: only its streams are frozen across numpy releases (NEP 19).
    order = np.random.RandomState(split.seed).permutation(rows)
    mask = np.zeros(rows, dtype=np.bool_)
    mask[order[: math.ceil(rows * split.fraction)]] = True
    return mask


def _latest(column: "pd.Series[Any]", split: Split) -> Mask:
    """The last fraction in time; rows of one instant stay together, on the evaluation side."""
    instants = _instants(column)
    cut = np.sort(instants)[len(instants) - math.ceil(len(instants) * split.fraction)]
    return np.asarray(instants >= cut, dtype=np.bool_)


def _instants(column: "pd.Series[Any]") -> npt.NDArray[Any]:
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().all():
        return np.asarray(numbers.to_numpy())
    times = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    if times.isna().any():
        wrong = column[times.isna()].iloc[0]
        raise UserError(f"data.split.column: {column.name} holds {wrong!r}, neither a number nor an ISO 8601 time")
    return np.asarray(times.to_numpy())


def _hashed(column: "pd.Series[Any]", split: Split) -> Mask:
    """An entity is wholly on one side: the side depends on the column's value and the seed alone."""
    side = {value: _unit(f"{split.seed}:{value}") < split.fraction for value in column.unique()}
    return np.asarray(column.map(side).to_numpy(dtype=np.bool_))


def _unit(text: str) -> float:
    """A hash of the text as a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") / 2**64


def _names(frame: pd.DataFrame) -> str:
    shown = ", ".join(map(str, frame.columns[:10]))
    return shown if len(frame.columns) <= 10 else f"{shown} and {len(frame.columns) - 10} more"
