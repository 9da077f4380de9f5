"""The outputs of one run of a model as JSON text, written once for all requests of the batch."""

from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from plimsoll_serving.v2.signature import Signature
from plimsoll_serving.v2.values import from_array


class JsonRows:
    """Text of the rows of each output, made when it is first asked for.

    Args:
        outputs: arrays by output name, of the whole batch.
        rows: what the first dimension of each output counts, so that a request may have some of them; None where it
            does not.
        signature: of the model.
    """

    __slots__ = ("_count", "_outputs", "_signature", "_tensors", "_texts")

    def __init__(self, outputs: dict[str, NDArray[Any]], rows: int | None, signature: Signature) -> None:
        self._outputs = outputs
        self._count = rows
        self._signature = signature
        self._texts: dict[str, list[bytes] | None] = {}
        self._tensors: list[tuple[bytes, bytes, list[bytes]]] | None = None

    def text(self, name: str, array: NDArray[Any], start: int, stop: int) -> bytes:
        """The flat JSON list of rows ``start`` to ``stop``; ``array`` is those rows."""
        rows = self._rows(name)
        if rows is None:
            return flat(array)
        return b"[" + (rows[start] if stop - start == 1 else b",".join(rows[start:stop])) + b"]"

    def tensors(self, start: int, stop: int) -> bytes:
        """Rows ``start`` to ``stop`` as the items of ``outputs``; empty where that has to be written one by one."""
        if self._tensors is None:
            self._tensors = self._cut()
        count = stop - start
        if count == 1:
            return b",".join([b"%b1%b%b]}" % (begin, middle, rows[start]) for begin, middle, rows in self._tensors])
        return b",".join(
            [
                b"%b%d%b%b]}" % (begin, count, middle, b",".join(rows[start:stop]))
                for begin, middle, rows in self._tensors
            ]
        )

    def _cut(self) -> list[tuple[bytes, bytes, list[bytes]]]:
        """Each output's text before the number of its rows, from there to the values, and the values row by row."""
        tensors = []
        for name, array in self._outputs.items():
            datatype = self._signature.outputs[name].datatype
            rows = self._rows(name) if datatype.kind != "raw" else None
            if rows is None:
                return []
            shape = b"".join([b",%d" % size for size in array.shape[1:]])
            tensors.append((tensor_start(name, datatype.name), shape + b'],"data":[', rows))
        return tensors

    def _rows(self, name: str) -> list[bytes] | None:
        if name not in self._texts:
            array = self._outputs[name]
            told_apart = array.ndim and len(array) == self._count
            self._texts[name] = _row_texts(array) if told_apart else None
        return self._texts[name]


@lru_cache(maxsize=4096)
def tensor_start(name: str, datatype: str) -> bytes:
    """An item of ``outputs`` up to the sizes of its shape."""
    return b'{"name":%b,"datatype":"%b","shape":[' % (orjson.dumps(name), datatype.encode())


def flat(array: NDArray[Any]) -> bytes:
    """An array as a flat JSON list."""
    return _plain(array, -1) or orjson.dumps(from_array(array))


def _plain(array: NDArray[Any], *shape: int) -> bytes:
    """The text of an array brought into ``shape``; empty unless JSON has numbers, or true and false, for all of it."""
    if array.dtype.kind not in "biuf":
        return b""
    table = array if array.ndim == len(shape) else array.reshape(shape)
    text = orjson.dumps(np.ascontiguousarray(table), option=orjson.OPT_SERIALIZE_NUMPY)
    # What is no number is written as null, and nothing else has this letter.
    return b"" if b"n" in text else text


def _row_texts(array: NDArray[Any]) -> list[bytes] | None:
    """One text a row; None where the text cannot be cut at commas and brackets, or would be nothing."""
    rows = array.shape[0]
    if not array.size:
        return None
    if array.size == rows:
        text, cut = _plain(array, -1)[1:-1], b","
    else:
        text, cut = _plain(array, rows, -1)[2:-2], b"],["
    return text.split(cut) if text else None
