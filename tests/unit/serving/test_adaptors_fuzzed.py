"""Whatever a body holds, an adaptor reads it or refuses it in a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plimsoll_serving.adaptors.invocations import FORMS, InvocationsCodec
from plimsoll_serving.adaptors.table import Table
from plimsoll_serving.adaptors.v1 import V1Codec
from plimsoll_serving.codec import InferRequest
from plimsoll_serving.errors import RequestError
from plimsoll_serving.v2.signature import Signature

from tests.unit.serving.adaptor_models import CLASSES, IMAGES, MIXED, NUMBERS, request, signature, tensor

SCALARS = signature([tensor("x", "INT8", -1), tensor("flag", "BOOL", -1)], CLASSES)
FREE = signature([tensor("tokens", "INT64", -1, -1), tensor("scale", "FP16")], CLASSES)
HALF = signature([tensor("input", "FP16", -1, 1)], CLASSES)
NOTHING = signature([], CLASSES)
MODELS = [NUMBERS, MIXED, IMAGES, SCALARS, FREE, HALF, NOTHING]
NAMES = ["a", "b", "c", "input", "age", "city", "visits", "x", "flag", "image", "columns", "data"]

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.sampled_from(["", "1", "NaN", "Infinity", "é", "\ud800"])
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from([*FORMS, "params", "signature_name"]), values, max_size=2)
cells = st.sampled_from(["1", "-2.5", "", "x", '"', '"a"', "nan", "1e999", "9" * 50, "true", "a", "age", "\0", " "])


def read(codec: Any, of: Signature, body: bytes, **headers: str) -> InferRequest | None:
    try:
        read: InferRequest = codec.decode(request(body, **headers), of)
    except RequestError as error:
        assert error.message
        assert 400 <= error.status < 500
        return None
    return read


def check(of: Signature, infer: InferRequest | None) -> None:
    if infer is None:
        return
    assert list(infer.inputs) == list(of.inputs)
    for name, array in infer.inputs.items():
        wanted = of.inputs[name]
        assert array.dtype == wanted.datatype.dtype
        assert array.ndim == len(wanted.shape)
        assert all(want in (-1, size) for want, size in zip(wanted.shape, array.shape, strict=True))


@pytest.mark.parametrize("of", MODELS, ids=[",".join(model.inputs) for model in MODELS])
@given(document=bodies)
@example(document={"instances": [{}]})
@example(document={"dataframe_split": {"columns": [], "data": [[]]}})
@settings(max_examples=150, deadline=None)
def test_any_json_is_read_or_refused(of: Signature, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    table = Table(of, ["a", "b", "c"])
    for codec in (V1Codec(table), InvocationsCodec(table)):
        check(of, read(codec, of, body))


@pytest.mark.parametrize("of", MODELS, ids=[",".join(model.inputs) for model in MODELS])
@given(
    lines=st.lists(st.lists(cells, max_size=4), max_size=4),
    header=st.sampled_from(["", "; header=present", "; header=absent", "; header=", "; charset"]),
    noise=st.binary(max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_any_csv_is_read_or_refused(of: Signature, lines: list[list[str]], header: str, noise: bytes) -> None:
    body = "\n".join(map(",".join, lines)).encode() + noise
    check(of, read(InvocationsCodec(Table(of, ["a", "b", "c"])), of, body, content_type="text/csv" + header))


@given(body=st.binary(max_size=200), kind=st.binary(max_size=40), accept=st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(body: bytes, kind: bytes, accept: bytes) -> None:
    asked = request(body)
    asked.headers = [(b"content-type", kind), (b"accept", accept)]
    for codec in (V1Codec(Table(NUMBERS)), InvocationsCodec(Table(NUMBERS))):
        try:
            check(NUMBERS, codec.decode(asked, NUMBERS))
        except RequestError as error:
            assert error.message
