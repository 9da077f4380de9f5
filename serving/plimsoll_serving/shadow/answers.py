"""Reads the answer of an inference as arrays, in whatever form it was written. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from plimsoll_serving.errors import RequestError
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.http.message import Response
from plimsoll_serving.v2.binary import unpack
from plimsoll_serving.v2.datatypes import DATATYPES, Datatype
from plimsoll_serving.v2.encode import HEADER_LENGTH
from plimsoll_serving.v2.protobuf import CONTENTS
from plimsoll_serving.v2.values import NON_FINITE, flatten, to_array

BINARY_SIZE = "binary_data_size"


class UnreadableError(Exception):
    """The answer is in no form that is known here."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of an answer.

    Attributes:
        datatype: as the protocol names it.
        shape: sizes; the values are flat, in row-major order.
        values: a list where they came as JSON, an array where they came as bytes. Numbers, booleans or text.
    """

    datatype: str
    shape: list[int]
    values: list[Any] | NDArray[Any]

    def array(self) -> NDArray[Any]:
        """The values as a flat array; BF16 as FP32."""
        if not isinstance(self.values, list):
            return self.values
        return np.array(self.values, dtype=DATATYPES[self.datatype].dtype)


Answer = dict[str, Output]


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


class _Document(msgspec.Struct):
    outputs: list[_Tensor]


_UNFIT = (
    RequestError,
    msgspec.MsgspecError,
    DecodeError,
    RecursionError,
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
)
_MESSAGE = message("inference.ModelInferResponse")
_DOCUMENT = msgspec.json.Decoder(_Document)


def read_answer(response: Response) -> Answer:
    """The outputs of an answer by name. Raises UnreadableError.

    Known are the V2 protocol in JSON, with binary tensors and as protocol buffers (Open Inference Protocol V2: REST,
    the binary tensor data extension, gRPC), and JSON that has ``predictions`` or is itself the list of them.
    """
    content_type = response.content_type.partition(b";")[0].strip().lower()
    read = _READERS.get(content_type)
    if read is None:
        raise UnreadableError(f"content-type {content_type.decode('latin-1')[:100]} is not read here")
    try:
        return read(response)
    except _UNFIT as error:
        raise UnreadableError(str(error)) from error


def _json(response: Response) -> Answer:
    size = next((value for name, value in response.headers if name == HEADER_LENGTH), None)
    if size is not None:
        return _tensors(response.body[: int(size)], response.body[int(size) :])
    try:
        return _tensors(response.body, b"")
    except msgspec.ValidationError:
        return _predictions(msgspec.json.decode(response.body))


def _binary(response: Response) -> Answer:
    """Some clients ask for, and get, ``application/octet-stream`` where JSON comes first."""
    if not any(name == HEADER_LENGTH for name, _ in response.headers):
        raise ValueError(f"{HEADER_LENGTH.decode()} is missing")
    return _json(response)


def _tensors(document: bytes, binary: bytes) -> Answer:
    answer: Answer = {}
    offset = 0
    for tensor in _DOCUMENT.decode(document).outputs:
        datatype = DATATYPES.get(tensor.datatype)
        if datatype is None:
            raise ValueError(f"datatype {tensor.datatype} of output {tensor.name} is not known")
        values: list[Any] | NDArray[Any]
        if tensor.data is None:
            size = tensor.parameters[BINARY_SIZE] if BINARY_SIZE in tensor.parameters else len(binary) - offset
            if type(size) is not int or not 0 <= size <= len(binary) - offset:
                raise ValueError(f"{BINARY_SIZE} of output {tensor.name} is {size!r}")
            values = _numbers(tensor.datatype, unpack(binary, offset, size, datatype, tensor.name))
            offset += size
        else:
            values = _values(tensor.data, datatype, tensor.name)
        if len(values) != math.prod(tensor.shape) or any(size < 0 for size in tensor.shape):
            raise ValueError(f"output {tensor.name} has {len(values)} values, but its shape is {tensor.shape}")
        answer[tensor.name] = Output(tensor.datatype, tensor.shape, values)
    return answer


def _protobuf(response: Response) -> Answer:
    read = _MESSAGE.FromString(response.body)
    raw = read.raw_output_contents
    if raw and len(raw) != len(read.outputs):
        raise ValueError(f"{len(read.outputs)} outputs have {len(raw)} raw contents")
    answer: Answer = {}
    for index, tensor in enumerate(read.outputs):
        datatype, shape = DATATYPES[tensor.datatype], list(tensor.shape)
        values: list[Any] | NDArray[Any]
        if raw:
            values = _numbers(tensor.datatype, unpack(raw[index], 0, len(raw[index]), datatype, tensor.name))
        else:
            values = [_text(value) for value in getattr(tensor.contents, CONTENTS[tensor.datatype])]
        if len(values) != math.prod(shape):
            raise ValueError(f"output {tensor.name} has {len(values)} values, but its shape is {shape}")
        answer[tensor.name] = Output(tensor.datatype, shape, values)
    return answer


def _text(value: Any) -> Any:
    return str(value, "utf-8", "replace") if isinstance(value, bytes) else value


def _numbers(datatype: str, flat: NDArray[Any]) -> NDArray[Any]:
    """BF16 comes as its bits, the upper half of an FP32's."""
    return (flat.astype(np.uint32) << 16).view(np.float32) if datatype == "BF16" else flat


def _values(data: list[Any], datatype: Datatype, name: str) -> list[Any]:
    """The flat values of JSON data. Raises RequestError for what is not of the datatype."""
    if set(map(type, data)) <= _PLAIN[datatype.kind]:
        return data
    values: list[Any] = to_array(flatten(data, name)[0], datatype, name).tolist()
    return values


def _predictions(value: Any) -> Answer:
    """Lists of numbers or texts, or of objects that have the same keys, one a row."""
    if isinstance(value, dict) and "predictions" in value:
        value = value["predictions"]
    if not isinstance(value, list):
        raise TypeError("the answer is neither tensors nor a list of predictions")
    if value and all(isinstance(row, dict) for row in value):
        if any(row.keys() != value[0].keys() for row in value):
            raise ValueError("the rows of the answer have different keys")
        return {str(key): _plain([row[key] for row in value], str(key)) for key in value[0]}
    return {"predictions": _plain(value, "predictions")}


def _plain(values: list[Any], name: str) -> Output:
    """An output whose datatype is what its JSON values are."""
    flat, shape = flatten(values, name)
    kinds = set(map(type, flat))
    if kinds <= {bool}:
        return Output("BOOL", shape, flat)
    if kinds <= {int}:
        return Output("INT64", shape, to_array(flat, DATATYPES["INT64"], name))
    if kinds <= {int, float, type(None)} or (float in kinds and all(_number(value) for value in flat)):
        return Output("FP64", shape, _values(flat, DATATYPES["FP64"], name))
    if kinds <= {str}:
        return Output("BYTES", shape, flat)
    raise ValueError(f"{name} has values of several kinds")


def _number(value: object) -> bool:
    return isinstance(value, int | float | None) or (isinstance(value, str) and value in NON_FINITE)


_PLAIN: dict[str, set[type]] = {"bool": {bool}, "int": {int}, "float": {float}, "bytes": {str}, "raw": set()}
_READERS: dict[bytes, Callable[[Response], Answer]] = {
    b"application/json": _json,
    b"application/octet-stream": _binary,
    b"application/x-protobuf": _protobuf,
}
