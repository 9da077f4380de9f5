"""Datatypes of the protocol and what they are in numpy and in ONNX Runtime."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# `raw` is what numpy has no type for: it goes through as the bytes that came.
Kind = Literal["bool", "int", "float", "bytes", "raw"]


@dataclass(frozen=True, slots=True)
class Datatype:
    """One tensor datatype: its name in the protocol, its numpy dtype and how its JSON values are read."""

    name: str
    dtype: np.dtype[Any]
    kind: Kind


def widened(array: NDArray[Any]) -> NDArray[np.float32]:
    """BF16, which numpy does not have, as FP32: its upper half."""
    return (array.astype(np.uint32) << 16).view(np.float32)


def _datatype(name: str, dtype: str, kind: Kind) -> Datatype:
    return Datatype(name, np.dtype(dtype), kind)


DATATYPES = {
    datatype.name: datatype
    for datatype in (
        _datatype("BOOL", "bool", "bool"),
        _datatype("INT8", "int8", "int"),
        _datatype("INT16", "int16", "int"),
        _datatype("INT32", "int32", "int"),
        _datatype("INT64", "int64", "int"),
        _datatype("UINT8", "uint8", "int"),
        _datatype("UINT16", "uint16", "int"),
        _datatype("UINT32", "uint32", "int"),
        _datatype("UINT64", "uint64", "int"),
        _datatype("FP16", "float16", "float"),
        _datatype("FP32", "float32", "float"),
        _datatype("FP64", "float64", "float"),
        _datatype("BYTES", "object", "bytes"),
        _datatype("BF16", "uint16", "raw"),
    )
}

_OF_ONNX = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "bfloat16": "BF16",
}


def of_onnx(onnx_type: str) -> Datatype | None:
    """The datatype of an ONNX Runtime type such as ``tensor(float)``; None for what is not such a tensor."""
    element = onnx_type.removeprefix("tensor(").removesuffix(")")
    name = _OF_ONNX.get(element) if onnx_type.startswith("tensor(") else None
    return None if name is None else DATATYPES[name]
