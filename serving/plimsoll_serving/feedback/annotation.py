"""The header ``plimsoll-prediction-id`` of each answer."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.codec import Answer, Run
from plimsoll_serving.feedback.token import Signer
from plimsoll_serving.http.message import Header
from plimsoll_serving.v2.signature import Signature

HEADER = b"plimsoll-prediction-id"
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
        if answer.stop - answer.start == 1:
            numbers = self._numbers(answer.run)
            if numbers is not None:  # by far the most frequent, and numpy is slow for one value
                return HEADER, self._signer.sign_number(numbers[answer.start], int(self._clock()))
        values = answer.outputs.get(self._output)
        if values is None or not values.size:
            return None
        return HEADER, self._signer.sign(_flat(values), int(self._clock()))

    def _numbers(self, run: Run) -> list[Any] | None:
        """The predictions of a run, a number a row; None where they are not that."""
        if self._output not in run.columns:
            values = run.outputs.get(self._output)
            usable = values is not None and values.dtype.kind in "biuf" and values.ndim
            one_a_row = usable and 0 < values.size == len(values) == run.rows  # type: ignore[union-attr,arg-type]
            run.columns[self._output] = _flat(values).tolist() if one_a_row else None  # type: ignore[arg-type]
        return run.columns[self._output]


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim > 1:
        values = values.reshape(-1)
    return values.astype(np.int64) if values.dtype == np.uint64 else values
