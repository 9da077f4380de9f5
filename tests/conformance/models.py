"""What the models of the conformance tests take. Known to both environments: nothing but numpy here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MODEL = "digits"
VERSION = "1"
PLAIN_TYPES = (
    *("BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
)
#: Has no JSON form and no typed contents.
SMALL_FLOAT = "BF16"
#: protobuf's typed contents have no field for FP16.
TYPED_TYPES = tuple(name for name in PLAIN_TYPES if name != "FP16")
TEXTS = ["", "plain", "Zürich", "\N{SNOWMAN}", 'quote " and \\', "line\nbreak"]

_FLOATS = [0.1, -0.0, 1e-40, 3.5, 65504.0, 1 / 3]


def values(datatype: str) -> NDArray[Any]:
    """Three rows of two values of a datatype, the extreme ones among them."""
    if datatype == "BYTES":
        return np.array([text.encode() for text in TEXTS], dtype=object).reshape(3, 2)
    if datatype == "BOOL":
        return np.array([True, False, False, True, True, False]).reshape(3, 2)
    if datatype.startswith("FP"):
        return np.array(_FLOATS, dtype=f"float{datatype[2:]}").reshape(3, 2)
    kind = np.dtype(datatype.lower())
    bounds = np.iinfo(kind)
    return np.array([bounds.min, bounds.max, 0, 1, 2, 100], dtype=kind).reshape(3, 2)


def every_type(datatypes: tuple[str, ...] = PLAIN_TYPES) -> dict[str, NDArray[Any]]:
    """`values` by the name of the input that takes them."""
    return {name.lower(): values(name) for name in datatypes}


def same(given: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether two arrays have the same shape and the same bits. Text is the same as its UTF-8."""
    if given.shape != expected.shape:
        return False
    if expected.dtype == object:
        return [_bytes(value) for value in given.reshape(-1)] == [_bytes(value) for value in expected.reshape(-1)]
    return given.dtype == expected.dtype and given.tobytes() == expected.tobytes()


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
