"""The adaptors: what migrating clients send becomes the model's inputs; what is wrong is told by name."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_serving.adaptors.invocations import InvocationsCodec
from plimsoll_serving.adaptors.table import Table
from plimsoll_serving.adaptors.v1 import V1Codec
from plimsoll_serving.errors import RequestError
from plimsoll_serving.v2.signature import Signature

from tests.unit.serving.adaptor_models import HALVES, IMAGES, MIXED, NUMBERS, answer, request

FEATURES = ["a", "b", "c"]


def read(of: Signature, document: Any, features: list[str] = FEATURES, **headers: str) -> dict[str, Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return InvocationsCodec(Table(of, features)).decode(request(body, **headers), of).inputs


def refused(of: Signature, document: Any, features: list[str] = FEATURES, **headers: str) -> str:
    with pytest.raises(RequestError) as caught:
        read(of, document, features, **headers)
    return caught.value.message


SAME = [
    {"instances": [[1, 2, 3], [4, 5, 6]]},
    {"instances": [{"c": 3, "a": 1, "b": 2}, {"a": 4, "b": 5, "c": 6}]},
    {"instances": [{"input": [1, 2, 3]}, {"input": [4, 5, 6]}]},
    {"inputs": [[1, 2, 3], [4, 5, 6]]},
    {"inputs": {"b": [2, 5], "a": [1, 4], "c": [3, 6]}},
    {"inputs": {"input": [[1, 2, 3], [4, 5, 6]]}},
    {"dataframe_split": {"columns": ["b", "c", "a"], "data": [[2, 3, 1], [5, 6, 4]], "index": [0, 1]}},
    {"dataframe_split": {"columns": [0, 1, 2], "data": [[1, 2, 3], [4, 5, 6]]}},
    {"dataframe_split": {"data": [[1, 2, 3], [4, 5, 6]]}},
    {"dataframe_records": [{"c": 3, "a": 1, "b": 2}, {"a": 4, "b": 5, "c": 6}]},
]


@pytest.mark.parametrize("document", SAME, ids=[json.dumps(document)[:40] for document in SAME])
def test_every_form_of_the_same_rows_is_the_same_tensor(document: Any) -> None:
    inputs = read(NUMBERS, document)
    assert list(inputs) == ["input"]
    assert inputs["input"].dtype == np.float32
    assert inputs["input"].tolist() == [[1, 2, 3], [4, 5, 6]]


ROWS = [[41.5, "Bern", 3], [7, "Zürich", 0]]
SAME_MIXED = [
    {"instances": ROWS},
    {"instances": [dict(zip(("age", "city", "visits"), row, strict=True)) for row in ROWS]},
    {"instances": [{"age": [41.5], "visits": [3], "city": ["Bern"]}, {"age": [7], "city": ["Zürich"], "visits": [0]}]},
    {"inputs": {"city": ["Bern", "Zürich"], "age": [41.5, 7], "visits": [3, 0]}},
    {"inputs": {"city": [["Bern"], ["Zürich"]], "age": [[41.5], [7]], "visits": [[3], [0]]}},
    {"dataframe_split": {"columns": ["visits", "age", "city"], "data": [[3, 41.5, "Bern"], [0, 7, "Zürich"]]}},
]


@pytest.mark.parametrize("document", SAME_MIXED, ids=[json.dumps(document)[:40] for document in SAME_MIXED])
def test_columns_of_different_types_become_one_input_each(document: Any) -> None:
    inputs = read(MIXED, document)
    assert {name: array.tolist() for name, array in inputs.items()} == {
        "age": [[41.5], [7]],
        "city": [["Bern"], ["Zürich"]],
        "visits": [[3], [0]],
    }
    assert [array.dtype.str for array in inputs.values()] == ["<f4", "|O", "<i8"]


CSV_FORMS = [
    (b"b,a,c\n2,1,3\n5,4,6\n", "text/csv"),
    (b"1,2,3\r\n4,5,6\r\n", "text/csv"),
    (b"\xef\xbb\xbf1,2,3\n\n4,5,6", "text/csv; charset=utf-8; header=absent"),
    (b'"c", a ,b\n3,1,2\n6,4,5', "text/csv;header=present"),
]


@pytest.mark.parametrize(("body", "kind"), CSV_FORMS, ids=[kind for _, kind in CSV_FORMS])
def test_csv_is_read_with_and_without_names(body: bytes, kind: str) -> None:
    assert read(NUMBERS, body, content_type=kind)["input"].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_csv_cells_are_read_as_the_type_of_their_column() -> None:
    body = b'visits,city,age\n3,"Bern, Wankdorf",\n0,"7",1e-3\n'
    inputs = read(MIXED, body, content_type="text/csv")
    assert inputs["city"].tolist() == [["Bern, Wankdorf"], ["7"]]
    assert inputs["visits"].tolist() == [[3], [0]]
    assert math.isnan(inputs["age"][0, 0])
    assert inputs["age"][1, 0] == np.float32(1e-3)


def test_without_a_profile_columns_are_taken_by_their_place() -> None:
    for document in (
        {"dataframe_split": {"columns": ["x", "y", "z"], "data": [[1, 2, 3]]}},
        {"instances": [[1, 2, 3]]},
    ):
        assert read(NUMBERS, document, [])["input"].tolist() == [[1, 2, 3]]
    assert read(NUMBERS, b"x,y,z\n1,2,3", [], content_type="text/csv")["input"].tolist() == [[1, 2, 3]]


def test_tensors_of_any_rank_are_nested_lists() -> None:
    for document in ({"instances": [[[1, 2], [3, 4]]]}, {"inputs": {"image": [[[1, 2], [3, 4]]]}}):
        assert read(IMAGES, document)["image"].tolist() == [[[1, 2], [3, 4]]]


def test_the_words_for_nan_and_infinity_are_read() -> None:
    values = read(NUMBERS, b'{"instances": [[NaN, -Infinity, null], ["NaN", Infinity, 1]]}')["input"]
    assert str(values.tolist()) == "[[nan, -inf, nan], [nan, inf, 1.0]]"


MODEL_TAKES = "; the model takes 'a', 'b', 'c'"
WRONG = [
    (NUMBERS, {"instances": [{"a": 1, "b": 2}]}, f"instances: columns missing 'c'{MODEL_TAKES}, in any order"),
    (
        NUMBERS,
        {"dataframe_split": {"columns": ["a", "b", "d", "e"], "data": [[1, 2, 3, 4]]}},
        f"dataframe_split.data: columns missing 'c'; surplus 'd', 'e'{MODEL_TAKES}, in any order",
    ),
    (NUMBERS, {"instances": [[1, 2]]}, "instances is nested as [1, 2], but input 'input' takes [-1, 3]"),
    (NUMBERS, {"instances": [[1, 2, "x"]]}, "instances[0][2] is a string, not a number, null,"),
    (NUMBERS, {"inputs": {"a": [1], "b": [2], "c": ["x"]}}, "column 'c'[0] is a string, not a number, null,"),
    (NUMBERS, {"inputs": {"a": [1], "b": [2], "c": [[3]]}}, "column 'c'[0] is a list, not one value"),
    (NUMBERS, {"inputs": {"a": [1], "b": [2], "c": [3, 4]}}, "inputs: columns differ in rows: from 1 to 2"),
    (NUMBERS, {"inputs": {"a": 1, "b": [2], "c": [3]}}, "inputs['a'] is a number, not a list"),
    (NUMBERS, b'{"inputs": {"\\ud800": 5, "x": NaN}}', "the body is not JSON: a text has half of a surrogate pair"),
    (HALVES, {"instances": [[1, 2]]}, "instances[0] is BF16, which JSON cannot carry; send it as binary data over /v2"),
    (NUMBERS, {"instances": [{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}]}, "instances[1] lacks 'c', other than the"),
    (NUMBERS, {"instances": [{"a": 1, "b": 2, "c": 3}, [1, 2, 3]]}, "instances[1] is a list, not an object as the"),
    (NUMBERS, {"instances": [[1, 2, 3], {"a": 1}]}, "instances mixes lists and values at depth 1"),
    (NUMBERS, {"instances": []}, "instances has no rows"),
    (NUMBERS, {"instances": {"a": 1}}, "instances is an object, not a list"),
    (NUMBERS, {}, "the body takes exactly one of dataframe_split, dataframe_records, instances, inputs; it has none"),
    (NUMBERS, {"instances": [], "inputs": []}, "the body takes exactly one of dataframe_split, dataframe_records,"),
    (NUMBERS, [[1, 2, 3]], "the body is a list, not an object with one of dataframe_split,"),
    (NUMBERS, b'{"instances": [[NaN', "the body is not JSON: "),
    (NUMBERS, b"[" * 100_000, "the body is not JSON that can be read: it is nested too deep"),
    (NUMBERS, b'{"instances": [[1, 2, 1e999]]}', "instances[0][2] is 1e999, beyond the largest 64-bit float; if that"),
    (NUMBERS, b"[NaN" + b"[" * 100_000, "the body is not JSON: "),
    (NUMBERS, {"instances": [[1, 2, 3]], "params": {"t": 1}}, "params: an ONNX model takes none"),
    (NUMBERS, {"dataframe_split": [[1]]}, "dataframe_split is a list, not an object with columns and data"),
    (NUMBERS, {"dataframe_split": {"columns": ["a"]}}, "dataframe_split.data is missing"),
    (NUMBERS, {"dataframe_split": {"columns": "abc", "data": []}}, "dataframe_split.columns is not a list of names"),
    (
        NUMBERS,
        {"dataframe_split": {"columns": ["a", "b", "b"], "data": [[1, 2, 3]]}},
        "dataframe_split.data: a column is named twice",
    ),
    (MIXED, {"instances": [[1, "x"]]}, "instances[0] has 2 values, not 3; the model takes 'age', 'city', 'visits'"),
    (MIXED, {"inputs": {"age": [1], "city": [2], "visits": [1]}}, "column 'city'[0] is 2, not a string for BYTES"),
]


@pytest.mark.parametrize(("of", "document", "sentence"), WRONG, ids=[sentence[:50] for _, _, sentence in WRONG])
def test_what_is_wrong_is_told_by_name(of: Signature, document: Any, sentence: str) -> None:
    assert refused(of, document)[: len(sentence)] == sentence


WRONG_CSV = [
    (NUMBERS, b"a,b,x\n1,2,3", f"the CSV: columns missing 'c'; surplus 'x'{MODEL_TAKES}, in any order"),
    (NUMBERS, b"p,q,r\n1,2,3", f"the CSV: columns missing 'a', 'b', 'c'; surplus 'p', 'q', 'r'{MODEL_TAKES}"),
    (NUMBERS, b"1,2\n", "line 1 of the CSV has 2 values, not 3"),
    (NUMBERS, b"a,b,c\n1,2,3\n1,2\n", "line 3 of the CSV has 2 values, not 3"),
    (NUMBERS, b"1,2,x\n", "line 1, value 3 of the CSV is 'x', not a number"),
    (NUMBERS, b"1,2,1_0\n", "line 1, value 3 of the CSV is '1_0', not a number"),
    (NUMBERS, b"a,b,c\n", "the CSV has a line of column names and no rows"),
    (NUMBERS, b"\n", "the CSV has no rows"),
    (NUMBERS, b"\xff\xfe", "the CSV is not UTF-8: "),
    (NUMBERS, b'"1,2', "the body is not CSV: "),
    (MIXED, b"1,x,2.5\n", "column 'visits'[0] is 2.5, not an integer from "),
    (IMAGES, b"1,2,3,4\n", "CSV has one value a cell, but input 'image' of the model takes [-1, 2, 2]; send JSON"),
]


@pytest.mark.parametrize(("of", "body", "sentence"), WRONG_CSV, ids=[sentence[:50] for _, _, sentence in WRONG_CSV])
def test_what_is_wrong_in_csv_is_told_by_line(of: Signature, body: bytes, sentence: str) -> None:
    assert refused(of, body, content_type="text/csv")[: len(sentence)] == sentence


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_type": "text/html"}, 415),
        ({"content_type": "text/csv; charset=latin-1"}, 415),
        ({"content_type": "application/json", "accept": "text/html"}, 406),
    ],
)
def test_other_media_types_are_refused(headers: dict[str, str], status: int) -> None:
    with pytest.raises(RequestError) as caught:
        read(NUMBERS, {"instances": [[1, 2, 3]]}, **headers)
    assert caught.value.status == status


OUTPUTS = {"label": ["no", 'say "yes"'], "probabilities": [[0.75, 0.25], [0.1, 0.9]]}


def test_several_outputs_are_one_object_a_row() -> None:
    response = InvocationsCodec(Table(NUMBERS)).encode(answer(NUMBERS, OUTPUTS))
    assert json.loads(response.body) == {
        "predictions": [
            {"label": "no", "probabilities": [0.75, 0.25]},
            {"label": 'say "yes"', "probabilities": [0.1, 0.9]},
        ]
    }


def test_one_output_is_a_list_of_its_values() -> None:
    codec = V1Codec(Table(NUMBERS, FEATURES))
    infer = codec.decode(request(b'{"instances": [[1, 2, 3]]}', "output=label"), NUMBERS)
    assert infer.outputs == ["label"]
    assert json.loads(codec.encode(answer(NUMBERS, {"label": OUTPUTS["label"]})).body) == {
        "predictions": OUTPUTS["label"]
    }
    single = codec.encode(answer(MIXED, {"prediction": [[0.5], [math.nan]]}))
    assert single.body == b'{"predictions":[0.5,"NaN"]}'
    with pytest.raises(RequestError, match="output 'x' is not an output of the model; it has label, probabilities"):
        codec.decode(request(b'{"instances": [[1, 2, 3]]}', "output=x"), NUMBERS)


def test_numbers_of_sixteen_bits_are_written_as_the_numbers_that_they_are() -> None:
    bits = np.array([1.0, -2.5], np.float32).view(np.uint32) >> 16
    given = answer(HALVES, {"halves": bits.astype(np.uint16)})
    assert V1Codec(Table(HALVES)).encode(given).body == b'{"predictions":[1.0,-2.5]}'


def test_csv_answers_have_a_line_a_row() -> None:
    codec = InvocationsCodec(Table(NUMBERS, FEATURES))
    asked = codec.decode(request(b"1,2,3", content_type="text/csv", accept="text/csv"), NUMBERS)
    response = codec.encode(answer(NUMBERS, OUTPUTS, asked.encoding))
    assert response.body.decode() == 'no,0.75,0.25\n"say ""yes""",0.1,0.9\n'
    assert response.content_type == b"text/csv; charset=utf-8"


def test_a_v1_request_names_no_other_signature() -> None:
    codec = V1Codec(Table(NUMBERS, FEATURES))
    body = {"instances": [[1, 2, 3]], "signature_name": "serving_default"}
    assert codec.decode(request(json.dumps(body).encode()), NUMBERS).inputs["input"].tolist() == [[1, 2, 3]]
    with pytest.raises(RequestError, match="signature_name is 'other'"):
        codec.decode(request(json.dumps(body | {"signature_name": "other"}).encode()), NUMBERS)


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(rows=st.lists(st.tuples(floats, floats, floats), min_size=1, max_size=5), order=st.permutations(FEATURES))
def test_any_order_of_named_columns_is_the_same_tensor(rows: list[tuple[float, ...]], order: list[str]) -> None:
    places = [FEATURES.index(name) for name in order]
    shuffled = [[row[place] for place in places] for row in rows]
    wanted = np.array(rows, np.float32)
    split = read(NUMBERS, {"dataframe_split": {"columns": order, "data": shuffled}})["input"]
    lines = [",".join(order), *(",".join(map(repr, row)) for row in shuffled)]
    from_csv = read(NUMBERS, "\n".join(lines).encode(), content_type="text/csv")["input"]
    assert split.tobytes() == wanted.tobytes() == from_csv.tobytes()


@given(values=st.lists(st.tuples(floats, floats), min_size=1, max_size=6))
def test_predictions_read_back_exactly(values: list[tuple[float, float]]) -> None:
    response = V1Codec(Table(NUMBERS)).encode(answer(NUMBERS, {"probabilities": values}))
    read_back = np.array(json.loads(response.body)["predictions"], np.float32)
    assert read_back.tobytes() == np.array(values, np.float32).tobytes()
