"""The quick way to read JSON requests of the usual form; whatever it does not understand is left to ``decode``.

It must never answer what the careful way refuses, nor read a value otherwise: unknown fields, nested data, values of
another type and sizes that do not fit are all left to it.
"""

import math
import struct
import threading
from typing import Any

import msgspec
import numpy as np
import simdjson
from numpy.typing import NDArray

from plimsoll_serving.codec import InferRequest
from plimsoll_serving.v2.datatypes import Datatype, Kind
from plimsoll_serving.v2.signature import Signature, Tensor

# From here on simdjson, which reads numbers straight into an array, is quicker than lists of Python floats.
LONG_BODY = 1024
_ELEMENTS: dict[Kind, type] = {"float": float, "int": int, "bool": bool, "bytes": str}
_INPUT_KEYS = {"name", "datatype", "shape", "data"}
# Of the struct module, in standard sizes.
_CODES = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
    "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
#: Of the largest number of a datatype.
_SQUARES = {"FP16": 65504.0**2, "FP32": float(np.finfo(np.float32).max) ** 2}
_parsers = threading.local()


class _Fit:
    """Fields of an input that fit one another and the model: datatype, shape and number of elements."""

    __slots__ = ("_dtype", "_pack", "count", "name", "shape")

    def __init__(self, datatype: Datatype, shape: list[int], count: int) -> None:
        self.name = datatype.name
        self.shape = shape
        self.count = count
        self._dtype = datatype.dtype
        self._pack = None if datatype.kind == "bytes" else struct.Struct(f"<{count}{_CODES[datatype.name]}").pack

    def array(self, values: list[Any]) -> NDArray[Any]:
        """Numbers by struct: quicker than numpy for lists, and it refuses those that are too large."""
        if self._pack is None:
            return np.array(values, dtype=object).reshape(self.shape)
        return np.ndarray(self.shape, self._dtype, self._pack(*values))


class TypedReader:
    """Reads requests for one signature."""

    def __init__(self, signature: Signature) -> None:
        self._inputs = signature.inputs
        self._outputs = list(signature.outputs)
        kinds = {tensor.datatype.kind for tensor in signature.inputs.values()}
        self._floats = kinds == {"float"}
        known = kinds <= set(_ELEMENTS) and len(kinds) == 1
        self._decoder = msgspec.json.Decoder(_request_type(_ELEMENTS[kinds.pop()])) if known else None
        # What fitted last, by input: clients send the same shape again and again.
        self._fitted: dict[str, _Fit] = {}
        self._symbols = sum(symbol is not None for tensor in signature.inputs.values() for symbol in tensor.symbols)

    def read(self, body: bytes) -> InferRequest | None:
        """The request; None when it is not of the usual form."""
        if self._decoder is None:
            return None
        try:
            identifier, inputs = self._long(body) if self._floats and len(body) > LONG_BODY else self._short(body)
        except (ValueError, TypeError, KeyError, OverflowError, RuntimeError, AttributeError, struct.error):
            # RuntimeError: simdjson's, of integers beyond 64 bits. AttributeError: no object where one is due.
            return None
        if len(inputs) != len(self._inputs) or (self._symbols > 1 and len(inputs) > 1):
            return None
        return InferRequest(identifier, inputs, self._outputs)

    def _short(self, body: bytes) -> tuple[str | None, dict[str, NDArray[Any]]]:
        document = self._decoder.decode(body)  # type: ignore[union-attr]
        items = document.inputs
        inputs = {}
        for item in items:
            name, values = item.name, item.data
            inputs[name] = self._fit(name, item.datatype, item.shape, len(values)).array(values)
        if len(inputs) != len(items):
            raise ValueError("an input is given twice")
        return document.id, inputs

    def _long(self, body: bytes) -> tuple[str | None, dict[str, NDArray[Any]]]:
        parser = getattr(_parsers, "parser", None)
        if parser is None:
            parser = _parsers.parser = simdjson.Parser()
        # The parser is not used again while anything of its document is held: only this call holds any.
        return self._of_document(parser.parse(body), body.count(b"["))

    def _of_document(self, document: Any, lists: int) -> tuple[str | None, dict[str, NDArray[Any]]]:
        identifier = None
        for key in document:
            if key == "id":
                identifier = document["id"]
                if identifier is not None and type(identifier) is not str:
                    raise TypeError("id")
            elif key != "inputs":
                raise ValueError("more than inputs")
        # as_buffer() flattens nested lists, ragged ones too: there may be no list but those of the usual form.
        items = document["inputs"]
        count = len(items)
        if lists != 1 + 2 * count:
            raise ValueError("nested data")
        inputs = {}
        for index in range(count):
            name, array = self._input(items[index])
            inputs[name] = array
        if len(inputs) != count:
            raise ValueError("an input is given twice")
        return identifier, inputs

    def _input(self, item: Any) -> tuple[str, NDArray[Any]]:
        if len(item) != len(_INPUT_KEYS):
            raise ValueError("more than the usual fields")
        name, told, shape = item["name"], item["datatype"], item["shape"].as_list()
        # Not left to the parameters' types: a compiled call that refuses an argument never lets go of it.
        if type(name) is not str or type(told) is not str or any(type(size) is not int for size in shape):
            raise ValueError("name, datatype or shape")
        values = np.frombuffer(item["data"].as_buffer(of_type="d"), dtype=np.float64)
        self._fit(name, told, shape, len(values))
        return name, _of_floats(values, self._inputs[name].datatype).reshape(shape)

    def _fit(self, name: str, datatype: str, shape: list[int], count: int) -> _Fit:
        """Raises ValueError when the fields of an input do not fit one another, or the model."""
        fit = self._fitted.get(name)
        if fit is None or fit.count != count or fit.name != datatype or fit.shape != shape:
            tensor = self._inputs[name]
            _check(count, datatype, shape, tensor)
            fit = self._fitted[name] = _Fit(tensor.datatype, shape, count)
        return fit


def _request_type(element: type) -> Any:
    item: Any = msgspec.defstruct(
        "Item",
        [("name", str), ("datatype", str), ("shape", list[int]), ("data", list[element])],  # type: ignore[valid-type]
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.defstruct(
        "Document", [("inputs", list[item]), ("id", str | None, None)], forbid_unknown_fields=True, gc=False
    )


def _check(count: int, datatype: str, shape: list[int], tensor: Tensor) -> None:
    """Raises ValueError when the fields of an input do not fit one another, or the model."""
    wanted = tensor.shape
    if datatype != tensor.datatype.name or len(shape) != len(wanted) or math.prod(shape) != count:
        raise ValueError("datatype or size")
    for size, want in zip(shape, wanted, strict=True):
        if size != want and (want != -1 or type(size) is not int or size < 0):
            raise ValueError("shape")


def _of_floats(values: NDArray[Any], datatype: Datatype) -> NDArray[Any]:
    """Raises ValueError where a number may be beyond the datatype: then so is the sum of squares, which is quick."""
    if datatype.name == "FP64":
        return values
    if not values.dot(values) < _SQUARES[datatype.name]:
        raise ValueError("beyond the largest number")
    return values.astype(datatype.dtype)
