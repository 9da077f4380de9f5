"""Tensors as raw bytes: little-endian, row-major; BYTES as a 4-byte length before each element.

Source: Open Inference Protocol, binary tensor data extension.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Header
from plimsoll_serving.v2.datatypes import Datatype

_LENGTH = struct.Struct("<I")


def unpack(data: bytes, offset: int, size: int, datatype: Datatype, field: str) -> NDArray[Any]:
    """A flat array of ``size`` bytes of ``data`` from ``offset`` on. Raises RequestError naming the field.

    The array shares the memory of ``data`` where it can.
    """
    if datatype.kind == "bytes":
        return _strings(memoryview(data)[offset : offset + size], field)
    width = datatype.dtype.itemsize
    if size % width:
        raise RequestError(f"{field} has {size} bytes, not a multiple of {width} for {datatype.name}")
    if datatype.kind == "bool":
        return np.frombuffer(data, np.uint8, size, offset).astype(np.bool_)
    array = np.frombuffer(data, datatype.dtype, size // width, offset)
    return array if array.flags.aligned else array.copy()


def _strings(data: memoryview, field: str) -> NDArray[Any]:
    values: list[str] = []
    position, end = 0, len(data)
    while position < end:
        if end - position < _LENGTH.size:
            raise RequestError(f"{field} ends within the length of element {len(values)}")
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        if length > end - position:
            raise RequestError(f"{field}[{len(values)}] has {length} bytes, but only {end - position} are left")
        try:
            values.append(str(data[position : position + length], "utf-8"))
        except UnicodeDecodeError as error:
            raise RequestError(f"{field}[{len(values)}] is not UTF-8: {error.reason}") from None
        position += length
    return np.array(values, dtype=object)


def pack(array: NDArray[Any]) -> bytes:
    """The bytes of an array. Raises UnicodeError for text that is not UTF-8."""
    if array.dtype.kind != "O":
        return array.tobytes()
    parts: list[bytes] = []
    for value in array.reshape(-1).tolist():
        text = value if isinstance(value, bytes) else str(value).encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


class RawRows:
    """The outputs of one run of a model as raw bytes, made once for all requests of the batch.

    Args:
        outputs: arrays by output name, of the whole batch.
        rows: what the first dimension of each output counts; None where it does not.

    Attributes:
        described: what stands before the bytes of so many rows, and the header that tells its length; kept by who
            writes them.
    """

    __slots__ = ("_count", "_outputs", "_wholes", "described")

    def __init__(self, outputs: dict[str, NDArray[Any]], rows: int | None) -> None:
        self._outputs = outputs
        self._count = rows
        self._wholes: list[tuple[bytes, int]] | None = None
        self.described: dict[int, tuple[bytes, Header]] = {}

    def pieces(self, start: int, stop: int) -> list[bytes]:
        """The bytes of rows ``start`` to ``stop`` of each output; empty where they have to be packed one by one."""
        if self._wholes is None:
            self._wholes = self._packed(self._count) if self._count else []
        return [whole[start * width : stop * width] for whole, width in self._wholes]

    def _packed(self, count: int) -> list[tuple[bytes, int]]:
        """The bytes of each output, and how many of them a row has."""
        wholes = []
        for array in self._outputs.values():
            if array.dtype.kind == "O" or not array.ndim or len(array) != count:
                return []
            whole = array.tobytes()
            wholes.append((whole, len(whole) // count))
        return wholes
