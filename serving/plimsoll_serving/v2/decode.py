"""An inference request: bytes to named arrays, checked against the model's signature."""

import math
from dataclasses import dataclass
from typing import Any

import msgspec
from numpy.typing import NDArray

from plimsoll_serving.errors import RequestError
from plimsoll_serving.v2.datatypes import DATATYPES, Datatype
from plimsoll_serving.v2.signature import Signature, Tensor
from plimsoll_serving.v2.values import MAX_RANK, flatten, json_name, to_array


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded request: arrays by input name, and the outputs asked for in their order."""

    id: str | None
    inputs: dict[str, NDArray[Any]]
    outputs: list[str]


def decode(body: bytes, signature: Signature) -> InferRequest:
    """Read a V2 inference request. Raises RequestError naming the field at fault and what is expected."""
    document = _parse(body)
    identifier = document.get("id")
    if identifier is not None and type(identifier) is not str:
        raise RequestError(f"id is {json_name(identifier)}, not a string")
    _check_parameters(document, "parameters")
    inputs = _inputs(document, signature)
    _check_symbols(inputs, signature)
    return InferRequest(identifier, inputs, _outputs(document, signature))


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except RecursionError:
        raise RequestError("the body is not JSON that can be read: it is nested too deep") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RequestError(f"the body is not JSON: {error}") from None
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


def _inputs(document: dict[str, Any], signature: Signature) -> dict[str, NDArray[Any]]:
    expected = ", ".join(signature.inputs)
    if "inputs" not in document:
        raise RequestError(f"inputs is missing; the model takes {expected}")
    arrays: dict[str, NDArray[Any]] = {}
    for index, item in enumerate(_list_of_objects(document, "inputs")):
        tensor = _named(item, f"inputs[{index}]", signature.inputs, "an input")
        if tensor.name in arrays:
            raise RequestError(f"inputs[{index}].name {tensor.name!r} is given twice")
        arrays[tensor.name] = _tensor(item, f"inputs[{index}]", tensor)
    missing = [name for name in signature.inputs if name not in arrays]
    if missing:
        raise RequestError(f"inputs lacks {', '.join(missing)}; the model takes {expected}")
    return arrays


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


def _tensor(item: dict[str, Any], field: str, tensor: Tensor) -> NDArray[Any]:
    datatype = _datatype(item, field, tensor)
    shape = _shape(item, field, tensor)
    values, nested = flatten(_required(item, "data", field, list, "a list"), f"{field}.data")
    size = math.prod(shape)
    if len(nested) > 1 and nested != shape:
        raise RequestError(f"{field}.data is nested as {nested}, but {field}.shape is {shape}")
    if len(values) != size:
        raise RequestError(f"{field}.data has {len(values)} values, but {field}.shape {shape} needs {size}")
    return to_array(values, datatype, f"{field}.data").reshape(shape)


def _datatype(item: dict[str, Any], field: str, tensor: Tensor) -> Datatype:
    name = _required(item, "datatype", field, str, "a string")
    if name not in DATATYPES:
        raise RequestError(f"{field}.datatype {name!r} is unknown; known are {', '.join(DATATYPES)}")
    if name != tensor.datatype.name:
        raise RequestError(f"{field}.datatype is {name}, but input {tensor.name!r} takes {tensor.datatype.name}")
    return tensor.datatype


def _shape(item: dict[str, Any], field: str, tensor: Tensor) -> list[int]:
    shape: list[int] = _required(item, "shape", field, list, "a list of integers")
    if len(shape) > MAX_RANK or any(type(size) is not int or not 0 <= size < 2**40 for size in shape):
        raise RequestError(f"{field}.shape is not a list of at most {MAX_RANK} sizes of 0 or more")
    fits = len(shape) == len(tensor.shape) and all(
        want in (-1, size) for want, size in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        raise RequestError(f"{field}.shape is {shape}, but input {tensor.name!r} takes {list(tensor.shape)}")
    return shape


def _check_symbols(inputs: dict[str, NDArray[Any]], signature: Signature) -> None:
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


def _outputs(document: dict[str, Any], signature: Signature) -> list[str]:
    if "outputs" not in document:
        return list(signature.outputs)
    items = _list_of_objects(document, "outputs")
    names = [_named(item, f"outputs[{i}]", signature.outputs, "an output").name for i, item in enumerate(items)]
    if len(set(names)) != len(names):
        raise RequestError("outputs names an output twice")
    return names or list(signature.outputs)
