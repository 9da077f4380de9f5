"""The request codec against numpy, and the sentence of every refusal."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plimsoll_serving.codec import Answer, InferRequest, Run
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Response
from plimsoll_serving.v2.datatypes import DATATYPES, of_onnx
from plimsoll_serving.v2.decode import decode
from plimsoll_serving.v2.encode import encode
from plimsoll_serving.v2.signature import Signature, Tensor

# JSON has no form for the others.
IN_JSON = [name for name, datatype in DATATYPES.items() if datatype.kind != "raw"]
WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def tensor(name: str, datatype: str, shape: tuple[int, ...], symbols: tuple[str | None, ...] | None = None) -> Tensor:
    return Tensor(name, DATATYPES[datatype], shape, symbols or (None,) * len(shape))


def signature(*inputs: Tensor) -> Signature:
    return Signature(
        {item.name: item for item in inputs}, {"y": tensor("y", "FP32", (-1,)), "z": tensor("z", "FP32", (-1,))}
    )


def json_values(array: np.ndarray[Any, Any]) -> list[Any]:
    def value(item: Any) -> Any:
        if isinstance(item, float) and not math.isfinite(item):
            return "NaN" if math.isnan(item) else "Infinity" if item > 0 else "-Infinity"
        return item

    return [value(item) for item in array.reshape(-1).tolist()]


def nest(values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    for size in reversed(shape[1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return values


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def arrays(datatype: str, min_side: int = 0) -> st.SearchStrategy[Any]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=min_side, max_side=4)
    elements = texts if datatype == "BYTES" else None
    return hnp.arrays(DATATYPES[datatype].dtype, shapes, elements=elements)


def request(array: np.ndarray[Any, Any], datatype: str, data: list[Any]) -> bytes:
    item = {"name": "x", "datatype": datatype, "shape": list(array.shape), "data": data}
    return json.dumps({"inputs": [item]}).encode()


def written(array: np.ndarray[Any, Any], datatype: str, binary: tuple[str, ...] = ()) -> Response:
    """The answer of a model with one output."""
    made = Made(Signature({}, {"y": tensor("y", datatype, (-1,) * array.ndim)}))
    request = InferRequest(None, {}, ["y"], encoding=frozenset(binary))
    return encode(Answer(request, Run({"y": array}, None, made), (0, 1), alone=True), {})


@dataclass
class Made:
    signature: Signature
    name: str = "m"
    version: str = "1"


@pytest.mark.parametrize("datatype", IN_JSON)
@settings(max_examples=25)
@given(st.data())
def test_every_array_survives_the_way_in(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype))
    free = signature(tensor("x", datatype, (-1,) * array.ndim))
    decoded = decode(request(array, datatype, json_values(array)), free).inputs["x"]
    assert decoded.dtype == DATATYPES[datatype].dtype
    np.testing.assert_array_equal(decoded, array)


@pytest.mark.parametrize("datatype", IN_JSON)
@settings(max_examples=25)
@given(st.data())
def test_nested_lists_are_the_same_as_flat_ones(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype, min_side=1).filter(lambda drawn: drawn.ndim > 0))
    free = signature(tensor("x", datatype, (-1,) * array.ndim))
    nested = nest(json_values(array), array.shape)
    np.testing.assert_array_equal(decode(request(array, datatype, nested), free).inputs["x"], array)


@pytest.mark.parametrize("datatype", IN_JSON)
@settings(max_examples=25)
@given(st.data())
def test_every_array_survives_the_way_out(datatype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(datatype))
    answer = json.loads(written(array, datatype).body)["outputs"][0]
    values = [WORDS.get(value, value) if array.dtype.kind == "f" else value for value in answer["data"]]
    np.testing.assert_array_equal(np.array(values, dtype=array.dtype).reshape(answer["shape"]), array)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | texts, lambda inner: st.lists(inner, max_size=3)
    )
)
def test_whatever_the_data_the_refusal_names_them(data: Any) -> None:
    item = {"name": "x", "datatype": "INT8", "shape": [2], "data": data}
    try:
        decoded = decode(json.dumps({"inputs": [item]}, allow_nan=True).encode(), signature(tensor("x", "INT8", (-1,))))
    except RequestError as error:
        assert error.message.startswith(("inputs[0].data", "the body is not JSON"))
    else:
        assert decoded.inputs["x"].tolist() == data


@given(st.binary(max_size=60))
def test_no_bytes_whatever_get_past_the_parser_as_anything_but_a_refusal(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        decode(body, signature(tensor("x", "FP32", (-1,))))
    assert caught.value.status == 400


def body(**changes: Any) -> bytes:
    item: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    item.update(changes)
    return json.dumps({"inputs": [{key: value for key, value in item.items() if value is not ...}]}).encode()


REFUSALS = [
    (b"", "the body is not JSON: Input data was truncated"),
    (b'{"inputs": [NaN]}', 'inputs[0] is NaN, which JSON has no word for; send "NaN" in quotes, or null'),
    (b'{"inputs": [NaN', "the body is not JSON: JSON is malformed: invalid character (byte 12)"),
    (b'{"inputs": [NaN' + b"[" * 100_000, "the body is not JSON: JSON is malformed: invalid character (byte 12)"),
    (b'{"id": "NaN", "inputs": x}', "the body is not JSON: JSON is malformed: invalid character (byte 24)"),
    (
        b'{"inputs": [{"name": "x", "data": [1, [-Infinity]]}]}',
        'inputs[0].data[1][0] is -Infinity, which JSON has no word for; send "-Infinity" in quotes',
    ),
    (
        b'{"inputs": [{"name": "x", "data": [1, 1e999]}]}',
        'inputs[0].data[1] is 1e999, beyond the largest 64-bit float; if that is meant, send "Infinity" in quotes',
    ),
    (
        b"-" + b"9" * 5000,
        f'the body is -{"9" * 19}…, beyond the largest 64-bit float; if that is meant, send "-Infinity" in quotes',
    ),
    (b"[" * 100_000, "the body is not JSON that can be read: it is nested too deep"),
    (b"[]", 'the body is a list, not an object with "inputs"'),
    (b"{}", "inputs is missing; the model takes x"),
    (b'{"inputs": 3}', "inputs is a number, not a list"),
    (b'{"inputs": [3]}', "inputs[0] is a number, not an object"),
    (b'{"inputs": []}', "inputs lacks x; the model takes x"),
    (b'{"id": 3, "inputs": []}', "id is a number, not a string"),
    (b'{"parameters": [], "inputs": []}', "parameters is a list, not an object"),
    (body(parameters=1), "inputs[0].parameters is a number, not an object"),
    (body(name=...), "inputs[0].name is missing"),
    (body(name=1), "inputs[0].name is a number, not a string"),
    (body(name="w"), "inputs[0].name 'w' is not an input of the model; it has x"),
    (body(datatype=...), "inputs[0].datatype is missing"),
    (
        body(datatype="FLOAT"),
        "inputs[0].datatype 'FLOAT' is unknown; known are BOOL, INT8, INT16, INT32, INT64, "
        "UINT8, UINT16, UINT32, UINT64, FP16, FP32, FP64, BYTES, BF16",
    ),
    (body(datatype="FP64"), "inputs[0].datatype is FP64, but input 'x' takes FP32"),
    (body(shape=...), "inputs[0].shape is missing"),
    (body(shape="1"), "inputs[0].shape is a string, not a list of integers"),
    (body(shape=[1, -1]), "inputs[0].shape is not a list of at most 32 sizes of 0 or more"),
    (body(shape=[1, True]), "inputs[0].shape is not a list of at most 32 sizes of 0 or more"),
    (body(shape=[2, 1]), "inputs[0].shape is [2, 1], but input 'x' takes [-1, 2]"),
    (body(shape=[2]), "inputs[0].shape is [2], but input 'x' takes [-1, 2]"),
    (body(data=...), "inputs[0].data is missing"),
    (body(data=5), "inputs[0].data is a number, not a list"),
    (body(data=[1]), "inputs[0].data has 1 values, but inputs[0].shape [1, 2] needs 2"),
    (body(data=[[1], [2]]), "inputs[0].data is nested as [2, 1], but inputs[0].shape is [1, 2]"),
    (body(data=[[1, 2], 3]), "inputs[0].data mixes lists and values at depth 1"),
    (body(data=[[1, 2], [3]]), "inputs[0].data is ragged: lists of 1 and of 2 values at depth 1"),
    (
        body(data=[1, "2"]),
        'inputs[0].data[1] is a string, not a number, null, "NaN", "Infinity" or "-Infinity" for FP32',
    ),
    (body(data=[True, 1]), 'inputs[0].data[0] is True, not a number, null, "NaN", "Infinity" or "-Infinity" for FP32'),
    (body(data=[1, 1e39]), "inputs[0].data[1] is 1e+39, not a number of at most 3.40282e+38 for FP32"),
    (body(data=[1, 10**400]), "inputs[0].data[1] is 1" + "0" * 400 + ", not a number of at most 3.40282e+38 for FP32"),
]


@pytest.mark.parametrize(("request_body", "sentence"), REFUSALS, ids=[sentence[:60] for _, sentence in REFUSALS])
def test_a_refusal_names_the_field_and_what_is_expected(request_body: bytes, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode(request_body, signature(tensor("x", "FP32", (-1, 2))))
    assert caught.value.message == sentence


@pytest.mark.parametrize("shape", [(20_000_000, 0), (0, 2**39), (2**39, 0)])
def test_a_tensor_without_values_may_not_be_large(shape: tuple[int, int]) -> None:
    free = signature(tensor("x", "FP32", (-1, -1)))
    with pytest.raises(RequestError, match="a tensor without values has sizes of 1048576 in all at most"):
        decode(body(shape=list(shape), data=[]), free)
    assert decode(body(shape=[0, 768], data=[]), free).inputs["x"].shape == (0, 768)


@pytest.mark.parametrize(
    ("datatype", "value", "expected"),
    [
        ("INT8", 128, "inputs[0].data[0] is 128, not an integer from -128 to 127 for INT8"),
        ("UINT64", -1, "inputs[0].data[0] is -1, not an integer from 0 to 18446744073709551615 for UINT64"),
        (
            "INT64",
            1.5,
            "inputs[0].data[0] is 1.5, not an integer from -9223372036854775808 to 9223372036854775807 for INT64",
        ),
        ("INT32", True, "inputs[0].data[0] is True, not an integer from -2147483648 to 2147483647 for INT32"),
        ("BOOL", 1, "inputs[0].data[0] is 1, not true or false for BOOL"),
        ("BYTES", None, "inputs[0].data[0] is null, not a string for BYTES"),
        ("FP16", 65520, "inputs[0].data[0] is 65520, not a number of at most 65504 for FP16"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_never_rounded(datatype: str, value: Any, expected: str) -> None:
    item = {"name": "x", "datatype": datatype, "shape": [1], "data": [value]}
    with pytest.raises(RequestError) as caught:
        decode(json.dumps({"inputs": [item]}).encode(), signature(tensor("x", datatype, (-1,))))
    assert caught.value.message == expected


def test_an_integer_written_with_a_point_is_an_integer() -> None:
    item = {"name": "x", "datatype": "INT64", "shape": [2], "data": [3.0, 4]}
    decoded = decode(json.dumps({"inputs": [item]}).encode(), signature(tensor("x", "INT64", (-1,))))
    assert decoded.inputs["x"].tolist() == [3, 4]


def test_null_is_a_missing_number() -> None:
    decoded = decode(body(data=[None, 1.5]), signature(tensor("x", "FP32", (-1, 2))))
    assert np.isnan(decoded.inputs["x"][0, 0])
    assert decoded.inputs["x"][0, 1] == 1.5


def two_inputs(rows: int) -> bytes:
    items = [{"name": name, "datatype": "FP32", "shape": [n], "data": [0] * n} for name, n in (("a", 2), ("b", rows))]
    return json.dumps({"inputs": items}).encode()


def test_sizes_of_one_name_must_agree_between_inputs() -> None:
    named = signature(tensor("a", "FP32", (-1,), ("batch",)), tensor("b", "FP32", (-1,), ("batch",)))
    assert set(decode(two_inputs(2), named).inputs) == {"a", "b"}
    with pytest.raises(RequestError, match="inputs disagree on 'batch': 'a' has 2, 'b' has 3; it must be one size"):
        decode(two_inputs(3), named)


def with_outputs(*outputs: Any) -> bytes:
    return json.dumps({**json.loads(body()), "outputs": list(outputs)}).encode()


def test_outputs_are_answered_as_they_are_asked_for() -> None:
    shape = signature(tensor("x", "FP32", (-1, 2)))
    assert decode(body(), shape).outputs == ["y", "z"]
    assert decode(with_outputs({"name": "z"}, {"name": "y"}), shape).outputs == ["z", "y"]
    assert decode(with_outputs(), shape).outputs == ["y", "z"]


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ([{"name": "q"}], "outputs[0].name 'q' is not an output of the model; it has y, z"),
        ([{"name": "y"}, {"name": "y"}], "outputs names an output twice"),
        ([{}], "outputs[0].name is missing"),
    ],
)
def test_an_output_that_is_not_there_is_refused(outputs: list[Any], sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode(with_outputs(*outputs), signature(tensor("x", "FP32", (-1, 2))))
    assert caught.value.message == sentence


def test_a_long_name_is_not_repeated_at_length() -> None:
    with pytest.raises(RequestError) as caught:
        decode(body(name="w" * 100_000), signature(tensor("x", "FP32", (-1, 2))))
    assert len(caught.value.message) < 600


def test_types_of_onnx_that_are_no_tensors_of_the_protocol_have_no_datatype() -> None:
    assert of_onnx("tensor(float)") is DATATYPES["FP32"]
    assert of_onnx("tensor(complex64)") is None
    assert of_onnx("seq(map(int64,tensor(float)))") is None
