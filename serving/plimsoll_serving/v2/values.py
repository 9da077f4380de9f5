"""JSON values to numpy arrays, exactly: nothing is rounded to an integer, wrapped around or parsed from text.

JSON has no number for NaN and the infinities. They are read from the strings ``"NaN"``, ``"Infinity"`` and
``"-Infinity"`` (as in protobuf's JSON mapping), NaN also from ``null``, and are written as those strings.
"""

import json
import math
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.errors import RequestError
from plimsoll_serving.v2.datatypes import Datatype

MAX_RANK = 32
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_JSON_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def json_name(value: object) -> str:
    """What a decoded JSON value is called in an error message."""
    return _JSON_NAMES[type(value)]


def json_text(value: object) -> str:
    """A decoded JSON value in an error message: a plain one as JSON writes it, up to 50 characters."""
    return json_name(value) if isinstance(value, list | dict) else json.dumps(value)[:50]


def flatten(data: list[Any], field: str) -> tuple[list[Any], list[int]]:
    """Elements in row-major order and the shape of a nested list. Raises RequestError when it is ragged."""
    shape = [len(data)]
    level = data
    while level and type(level[0]) is list:
        if set(map(type, level)) != {list}:
            raise RequestError(f"{field} mixes lists and values at depth {len(shape)}")
        widths = set(map(len, level))
        if len(widths) != 1:
            raise RequestError(
                f"{field} is ragged: lists of {min(widths)} and of {max(widths)} values at depth {len(shape)}"
            )
        shape.append(widths.pop())
        if len(shape) > MAX_RANK:
            raise RequestError(f"{field} is nested deeper than {MAX_RANK}")
        level = list(chain.from_iterable(level))
    return level, shape


def to_array(values: list[Any], datatype: Datatype, field: str) -> NDArray[Any]:
    """A flat array of the datatype. Raises RequestError naming the first element that is not of it."""
    if datatype.kind == "raw":
        raise RequestError(f"{field} is {datatype.name}, which JSON cannot carry; send it as binary data over /v2")
    kinds = set(map(type, values))
    if datatype.kind == "float" and kinds <= {int, float}:
        array = _floats(values, datatype)
        if array is not None:
            return array
    elif datatype.kind == "int" and kinds <= {int}:
        try:
            return np.array(values, dtype=datatype.dtype)
        except OverflowError:
            pass  # the element at fault is found below
    elif (datatype.kind == "bool" and kinds <= {bool}) or (datatype.kind == "bytes" and kinds <= {str}):
        return np.array(values, dtype=datatype.dtype)
    read = _READERS[datatype.kind]
    return np.array([read(value, datatype, f"{field}[{i}]") for i, value in enumerate(values)], dtype=datatype.dtype)


def _floats(values: list[Any], datatype: Datatype) -> NDArray[Any] | None:
    """None when a value does not fit."""
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=datatype.dtype)
    except OverflowError:
        return None
    return array if np.isfinite(array).all() else None


def _refuse(value: object, datatype: Datatype, field: str, expected: str) -> RequestError:
    shown = repr(value) if isinstance(value, int | float) else json_name(value)
    return RequestError(f"{field} is {shown}, not {expected} for {datatype.name}")


def _read_bool(value: object, datatype: Datatype, field: str) -> bool:
    if type(value) is not bool:
        raise _refuse(value, datatype, field, "true or false")
    return value


def _read_int(value: object, datatype: Datatype, field: str) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    bounds = np.iinfo(datatype.dtype)
    if type(value) is not int or not bounds.min <= value <= bounds.max:
        raise _refuse(value, datatype, field, f"an integer from {bounds.min} to {bounds.max}")
    return value


def _read_float(value: object, datatype: Datatype, field: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str) and value in NON_FINITE:
        return NON_FINITE[value]
    if type(value) is not int and type(value) is not float:
        raise _refuse(value, datatype, field, 'a number, null, "NaN", "Infinity" or "-Infinity"')
    if _floats([value], datatype) is None:
        raise _refuse(value, datatype, field, f"a number of at most {np.finfo(datatype.dtype).max:g}")
    return value


def _read_bytes(value: object, datatype: Datatype, field: str) -> str:
    if type(value) is not str:
        raise _refuse(value, datatype, field, "a string")
    return value


_READERS = {"bool": _read_bool, "int": _read_int, "float": _read_float, "bytes": _read_bytes}


def from_array(array: NDArray[Any]) -> list[Any]:
    """The JSON values of an array in row-major order, exactly."""
    values: list[Any] = array.reshape(-1).tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [value if math.isfinite(value) else _word(value) for value in values]
    return values


def _word(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
