"""The header ``plimsoll-prediction-id`` of each answer."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def header(self, outputs: dict[str, NDArray[Any]]) -> Header | None:
        """The header; None when the prediction was not asked for, or there are no rows."""
        values = outputs.get(self._output)
        if values is None or not values.size:
            return None
        if values.ndim > 1:
            values = values.reshape(-1)
        if values.dtype == np.uint64:
            values = values.astype(np.int64)
        return HEADER, self._signer.sign(values, int(self._clock()))
