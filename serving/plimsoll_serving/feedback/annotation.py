"""The header ``plimsoll-prediction-id`` of each answer."""

import time
from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.codec import Answer, Run
from plimsoll_serving.feedback.token import MAX_ROWS, WIDTHS, Signer, packed
from plimsoll_serving.http.message import Header
from plimsoll_serving.v2.signature import Signature

HEADER: Final = b"plimsoll-prediction-id"
PREFERRED = ("label", "prediction")


def predicted_output(signature: Signature) -> str | None:
    """The output that labels are compared with: ``label``, ``prediction``, or the only one with one value a row."""
    fitting = [name for name, tensor in signature.outputs.items() if tensor.one_value and tensor.datatype.kind != "raw"]
    chosen = [name for name in PREFERRED if name in fitting]
    if chosen:
        return chosen[0]
    return fitting[0] if len(fitting) == 1 else None


class Annotation:
    """Makes the header of an answer from its outputs."""

    def __init__(self, signer: Signer, output: str, clock: Callable[[], float] = time.time) -> None:
        self._signer = signer
        self._output = output
        self._clock = clock

    def header(self, answer: Answer) -> Header | None:
        """The header; None when the prediction was not asked for, or there are no rows."""
        column, now = self._column(answer.run), int(self._clock())
        rows = answer.stop - answer.start
        if column is None:
            values = answer.outputs.get(self._output)
            if values is None or not values.size:
                return None
            return HEADER, self._signer.sign(_flat(values), now)
        if rows == 1:
            return HEADER, self._signer.sign_number(column.number(answer.start), now)
        form, data = column.packed(answer.start, min(rows, MAX_ROWS))
        return HEADER, self._signer.sign_packed(form, data, now)

    def _column(self, run: Run) -> "_Column | None":
        """The predictions of a run; None where they are not a number a row."""
        if self._output not in run.columns:
            values = run.outputs.get(self._output)
            usable = values is not None and values.dtype.kind in "biuf" and values.ndim
            one_a_row = usable and 0 < values.size == len(values) == run.rows  # type: ignore[union-attr,arg-type]
            run.columns[self._output] = _Column(_flat(values)) if one_a_row else None  # type: ignore[arg-type]
        return cast("_Column | None", run.columns[self._output])


class _Column:
    """Numbers, one a row, in the forms that ids are made of: each made once a run, for numpy is slow for few values."""

    __slots__ = ("_numbers", "_packed", "_values")

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self._numbers: list[Any] | None = None
        self._packed: tuple[bytes, bytes] | None = None

    def number(self, row: int) -> Any:
        if self._numbers is None:
            self._numbers = self._values.tolist()
        return self._numbers[row]

    def packed(self, start: int, rows: int) -> tuple[bytes, bytes]:
        """Form and bytes of some rows."""
        if self._packed is None:
            self._packed = packed(self._values)
        form, data = self._packed
        width = WIDTHS[form]
        return form, data[start * width : (start + rows) * width]


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim > 1:
        values = values.reshape(-1)
    return values.astype(np.int64) if values.dtype == np.uint64 else values
