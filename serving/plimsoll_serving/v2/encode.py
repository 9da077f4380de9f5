"""An inference answer: named arrays to bytes, as JSON or with binary tensors behind the JSON."""

from functools import lru_cache
from typing import Any

import orjson
from numpy.typing import NDArray

from plimsoll_serving.codec import Answer
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Response
from plimsoll_serving.v2.binary import pack

BINARY_TYPE = b"application/octet-stream"


def encode(answer: Answer) -> Response:
    """The V2 answer; data are flat, in row-major order.

    The request's ``encoding`` is the set of the outputs that go as binary tensors; None or empty for none.
    """
    binary = answer.request.encoding or ()
    outputs: list[bytes] = []
    tail: list[bytes] = []
    for name, array in answer.outputs.items():
        if name in binary:
            tail.append(pack(array))
            value = b'"parameters":{"binary_data_size":%d}}' % len(tail[-1])
        else:
            value = b'"data":%b}' % _text(answer, name)
        outputs.append(_start(name, answer.signature.outputs[name].datatype.name) + _shape(array) + value)
    identifier = answer.request.id
    end = b'],"id":%b}' % orjson.dumps(identifier) if identifier is not None else b"]}"
    body = b"".join((_head(answer.model, answer.version), b",".join(outputs), end))
    if not tail:
        return Response(200, body)
    response = Response(200, b"".join((body, *tail)), BINARY_TYPE)
    response.headers = [(b"inference-header-content-length", b"%d" % len(body))]
    return response


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


@lru_cache(maxsize=4096)
def _start(name: str, datatype: str) -> bytes:
    return b'{"name":%b,"datatype":"%b","shape":[' % (orjson.dumps(name), datatype.encode())


@lru_cache(maxsize=4096)
def _head(model: str, version: str) -> bytes:
    return b'{"model_name":%b,"model_version":%b,"outputs":[' % (orjson.dumps(model), orjson.dumps(version))
