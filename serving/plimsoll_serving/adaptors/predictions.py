"""Answers as the older protocols write them: one prediction a row."""

import csv
import io
from typing import Any
from urllib.parse import parse_qs

import orjson

from plimsoll_serving.codec import Answer
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Request, Response, error_response
from plimsoll_serving.v2.datatypes import widened
from plimsoll_serving.v2.rows import flat
from plimsoll_serving.v2.signature import Signature
from plimsoll_serving.v2.values import from_array


def wanted_outputs(request: Request, signature: Signature) -> list[str]:
    """The outputs of the query ``?output=…&output=…``, all of them without it. Raises RequestError."""
    names = parse_qs(request.query).get("output", []) if request.query else []
    for name in names:
        if name not in signature.outputs:
            raise RequestError(f"output {name!r} is not an output of the model; it has {', '.join(signature.outputs)}")
    return list(dict.fromkeys(names)) or list(signature.outputs)


def as_json(answer: Answer) -> Response:
    """``{"predictions": […]}`` in TensorFlow Serving's row form.

    One output is written as a list of its values, several as a list of objects; an output of one value a row is that
    value. Outputs that do not have a row for each other's row are written whole, by name.
    """
    rows = {name: _rows(answer, name) for name in answer.outputs}
    if len({len(texts) for texts in rows.values()}) != 1 or not all(a.ndim for a in answer.outputs.values()):
        whole = b",".join(orjson.dumps(name) + b":" + _joined(texts) for name, texts in rows.items())
        return Response(200, b'{"predictions":{' + whole + b"}}")
    if len(rows) == 1:
        (texts,) = rows.values()
    else:
        keys = [orjson.dumps(name) + b":" for name in rows]
        texts = [b"{" + b",".join(map(bytes.__add__, keys, cells)) + b"}" for cells in zip(*rows.values(), strict=True)]
    return Response(200, b'{"predictions":' + _joined(texts) + b"}")


def as_csv(answer: Answer) -> Response:
    """One line a row, without a header: the values of every output in their order."""
    counts = {array.shape[0] if array.ndim else 1 for array in answer.outputs.values()}
    if len(counts) != 1:
        return error_response(406, "accept: the outputs differ in rows, which CSV cannot carry; take application/json")
    rows = max(*counts, 1)
    columns: list[list[Any]] = []
    for name in answer.outputs:
        values = _values(answer, name)
        width = len(values) // rows
        columns += [values[place::width] for place in range(width)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
    return Response(200, text.getvalue().encode(), b"text/csv; charset=utf-8")


def _values(answer: Answer, name: str) -> list[Any]:
    """The values of an output, as text that reads back the same."""
    if answer.signature.outputs[name].datatype.kind == "bytes":
        return from_array(answer.outputs[name])
    return [cell.decode().strip('"') for cell in _cells(answer, name)]


def _cells(answer: Answer, name: str) -> list[bytes]:
    """Each value of an output as JSON, in row-major order."""
    array = answer.outputs[name]
    if not array.size:
        return []
    kind = answer.signature.outputs[name].datatype.kind
    if kind == "bytes":
        return [orjson.dumps(value) for value in from_array(array)]
    if kind == "raw":
        return flat(widened(array))[1:-1].split(b",")
    return answer.json(name)[1:-1].split(b",")  # numbers, booleans and words have no commas inside


def _rows(answer: Answer, name: str) -> list[bytes]:
    """Each row of an output as JSON, nested as its shape."""
    texts = _cells(answer, name)
    sizes = list(answer.outputs[name].shape[1:])
    if sizes == [1]:
        return texts
    for size in reversed(sizes):
        texts = [_joined(texts[start : start + size]) for start in range(0, len(texts), size)] if size else []
    return texts


def _joined(texts: list[bytes]) -> bytes:
    return b"[" + b",".join(texts) + b"]"
