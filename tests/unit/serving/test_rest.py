"""The quick readers against the careful one, and the binary tensor extension."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll_serving.codec import Answer, InferRequest, Run
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Request
from plimsoll_serving.v2.binary import pack, unpack
from plimsoll_serving.v2.datatypes import DATATYPES
from plimsoll_serving.v2.decode import decode
from plimsoll_serving.v2.encode import HEADER_LENGTH, Descriptions, encode
from plimsoll_serving.v2.rest import RestCodec
from plimsoll_serving.v2.signature import Signature
from plimsoll_serving.v2.typed import LONG_BODY, TypedReader

from tests.unit.serving.test_decode import Made, arrays, signature, tensor, written

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.booleans() | st.none() | st.text(max_size=2)
values = st.lists(st.integers(-5, 5) | st.floats(-10, 10), max_size=6) | st.lists(
    numbers | st.lists(numbers), max_size=4
)
names = st.sampled_from(["x", "x", "x", "z", ""])
items = st.fixed_dictionaries(
    {
        "name": names,
        "datatype": st.sampled_from(["FP32", "FP32", "FP64", "INT64", "BOOL", "BYTES", "nonsense"]),
        "shape": st.lists(st.integers(-1, 6) | st.booleans() | st.floats(0, 3), max_size=3),
        "data": values,
    },
    optional={"parameters": st.just({}) | st.just({"binary_data_size": 4}), "other": st.integers()},
)
documents = st.fixed_dictionaries(
    {"inputs": st.lists(items, max_size=2)},
    optional={"id": st.text(max_size=3) | st.integers(), "outputs": st.just([{"name": "y"}]), "more": st.none()},
)


def careful(body: bytes, datatype: str, shape: tuple[int, ...], tail: bytes = b"") -> InferRequest | None:
    try:
        return decode(body, signature(tensor("x", datatype, shape)), tail)
    except RequestError:
        return None


@settings(max_examples=400)
@given(documents, st.sampled_from(["FP32", "FP64", "FP16", "INT64", "BOOL", "BYTES"]), st.booleans(), st.booleans())
def test_what_the_quick_way_reads_the_careful_way_reads_too(
    document: dict[str, Any], datatype: str, matrix: bool, long: bool
) -> None:
    shape = (-1, 2) if matrix else (-1,)
    for item in document["inputs"]:
        if item["datatype"] == "FP32":
            item["datatype"] = datatype
        if len(item["shape"]) <= 1 and all(type(size) is int for size in item["shape"]):
            count = len(item["data"])
            item["shape"] = [count // 2, 2] if matrix else [count]
    body = json.dumps(document).encode() + b" " * (LONG_BODY if long else 0)
    quick = TypedReader(signature(tensor("x", datatype, shape))).read(body)
    if quick is None:
        return
    wanted = careful(body, datatype, shape)
    assert wanted is not None, "the careful way refuses it"
    assert (quick.id, quick.outputs, quick.parameters) == (wanted.id, wanted.outputs, wanted.parameters)
    assert quick.inputs["x"].dtype == wanted.inputs["x"].dtype
    np.testing.assert_array_equal(quick.inputs["x"], wanted.inputs["x"])


@pytest.mark.parametrize("rows", [1, 3, 200])
@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != "BF16"])
def test_requests_of_the_usual_form_are_read_the_quick_way(datatype: str, rows: int) -> None:
    data = ["a", "ü"] if datatype == "BYTES" else [True, False] if datatype == "BOOL" else [1, 2]
    item = {"name": "x", "datatype": datatype, "shape": [rows, 2], "data": data * rows}
    body = json.dumps({"id": "7", "inputs": [item]}).encode()
    quick = TypedReader(signature(tensor("x", datatype, (-1, 2)))).read(body)
    assert quick is not None
    assert (quick.id, quick.inputs["x"].tolist()) == ("7", [data] * rows)


def test_ragged_lists_that_add_up_are_not_read_the_quick_way() -> None:
    item = {"name": "x", "datatype": "FP32", "shape": [2], "data": [[1.5, 2.5], []]}
    body = json.dumps({"inputs": [item]}).encode() + b" " * LONG_BODY
    assert TypedReader(signature(tensor("x", "FP32", (-1,)))).read(body) is None
    assert careful(body, "FP32", (-1,)) is None


def test_numbers_beyond_the_datatype_are_left_to_the_careful_way() -> None:
    item = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1e39]}
    reader = TypedReader(signature(tensor("x", "FP32", (-1,))))
    assert reader.read(json.dumps({"inputs": [item]}).encode()) is None
    item["data"] = [3e38]
    assert reader.read(json.dumps({"inputs": [item]}).encode()) is not None


@pytest.mark.parametrize("datatype", DATATYPES)
@settings(max_examples=25)
@given(st.data())
def test_binary_tensors_come_back_bit_for_bit(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype))
    packed = pack(array)
    back = unpack(b"\0" + packed, 1, len(packed), DATATYPES[datatype], "x").reshape(array.shape)
    assert back.dtype == array.dtype
    assert pack(back) == packed
    response = written(array, datatype, binary=("y",))
    size = int(dict(response.headers)[HEADER_LENGTH])
    (output,) = json.loads(response.body[:size])["outputs"]
    assert output["parameters"] == {"binary_data_size": len(packed)}
    assert response.body[size:] == packed


def binary(document: dict[str, Any], tail: bytes, length: bytes | None = None) -> Request:
    head = json.dumps(document).encode() if document else b""
    header = (HEADER_LENGTH, length or b"%d" % len(head))
    return Request("POST", "/", "", [header], head + tail, True)


def item(size: Any = 8, **more: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": size}, **more}


def test_a_known_head_reads_new_bytes() -> None:
    known = signature(tensor("x", "FP32", (-1,)))
    codec = RestCodec(known)
    for numbers_ in ([1.5, 2.5], [3.5, 4.5], [5.5, 6.5]):
        sent = binary({"inputs": [item()]}, np.float32(numbers_).tobytes())
        assert codec.decode(sent, known).inputs["x"].tolist() == numbers_
    with pytest.raises(RequestError, match="only 4 bytes are left"):
        codec.decode(binary({"inputs": [item()]}, b"\0" * 4), known)


def test_strings_of_a_known_head_are_counted_again() -> None:
    known = signature(tensor("x", "BYTES", (-1,)))
    codec = RestCodec(known)
    document = {"inputs": [{**item(size=10), "datatype": "BYTES"}]}
    good = b"\1\0\0\0a\1\0\0\0b"
    for _ in range(2):
        assert codec.decode(binary(document, good), known).inputs["x"].tolist() == ["a", "b"]
    with pytest.raises(RequestError, match=r"inputs\[0\].data has 1 values, but inputs\[0\].shape \[2\] needs 2"):
        codec.decode(binary(document, b"\6\0\0\0abcdef"), known)


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (binary({"inputs": [item()]}, b"", b"x"), "is 'x', not the number of bytes of the JSON in a body of"),
        (binary({"inputs": [item()]}, b"", b"9999"), "is '9999', not the number of bytes"),
        (binary({"inputs": [item(-1)]}, b""), "inputs[0].parameters.binary_data_size is -1, not a number of bytes"),
        (binary({"inputs": [item(True)]}, b""), "inputs[0].parameters.binary_data_size is true, not a number of bytes"),
        (
            binary({"inputs": [item(8)]}, b"", length=b"5"),
            "inference-header-content-length is 5, of a body of 100 bytes: there the body is not JSON: Input data was "
            "truncated",
        ),
        (
            binary({"inputs": [item(7)]}, b"\0" * 7),
            "the binary data of inputs[0] has 7 bytes, not a multiple of 4 for FP32",
        ),
        (binary({"inputs": [item(4)]}, b"\0" * 4), "inputs[0].data has 1 values, but inputs[0].shape [2] needs 2"),
        (binary({"inputs": [item()]}, b"\0" * 9), "1 bytes behind the JSON belong to no input"),
        (binary({"inputs": [item(data=[1])]}, b"\0" * 8), "inputs[0] has both data and parameters.binary_data_size"),
        (binary({}, b"\0" * 7), "the body has 7 bytes, not a multiple of the 4 of one row"),
    ],
)
def test_a_refusal_of_binary_data_names_the_field(sent: Request, sentence: str) -> None:
    known = signature(tensor("x", "FP32", (-1,)))
    with pytest.raises(RequestError) as caught:
        RestCodec(known).decode(sent, known)
    assert sentence in caught.value.message


def test_a_body_without_json_is_the_one_input() -> None:
    known = signature(tensor("x", "FP32", (-1, 2)))
    decoded = RestCodec(known).decode(binary({}, np.float32([1, 2, 3, 4]).tobytes()), known)
    assert decoded.inputs["x"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("asked", "parameters", "wanted"),
    [
        (None, {}, set()),
        (None, {"binary_data_output": True}, {"y", "z"}),
        ([{"name": "z", "parameters": {"binary_data": True}}, {"name": "y"}], {}, {"z"}),
        ([{"name": "z", "parameters": {"binary_data": False}}, {"name": "y"}], {"binary_data_output": True}, {"y"}),
    ],
)
def test_outputs_are_binary_where_they_are_asked_to_be(asked: Any, parameters: Any, wanted: set[str]) -> None:
    document = {"inputs": [item()], "parameters": parameters} | ({} if asked is None else {"outputs": asked})
    known = signature(tensor("x", "FP32", (-1,)))
    assert RestCodec(known).decode(binary(document, b"\0" * 8), known).encoding == wanted


@given(st.sampled_from(sorted(DATATYPES)), st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(1, 3), min_size=1))
def test_binary_answers_cut_from_one_run_are_those_that_are_written_alone(
    one: str, other: str, sizes: list[int]
) -> None:
    rows = sum(sizes)
    numbers = np.arange(rows * 4) % 2
    outputs = {"y": _as(one, numbers[::4]), "z": _as(other, numbers.reshape(rows, 2, 2))}
    made = Made(Signature({}, {"y": tensor("y", one, (-1,)), "z": tensor("z", other, (-1, 2, 2))}))
    asked = InferRequest(None, {}, ["y", "z"], encoding=frozenset(outputs))
    run, start = Run(outputs, rows, made), 0
    descriptions: Descriptions = {}
    for size in sizes:
        cut = encode(Answer(asked, run, (start, start + size), alone=False), descriptions)
        own = {name: array[start : start + size] for name, array in outputs.items()}
        alone = encode(Answer(asked, Run(own, None, made), (0, 1), alone=True), {})
        assert (cut.body, cut.headers, cut.content_type) == (alone.body, alone.headers, alone.content_type)
        start += size


def _as(datatype: str, numbers: Any) -> Any:
    array = numbers.astype(DATATYPES[datatype].dtype)
    return np.vectorize(str, otypes=[object])(numbers) if datatype == "BYTES" else array
