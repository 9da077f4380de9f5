"""The quick ways of reading a request read it as the careful way does, and accept nothing that it refuses."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from plimsoll_serving.codec import InferRequest
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Request
from plimsoll_serving.v2.datatypes import DATATYPES
from plimsoll_serving.v2.decode import decode
from plimsoll_serving.v2.rest import RestCodec
from plimsoll_serving.v2.signature import Signature, Tensor
from plimsoll_serving.v2.typed import TypedReader

from tests.fuzz import corpus
from tests.fuzz.mutate import altered, damaged

CASES = 6000


def signature(datatype: str) -> Signature:
    inputs = {"input": Tensor("input", DATATYPES[datatype], (-1, 4), ("rows", None))}
    outputs = {name: Tensor(name, DATATYPES["FP32"], (-1,), (None,)) for name in ("label", "probabilities")}
    return Signature(inputs, outputs)


def same(quick: InferRequest, careful: InferRequest) -> bool:
    return (
        (quick.id, quick.outputs, quick.encoding or frozenset()) == (careful.id, careful.outputs, careful.encoding)
        and list(quick.inputs) == list(careful.inputs)
        and all(
            (a.dtype, a.shape, a.tolist()) == (b.dtype, b.shape, b.tolist())
            or (a.dtype.kind == "f" and np.array_equal(a, b, equal_nan=True))
            for a, b in zip(quick.inputs.values(), careful.inputs.values(), strict=True)
        )
    )


@pytest.mark.parametrize("rows", [1, 60], ids=["short", "long"])
@pytest.mark.parametrize("datatype", ["FP32", "FP16", "FP64", "INT64", "UINT8", "BOOL", "BYTES"])
def test_typed_json_is_read_as_the_careful_way_reads_it(datatype: str, rows: int) -> None:
    model = signature(datatype)
    reader, chance, read = TypedReader(model), random.Random(rows), 0
    cell = {"FP": 0.1, "BO": True, "BY": "text"}.get(datatype[:2], 7)
    tensor = {"name": "input", "datatype": datatype, "shape": [rows, 4], "data": [cell] * 4 * rows}
    for number in range(CASES // 7):
        body = json.dumps(altered({"id": "a", "inputs": [tensor]}, chance)).encode()
        if number % 2:
            body = damaged(body, chance)
        quick = reader.read(body)
        if quick is not None:
            read += 1
            assert same(quick, decode(body, model)), body
    assert read, "no case came through the quick way"


def test_a_known_head_is_read_as_the_careful_way_reads_it() -> None:
    model, chance, answered = signature("FP32"), random.Random(9), 0
    codec = RestCodec(model)
    for _ in range(CASES):
        head, tail = corpus.binary(chance.randint(0, 2))
        if chance.random() < 0.3:
            head = damaged(head, chance) or b"{"  # no head at all means something else
        if chance.random() < 0.3:
            tail = damaged(tail, chance)
        length = (b"inference-header-content-length", b"%d" % len(head))
        request = Request("POST", "/", "", [length], head + tail, True)
        try:
            quick = codec.decode(request, model)
        except RequestError as error:
            with pytest.raises(RequestError) as careful:
                decode(head, model, tail)
            assert careful.value.message == error.message
            continue
        answered += 1
        assert same(quick, decode(head, model, tail)), (head, tail)
    assert answered > CASES / 4
