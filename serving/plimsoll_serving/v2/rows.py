"""The outputs of one run of a model as JSON text, written once for all requests of the batch."""

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from plimsoll_serving.v2.values import from_array


class JsonRows:
    """Text of the rows of each output, made when it is first asked for.

    Args:
        outputs: arrays by output name, of the whole batch.
        shared: whether the first dimension counts rows, so that a request may have some of them.
    """

    __slots__ = ("_outputs", "_shared", "_texts")

    def __init__(self, outputs: dict[str, NDArray[Any]], shared: bool) -> None:
        self._outputs = outputs
        self._shared = shared
        self._texts: dict[str, list[bytes] | None] = {}

    def text(self, name: str, array: NDArray[Any], start: int, stop: int) -> bytes:
        """The flat JSON list of rows ``start`` to ``stop``; ``array`` is those rows."""
        if not self._shared:
            return flat(array)
        if name not in self._texts:
            self._texts[name] = _row_texts(self._outputs[name])
        rows = self._texts[name]
        if rows is None:
            return flat(array)
        return b"[" + (rows[start] if stop - start == 1 else b",".join(rows[start:stop])) + b"]"


def flat(array: NDArray[Any]) -> bytes:
    """An array as a flat JSON list."""
    if _plain(array):
        return orjson.dumps(np.ascontiguousarray(array).reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY)
    return orjson.dumps(from_array(array))


def _plain(array: NDArray[Any]) -> bool:
    """Whether JSON has numbers for all of it."""
    kind = array.dtype.kind
    return kind in "biu" or (kind == "f" and bool(np.isfinite(array).all()))


def _row_texts(array: NDArray[Any]) -> list[bytes] | None:
    """One text a row; None where the text cannot be cut at commas and brackets, or would be nothing."""
    if not array.size or not _plain(array):
        return None
    table = np.ascontiguousarray(array).reshape(array.shape[0], -1)
    if table.shape[1] == 1:
        return orjson.dumps(table.reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    return orjson.dumps(table, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")
