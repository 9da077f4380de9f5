"""The Open Inference Protocol V2 as protocol buffers: ``ModelInferRequest`` and ``ModelInferResponse``.

A request with raw tensors is answered with raw tensors; one with typed contents (or with the parameters of the binary
extension, which say so) is answered with typed contents, unless an output has a datatype for which there are none.
"""

import math
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from plimsoll_serving.codec import Answer, InferRequest
from plimsoll_serving.errors import RequestError
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.http.message import Request, Response, error_response
from plimsoll_serving.v2.binary import pack, unpack
from plimsoll_serving.v2.datatypes import DATATYPES, Datatype
from plimsoll_serving.v2.decode import check_shape, check_symbols
from plimsoll_serving.v2.messages import KnownAnswers, KnownRequests
from plimsoll_serving.v2.signature import Signature, Tensor

CONTENT_TYPE: Final = b"application/x-protobuf"
_Request = message("inference.ModelInferRequest")
_Response = message("inference.ModelInferResponse")
# Larger messages are not parsed as a whole only to find out whose they are.
_SMALL = 16 * 1024
_FIELDS = 64
_NAME_TAG, _VERSION_TAG = 0x0A, 0x12
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class ProtobufCodec:
    """Reads and writes messages. An error is JSON: its HTTP status says that it is one."""

    def __init__(self) -> None:
        self._requests = KnownRequests()
        self._answers = KnownAnswers()

    def decode(self, request: Request, signature: Signature) -> InferRequest:
        known = self._requests.read(request.body, signature)
        if known is not None:
            return known
        asked = _parsed(request.body)
        raw = asked.raw_input_contents
        inputs = _inputs(asked, raw, signature)
        parameters = _parameters(asked.parameters)
        outputs = _outputs(asked, signature)
        read = InferRequest(asked.id or None, inputs, outputs, parameters, _raw_wanted(asked, parameters))
        if [item.name for item in asked.inputs] == list(inputs) and not any(item.parameters for item in asked.inputs):
            self._requests.learn(request.body, raw, read, signature)
        return read

    def encode(self, answer: Answer) -> Response:
        tensors = answer.signature.outputs
        if not answer.request.encoding and all(tensors[name].datatype.name in CONTENTS for name in answer.outputs):
            return Response(200, _typed_answer(answer), CONTENT_TYPE)
        raw = answer.run.raw.pieces(answer.start, answer.stop) or [pack(array) for array in answer.outputs.values()]
        body = self._answers.write(answer, raw)
        if body is None:
            self._answers.learn(answer, _head(answer).SerializeToString())
            body = self._answers.write(answer, raw)
        return Response(200, body or b"", CONTENT_TYPE)

    def refuse(self, status: int, message: str) -> Response:
        return error_response(status, message)


def _head(answer: Answer) -> Any:
    """The message without its id and its tensors' elements."""
    written = _Response(model_name=answer.model, model_version=answer.version)
    for name, array in answer.outputs.items():
        written.outputs.add(name=name, datatype=answer.signature.outputs[name].datatype.name, shape=array.shape)
    return written


def _typed_answer(answer: Answer) -> bytes:
    written = _head(answer)
    written.id = answer.request.id or ""
    for output, array in zip(written.outputs, answer.outputs.values(), strict=True):
        getattr(output.contents, CONTENTS[output.datatype]).extend(_elements(array))
    encoded: bytes = written.SerializeToString()
    return encoded


def model_of(body: bytes) -> tuple[str, str]:
    """Name and version of the model that a ModelInferRequest asks for; an empty version is none.

    Raises RequestError when the message cannot be read.
    """
    if len(body) > _SMALL:
        found = _scan(body)
        if found is not None:
            return found
    asked = _parsed(body)
    return asked.model_name, asked.model_version


def _scan(body: bytes) -> tuple[str, str] | None:
    """Walk over the fields of a large message without a copy; None when it is not of the usual form."""
    name = version = b""
    position, end = 0, len(body)
    for _ in range(_FIELDS):
        if position == end:
            return name.decode("utf-8", "replace"), version.decode("utf-8", "replace")
        tag, position = body[position], position + 1
        size = shift = 0
        while position < end and shift < 35:
            byte = body[position]
            size |= (byte & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if byte < 0x80:
                break
        if tag & 7 != 2 or tag > 0x3A or position + size > end:
            return None
        if tag == _NAME_TAG:
            name = body[position : position + size]
        elif tag == _VERSION_TAG:
            version = body[position : position + size]
        position += size
    return None


def _parsed(body: bytes) -> Any:
    try:
        return _Request.FromString(body)
    except DecodeError:
        raise RequestError("the message is not an inference.ModelInferRequest") from None


def _inputs(asked: Any, raw: Any, signature: Signature) -> dict[str, NDArray[Any]]:
    given = asked.inputs
    if raw and len(raw) != len(given):
        raise RequestError(f"raw_input_contents has {len(raw)} tensors for {len(given)} inputs; send one for each")
    arrays: dict[str, NDArray[Any]] = {}
    for index, item in enumerate(given):
        tensor = _known(item.name, f"inputs[{index}]", signature.inputs, "an input")
        if item.name in arrays:
            raise RequestError(f"inputs[{index}].name {item.name!r} is given twice")
        arrays[item.name] = _array(item, raw[index] if raw else None, f"inputs[{index}]", tensor)
    if len(arrays) != len(signature.inputs):
        missing = [name for name in signature.inputs if name not in arrays]
        raise RequestError(f"inputs lacks {', '.join(missing)}; the model takes {', '.join(signature.inputs)}")
    if len(arrays) > 1:
        arrays = {name: arrays[name] for name in signature.inputs}
    check_symbols(arrays, signature)
    return arrays


def _known(name: str, field: str, known: dict[str, Tensor], what: str) -> Tensor:
    tensor = known.get(name)
    if tensor is None:
        raise RequestError(f"{field}.name {name!r} is not {what} of the model; it has {', '.join(known)}")
    return tensor


def _array(item: Any, raw: bytes | None, field: str, tensor: Tensor) -> NDArray[Any]:
    datatype = tensor.datatype
    if item.datatype != datatype.name:
        if item.datatype not in DATATYPES:
            raise RequestError(f"{field}.datatype {item.datatype!r} is unknown; known are {', '.join(DATATYPES)}")
        raise RequestError(f"{field}.datatype is {item.datatype}, but input {tensor.name!r} takes {datatype.name}")
    shape = check_shape(list(item.shape), field, tensor)
    if raw is None:
        array, where = _typed(item.contents, datatype, field), f"{field}.contents"
    elif item.HasField("contents"):
        raise RequestError(f"{field}.contents is given besides raw_input_contents; send one of them")
    else:
        where = f"raw_input_contents{field.removeprefix('inputs')}"
        array = unpack(raw, 0, len(raw), datatype, where)
    if array.size != math.prod(shape):
        raise RequestError(f"{where} has {array.size} values, but {field}.shape {shape} needs {math.prod(shape)}")
    return array.reshape(shape)


def _typed(contents: Any, datatype: Datatype, field: str) -> NDArray[Any]:
    """The elements of the field for this datatype; no other may be filled."""
    wanted = CONTENTS.get(datatype.name)
    if wanted is None:
        raise RequestError(f"{field}.datatype is {datatype.name}, which has no contents; send raw_input_contents")
    for descriptor, _ in contents.ListFields():
        if descriptor.name != wanted:
            raise RequestError(f"{field}.contents has {descriptor.name}; {datatype.name} is sent as {wanted}")
    values = getattr(contents, wanted)
    if datatype.kind == "bytes":
        return np.array([_text(value, f"{field}.contents[{i}]") for i, value in enumerate(values)], dtype=object)
    try:
        return np.array(list(values), dtype=datatype.dtype)
    except OverflowError:
        bounds = np.iinfo(datatype.dtype)
        at = next(i for i, value in enumerate(values) if not bounds.min <= value <= bounds.max)
        raise RequestError(
            f"{field}.contents[{at}] is {values[at]}, not from {bounds.min} to {bounds.max} for {datatype.name}"
        ) from None


def _text(value: bytes, field: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RequestError(f"{field} is not UTF-8: {error.reason}") from None


def _elements(array: NDArray[Any]) -> list[Any]:
    """Flat, as the repeated field takes them. Raises UnicodeError for text that is not UTF-8."""
    values: list[Any] = array.reshape(-1).tolist()
    if array.dtype.kind != "O":
        return values
    return [value if isinstance(value, bytes) else str(value).encode() for value in values]


def _outputs(asked: Any, signature: Signature) -> list[str]:
    if not asked.outputs:
        return list(signature.outputs)
    names = [item.name for item in asked.outputs]
    for index, name in enumerate(names):
        _known(name, f"outputs[{index}]", signature.outputs, "an output")
    if len(set(names)) != len(names):
        raise RequestError("outputs names an output twice")
    return names


def _parameters(given: Any) -> dict[str, Any]:
    if not given:
        return {}
    return {name: getattr(value, value.WhichOneof("parameter_choice") or "bool_param") for name, value in given.items()}


def _raw_wanted(asked: Any, parameters: dict[str, Any]) -> bool:
    """Raw and typed tensors cannot be mixed in one message: one output that is to be binary makes all of them raw."""
    told = [_parameters(item.parameters).get("binary_data") for item in asked.outputs if item.parameters]
    if True in told:
        return True
    if False in told:
        return False
    wanted = parameters.get("binary_data_output")
    return bool(asked.raw_input_contents) or not asked.inputs if wanted is None else wanted is True
