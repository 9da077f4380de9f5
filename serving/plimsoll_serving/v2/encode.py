"""An inference answer: named arrays to bytes, as JSON or with binary tensors behind the JSON."""

from collections.abc import Collection
from typing import Any, Final

import orjson

from plimsoll_serving.codec import Answer, Run
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Header, Response
from plimsoll_serving.v2.binary import pack
from plimsoll_serving.v2.rows import tensor_start
from plimsoll_serving.v2.signature import Signature

BINARY_TYPE: Final = b"application/octet-stream"
KEPT = 256
HEADER_LENGTH: Final = b"inference-header-content-length"
_END: Final = b"]}"
_SIZE = b'"parameters":{"binary_data_size":%d}}'


# The JSON before binary tensors and the header that tells its length, by the rows, names and shapes of the outputs.
Descriptions = dict[tuple[Any, ...], tuple[bytes, Header]]


def encode(answer: Answer, descriptions: Descriptions) -> Response:
    """The V2 answer; data are flat, in row-major order.

    The request's ``encoding`` is the set of the outputs that go as binary tensors; None or empty for none.

    Args:
        descriptions: what was written before, of this model.
    """
    binary, run = answer.request.encoding, answer.run
    if binary and len(binary) == len(run.outputs):
        pieces = run.raw.pieces(answer.start, answer.stop)
        if pieces:
            return _all_binary(answer, pieces, descriptions)
    tail: list[bytes] = []
    written = b"" if binary else run.texts.tensors(answer.start, answer.stop)
    if not written:
        written = b",".join([_tensor(answer, name, binary or (), tail) for name in answer.outputs])
    text = (run.head or _head(run)) + written + _end(answer)
    return _binary(text, tail) if tail else Response(200, text)


def _all_binary(answer: Answer, tail: list[bytes], descriptions: Descriptions) -> Response:
    run, rows = answer.run, answer.stop - answer.start
    known = run.raw.described.get(rows)
    if known is None:
        known = run.raw.described[rows] = _described(run, rows, tail, descriptions)
    text, length = known
    if answer.request.id is None:
        return Response(200, b"".join([text, *tail]), BINARY_TYPE, [length])
    return _binary(text[: -len(_END)] + _end(answer), tail)


def _binary(text: bytes, tail: list[bytes]) -> Response:
    return Response(200, b"".join([text, *tail]), BINARY_TYPE, [(HEADER_LENGTH, b"%d" % len(text))])


def _end(answer: Answer) -> bytes:
    identifier = answer.request.id
    return _END if identifier is None else b'],"id":%b}' % orjson.dumps(identifier)


def _described(run: Run, rows: int, tail: list[bytes], descriptions: Descriptions) -> tuple[bytes, Header]:
    """Of an answer without id where all outputs are binary."""
    key = (rows, *[(name, array.shape[1:]) for name, array in run.outputs.items()])
    known = descriptions.get(key)
    if known is None:
        items = b",".join(
            [
                _start(run.served.signature, name, (rows, *array.shape[1:])) + _SIZE % len(data)
                for (name, array), data in zip(run.outputs.items(), tail, strict=True)
            ]
        )
        text = (run.head or _head(run)) + items + _END
        if len(descriptions) >= KEPT:
            descriptions.clear()
        known = descriptions[key] = text, (HEADER_LENGTH, b"%d" % len(text))
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
