"""The quick way to read JSON requests of the usual form; whatever it does not understand is left to ``decode``.

It must never answer what the careful way refuses, nor read a value otherwise: unknown fields, nested data, values of
another type and sizes that do not fit are all left to it.
"""

import math
import struct
import threading
from typing import Any, Final

import msgspec
import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from plimsoll_serving.codec import InferRequest
from plimsoll_serving.v2.datatypes import Datatype, Kind
from plimsoll_serving.v2.signature import Signature, Tensor
from plimsoll_serving.v2.templates import Fit, Templates

# From here on simdjson, which reads numbers straight into an array, is quicker than lists of Python floats.
LONG_BODY: Final = 1024
_ELEMENTS: dict[Kind, type] = {"float": float, "int": int, "bool": bool, "bytes": str}
_INPUT_KEYS = {"name", "datatype", "shape", "data"}
#: Of the largest number of a datatype.
_SQUARES = {"FP16": 65504.0**2, "FP32": float(np.finfo(np.float32).max) ** 2}
_parsers = threading.local()
_T, _S = b"ts"


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
        self._fitted: dict[str, Fit] = {}
        self._symbols = sum(symbol is not None for tensor in signature.inputs.values() for symbol in tensor.symbols)
        self._templates = Templates() if self._floats and len(self._inputs) == 1 else None

    def read(self, body: bytes) -> InferRequest | None:
        """The request; None when it is not of the usual form."""
        if self._decoder is None:
            return None
        try:
            known = None if self._templates is None else self._templates.match(body)
            if known is not None:
                return self._numbers(known.fit, known.numbers(body))
            identifier, inputs = self._long(body) if self._floats and len(body) > LONG_BODY else self._short(body)
        except (ValueError, TypeError, KeyError, OverflowError, RuntimeError, AttributeError, struct.error):
            # RuntimeError: simdjson's, of integers beyond 64 bits. AttributeError: no object where one is due.
            return None
        if len(inputs) != len(self._inputs) or (self._symbols > 1 and len(inputs) > 1):
            return None
        if self._templates is not None and identifier is None:
            self._templates.learn(body, *self._fitted.values())
        return InferRequest(identifier, inputs, self._outputs)

    def _numbers(self, fit: Fit, text: bytes) -> InferRequest:
        """The request whose only input is this list. Raises as the parsers do when it is not one of so many numbers."""
        request = InferRequest(None, None, self._outputs)
        request.layout = fit.layout
        if len(text) > LONG_BODY:
            request.data = self._parsed(fit, text).tobytes()
        elif _T in text or _S in text:  # as in true and false, which would pass for 1 and 0
            raise ValueError("no number")
        else:
            request.data = fit.pack(*orjson.loads(text))
        return request

    def _parsed(self, fit: Fit, text: bytes) -> NDArray[Any]:
        if text.count(b"[") != 1:
            raise ValueError("nested data")
        values = np.frombuffer(_parser().parse(text).as_buffer(of_type="d"), dtype=np.float64)
        if len(values) != fit.count:
            raise ValueError("size")
        return _of_floats(values, fit.datatype)

    def _short(self, body: bytes) -> tuple[str | None, dict[str, NDArray[Any]]]:
        document = self._decoder.decode(body)  # type: ignore[union-attr]
        items = document.inputs
        inputs = {}
        for item in items:
            name, values = item.name, item.data
            inputs[name] = _array(self._fit(name, item.datatype, item.shape, len(values)), values)
        if len(inputs) != len(items):
            raise ValueError("an input is given twice")
        return document.id, inputs

    def _long(self, body: bytes) -> tuple[str | None, dict[str, NDArray[Any]]]:
        # The parser is not used again while anything of its document is held: only this call holds any.
        return self._of_document(_parser().parse(body), body.count(b"["))

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

    def _fit(self, name: str, datatype: str, shape: list[int], count: int) -> Fit:
        """Raises ValueError when the fields of an input do not fit one another, or the model."""
        fit = self._fitted.get(name)
        if fit is None or fit.count != count or fit.datatype.name != datatype or fit.shape != shape:
            tensor = self._inputs[name]
            _check(count, datatype, shape, tensor)
            fit = self._fitted[name] = Fit(tensor, shape, count, self._outputs)
        return fit


def _parser() -> Any:
    """That of this thread."""
    parser = getattr(_parsers, "parser", None)
    if parser is None:
        parser = _parsers.parser = simdjson.Parser()
    return parser


def _array(fit: Fit, values: list[Any]) -> NDArray[Any]:
    if fit.pack is None:
        return np.array(values, dtype=object).reshape(fit.shape)
    return np.ndarray(fit.shape, fit.datatype.dtype, fit.pack(*values))


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
