"""An inference request: bytes to named arrays, checked against the model's signature."""

import math
from typing import Any

import msgspec
from numpy.typing import NDArray

from plimsoll_serving.codec import InferRequest
from plimsoll_serving.errors import RequestError
from plimsoll_serving.v2 import unread
from plimsoll_serving.v2.binary import unpack
from plimsoll_serving.v2.datatypes import DATATYPES, Datatype
from plimsoll_serving.v2.signature import Signature, Tensor
from plimsoll_serving.v2.values import MAX_RANK, flatten, json_name, json_text, to_array

# The sizes of a tensor without values, multiplied, zeros left out: nothing else bounds what a model makes of them.
MAX_EMPTY = 2**20


def decode(body: bytes, signature: Signature, tail: bytes = b"") -> InferRequest:
    """Read a V2 inference request. Raises RequestError naming the field at fault and what is expected.

    Args:
        body: the JSON.
        tail: the binary tensors behind it, in the order of the inputs that have ``binary_data_size``.
    """
    document = _parse(body, len(tail))
    identifier = document.get("id")
    if identifier is not None and type(identifier) is not str:
        raise RequestError(f"id is {json_name(identifier)}, not a string")
    _check_parameters(document, "parameters")
    inputs = _inputs(document, signature, Tail(tail))
    check_symbols(inputs, signature)
    parameters = document.get("parameters", {})
    outputs, binary = _outputs(document, signature, parameters)
    return InferRequest(identifier, inputs, outputs, parameters, binary)


class Tail:
    """The binary tensors of a request, taken in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._taken = 0

    def take(self, item: dict[str, Any], field: str, datatype: Datatype) -> NDArray[Any] | None:
        """The next tensor; None when the input has its data in JSON."""
        size = item.get("parameters", {}).get("binary_data_size")
        if size is None:
            return None
        where = f"{field}.parameters.binary_data_size"
        if type(size) is not int or size < 0:
            raise RequestError(f"{where} is {json_text(size)}, not a number of bytes")
        if "data" in item:
            raise RequestError(f"{field} has both data and parameters.binary_data_size; send one of them")
        left = len(self._data) - self._taken
        if size > left:
            raise RequestError(f"{where} is {size}, but only {left} bytes are left behind the JSON")
        array = unpack(self._data, self._taken, size, datatype, f"the binary data of {field}")
        self._taken += size
        return array

    def check_empty(self) -> None:
        left = len(self._data) - self._taken
        if left:
            raise RequestError(
                f"{left} bytes behind the JSON belong to no input; binary inputs need parameters.binary_data_size"
            )


def _parse(body: bytes, behind: int) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = unread.told(body, error)
        if behind:
            why = (
                f"inference-header-content-length is {len(body)}, of a body of {len(body) + behind} bytes: there {why}"
            )
        raise RequestError(why) from None
    if type(document) is not dict:
        raise RequestError(f'the body is {json_name(document)}, not an object with "inputs"')
    return document


def _check_parameters(holder: dict[str, Any], field: str) -> None:
    parameters = holder.get("parameters", {})
    if type(parameters) is not dict:
        raise RequestError(f"{field} is {json_name(parameters)}, not an object")


def _list_of_objects(document: dict[str, Any], field: str) -> list[dict[str, Any]]:
    items = document[field]
    if type(items) is not list:
        raise RequestError(f"{field} is {json_name(items)}, not a list")
    for index, item in enumerate(items):
        if type(item) is not dict:
            raise RequestError(f"{field}[{index}] is {json_name(item)}, not an object")
        _check_parameters(item, f"{field}[{index}].parameters")
    return items


def _inputs(document: dict[str, Any], signature: Signature, tail: Tail) -> dict[str, NDArray[Any]]:
    expected = ", ".join(signature.inputs)
    if "inputs" not in document:
        raise RequestError(f"inputs is missing; the model takes {expected}")
    arrays: dict[str, NDArray[Any]] = {}
    for index, item in enumerate(_list_of_objects(document, "inputs")):
        tensor = _named(item, f"inputs[{index}]", signature.inputs, "an input")
        if tensor.name in arrays:
            raise RequestError(f"inputs[{index}].name {tensor.name!r} is given twice")
        arrays[tensor.name] = _tensor(item, f"inputs[{index}]", tensor, tail)
    missing = [name for name in signature.inputs if name not in arrays]
    if missing:
        raise RequestError(f"inputs lacks {', '.join(missing)}; the model takes {expected}")
    tail.check_empty()
    return {name: arrays[name] for name in signature.inputs}


def _named(item: dict[str, Any], field: str, known: dict[str, Tensor], what: str) -> Tensor:
    name = _required(item, "name", field, str, "a string")
    if name not in known:
        raise RequestError(f"{field}.name {name!r} is not {what} of the model; it has {', '.join(known)}")
    return known[name]


def _required(item: dict[str, Any], key: str, field: str, kind: type, expected: str) -> Any:
    if key not in item:
        raise RequestError(f"{field}.{key} is missing")
    value = item[key]
    if type(value) is not kind:
        raise RequestError(f"{field}.{key} is {json_name(value)}, not {expected}")
    return value


def _tensor(item: dict[str, Any], field: str, tensor: Tensor, tail: Tail) -> NDArray[Any]:
    datatype = _datatype(item, field, tensor)
    shape = _shape(item, field, tensor)
    array = tail.take(item, field, datatype)
    if array is None:
        array = _listed(item, field, datatype, shape)
    if array.size != math.prod(shape):
        raise RequestError(f"{field}.data has {array.size} values, but {field}.shape {shape} needs {math.prod(shape)}")
    return array.reshape(shape)


def _listed(item: dict[str, Any], field: str, datatype: Datatype, shape: list[int]) -> NDArray[Any]:
    """The values that stand in the JSON."""
    if datatype.kind == "raw":
        raise RequestError(f"{field}.datatype is {datatype.name}, which JSON cannot carry; send it as binary data")
    values, nested = flatten(_required(item, "data", field, list, "a list"), f"{field}.data")
    if len(nested) > 1 and nested != shape:
        raise RequestError(f"{field}.data is nested as {nested}, but {field}.shape is {shape}")
    return to_array(values, datatype, f"{field}.data")


def _datatype(item: dict[str, Any], field: str, tensor: Tensor) -> Datatype:
    name = _required(item, "datatype", field, str, "a string")
    if name not in DATATYPES:
        raise RequestError(f"{field}.datatype {name!r} is unknown; known are {', '.join(DATATYPES)}")
    if name != tensor.datatype.name:
        raise RequestError(f"{field}.datatype is {name}, but input {tensor.name!r} takes {tensor.datatype.name}")
    return tensor.datatype


def _shape(item: dict[str, Any], field: str, tensor: Tensor) -> list[int]:
    return check_shape(_required(item, "shape", field, list, "a list of integers"), field, tensor)


def check_shape(shape: list[int], field: str, tensor: Tensor) -> list[int]:
    """The shape given, when the tensor takes it. Raises RequestError."""
    if len(shape) > MAX_RANK or any(type(size) is not int or not 0 <= size < 2**40 for size in shape):
        raise RequestError(f"{field}.shape is not a list of at most {MAX_RANK} sizes of 0 or more")
    fits = len(shape) == len(tensor.shape) and all(
        want in (-1, size) for want, size in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        raise RequestError(f"{field}.shape is {shape}, but input {tensor.name!r} takes {list(tensor.shape)}")
    if 0 in shape and math.prod(size or 1 for size in shape) > MAX_EMPTY:
        raise RequestError(f"{field}.shape is {shape}: a tensor without values has sizes of {MAX_EMPTY} in all at most")
    return shape


def check_symbols(inputs: dict[str, NDArray[Any]], signature: Signature) -> None:
    """Sizes that the model gives one name must be equal across its inputs."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, array in inputs.items():
        for symbol, size in zip(signature.inputs[name].symbols, array.shape, strict=True):
            if symbol is None:
                continue
            known, owner = sizes.setdefault(symbol, (size, name))
            if known != size:
                raise RequestError(
                    f"inputs disagree on {symbol!r}: {owner!r} has {known}, {name!r} has {size}; it must be one size"
                )


def _outputs(
    document: dict[str, Any], signature: Signature, parameters: dict[str, Any]
) -> tuple[list[str], frozenset[str]]:
    """The outputs asked for, and those of them that are to be binary."""
    everywhere = _switch(parameters, "parameters", "binary_data_output", False)
    names = list(signature.outputs)
    if "outputs" not in document:
        return names, frozenset(names if everywhere else ())
    items = _list_of_objects(document, "outputs")
    asked = [_named(item, f"outputs[{i}]", signature.outputs, "an output").name for i, item in enumerate(items)]
    if len(set(asked)) != len(asked):
        raise RequestError("outputs names an output twice")
    if not asked:
        return names, frozenset(names if everywhere else ())
    binary = [
        _switch(item.get("parameters", {}), f"outputs[{i}].parameters", "binary_data", everywhere)
        for i, item in enumerate(items)
    ]
    return asked, frozenset(name for name, wanted in zip(asked, binary, strict=True) if wanted)


def _switch(parameters: dict[str, Any], field: str, key: str, default: bool) -> bool:
    value = parameters.get(key, default)
    if type(value) is not bool:
        raise RequestError(f"{field}.{key} is {json_name(value)}, not true or false")
    return value
