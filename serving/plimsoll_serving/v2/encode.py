"""An inference answer: named arrays to bytes, as JSON or with binary tensors behind the JSON."""

from collections.abc import Collection

import orjson

from plimsoll_serving.codec import Answer, Run
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Response
from plimsoll_serving.v2.binary import pack
from plimsoll_serving.v2.rows import tensor_start
from plimsoll_serving.v2.signature import Signature

BINARY_TYPE = b"application/octet-stream"
_SIZE = b'"parameters":{"binary_data_size":%d}}'


def encode(answer: Answer) -> Response:
    """The V2 answer; data are flat, in row-major order.

    The request's ``encoding`` is the set of the outputs that go as binary tensors; None or empty for none.
    """
    binary = answer.request.encoding
    run = answer.run
    tail: list[bytes] = []
    if not binary:
        written = run.texts.tensors(answer.start, answer.stop)
    else:
        tail = run.raw.pieces(answer.start, answer.stop) if len(binary) == len(run.outputs) else []
        written = _described(run, answer.stop - answer.start, tail) if tail else b""
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


def _described(run: Run, rows: int, tail: list[bytes]) -> bytes:
    """The items of ``outputs`` where all are binary: the same for all requests of a run that have as many rows."""
    known = run.raw.described.get(rows)
    if known is None:
        known = b",".join(
            [
                _start(run.served.signature, name, (rows, *array.shape[1:])) + _SIZE % len(data)
                for (name, array), data in zip(run.outputs.items(), tail, strict=True)
            ]
        )
        run.raw.described[rows] = known
    return known


def _tensor(answer: Answer, name: str, binary: Collection[str], tail: list[bytes]) -> bytes:
    """An item of ``outputs``; what goes as a binary tensor is appended to ``tail``."""
    array = answer.outputs[name]
    if name in binary:
        tail.append(pack(array))
        value = _SIZE % len(tail[-1])
    else:
        value = b'"data":%b}' % _text(answer, name)
    return _start(answer.signature, name, array.shape) + value


def _text(answer: Answer, name: str) -> bytes:
    datatype = answer.signature.outputs[name].datatype
    if datatype.kind == "raw":
        raise RequestError(f"output {name!r} is {datatype.name}, which JSON cannot carry; ask for it as binary_data")
    return answer.json(name)


def _start(signature: Signature, name: str, shape: tuple[int, ...]) -> bytes:
    """An item of ``outputs`` up to what tells its elements."""
    sizes = b",".join([b"%d" % size for size in shape])
    return b"%b%b]," % (tensor_start(name, signature.outputs[name].datatype.name), sizes)


def _head(run: Run) -> bytes:
    names = orjson.dumps(run.served.name), orjson.dumps(run.served.version)
    run.head = b'{"model_name":%b,"model_version":%b,"outputs":[' % names
    return run.head
