"""An inference answer: named arrays to bytes, as JSON or with binary tensors behind the JSON."""

import orjson

from plimsoll_serving.codec import Answer
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Response
from plimsoll_serving.v2.binary import pack

BINARY_TYPE = b"application/octet-stream"


def encode(answer: Answer) -> Response:
    """The V2 answer; data are flat, in row-major order.

    The request's ``encoding`` is the set of the outputs that go as binary tensors; None or empty for none.
    """
    binary = answer.request.encoding
    outputs: list[bytes] = []
    tail: list[bytes] = []
    for name, array in answer.outputs.items():
        datatype = answer.signature.outputs[name].datatype
        if binary and name in binary:
            tail.append(pack(array))
            last = b',"parameters":{"binary_data_size":%d}}' % len(tail[-1])
        elif datatype.kind == "raw":
            raise RequestError(
                f"output {name!r} is {datatype.name}, which JSON cannot carry; ask for it as binary_data"
            )
        else:
            last = b',"data":' + answer.json(name) + b"}"
        shape = b",".join([b"%d" % size for size in array.shape])
        head = b'{"name":%b,"datatype":"%b","shape":[%b]'
        outputs.append(head % (orjson.dumps(name), datatype.name.encode(), shape) + last)
    body = b"".join((_head(answer), b",".join(outputs), b"]}"))
    if not tail:
        return Response(200, body)
    response = Response(200, b"".join((body, *tail)), BINARY_TYPE)
    response.headers = [(b"inference-header-content-length", b"%d" % len(body))]
    return response


def _head(answer: Answer) -> bytes:
    head = b'{"model_name":%b,"model_version":%b,' % (orjson.dumps(answer.model), orjson.dumps(answer.version))
    if answer.request.id is not None:
        head += b'"id":%b,' % orjson.dumps(answer.request.id)
    return head + b'"outputs":['
