"""An inference answer: named arrays to bytes, as JSON or with binary tensors behind the JSON."""

from collections.abc import Collection
from typing import Any

import orjson
from numpy.typing import NDArray

from plimsoll_serving.codec import Answer, Run
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Response
from plimsoll_serving.v2.binary import pack
from plimsoll_serving.v2.rows import tensor_start

BINARY_TYPE = b"application/octet-stream"


def encode(answer: Answer) -> Response:
    """The V2 answer; data are flat, in row-major order.

    The request's ``encoding`` is the set of the outputs that go as binary tensors; None or empty for none.
    """
    binary = answer.request.encoding
    run = answer.run
    written = b"" if binary else run.texts.tensors(answer.start, answer.stop)
    tail: list[bytes] = []
    if not written:
        written = b",".join([_tensor(answer, name, binary or (), tail) for name in answer.outputs])
    identifier = answer.request.id
    end = b'],"id":%b}' % orjson.dumps(identifier) if identifier is not None else b"]}"
    body = (run.head or _head(run)) + written + end
    if not tail:
        return Response(200, body)
    response = Response(200, b"".join((body, *tail)), BINARY_TYPE)
    response.headers = [(b"inference-header-content-length", b"%d" % len(body))]
    return response


def _tensor(answer: Answer, name: str, binary: Collection[str], tail: list[bytes]) -> bytes:
    """An item of ``outputs``; what goes as a binary tensor is appended to ``tail``."""
    array = answer.outputs[name]
    if name in binary:
        tail.append(pack(array))
        value = b'"parameters":{"binary_data_size":%d}}' % len(tail[-1])
    else:
        value = b'"data":%b}' % _text(answer, name)
    return tensor_start(name, answer.signature.outputs[name].datatype.name) + _shape(array) + value


def _text(answer: Answer, name: str) -> bytes:
    datatype = answer.signature.outputs[name].datatype
    if datatype.kind == "raw":
        raise RequestError(f"output {name!r} is {datatype.name}, which JSON cannot carry; ask for it as binary_data")
    return answer.json(name)


def _shape(array: NDArray[Any]) -> bytes:
    shape = array.shape
    if len(shape) == 2:
        return b"%d,%d]," % shape
    return b"%b]," % b",".join([b"%d" % size for size in shape])


def _head(run: Run) -> bytes:
    names = orjson.dumps(run.served.name), orjson.dumps(run.served.version)
    run.head = b'{"model_name":%b,"model_version":%b,"outputs":[' % names
    return run.head
