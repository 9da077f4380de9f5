"""Two answers to one request: read in each form, and compared by what they mean."""

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.http.message import Response
from plimsoll_serving.shadow.answers import UnreadableError, read_answer
from plimsoll_serving.shadow.compare import FEW, Tolerance, few, many
from plimsoll_serving.shadow.counters import Outcome
from plimsoll_serving.shadow.pairs import Verdict, judge

EXACT = Tolerance(0, 0)


def tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def v2(*outputs: dict[str, Any], version: str = "1", status: int = 200) -> Response:
    body = {"model_name": "digits", "model_version": version, "outputs": list(outputs)}
    return Response(status, json.dumps(body).encode())


def label(*values: Any, datatype: str = "INT64", name: str = "label") -> dict[str, Any]:
    return tensor(name, datatype, [len(values)], list(values))


def floats(*values: Any, datatype: str = "FP64", name: str = "prediction") -> dict[str, Any]:
    return tensor(name, datatype, [len(values)], list(values))


def binary(name: str, datatype: str, shape: list[int], data: bytes) -> Response:
    item = {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"outputs": [item]}).encode()
    headers = [(b"inference-header-content-length", str(len(head)).encode())]
    return Response(200, head + data, b"application/octet-stream", headers)


def pair(stable: Any, candidate: Any, tolerance: Tolerance = EXACT) -> Verdict:
    ours, theirs = (answer if isinstance(answer, Response) else v2(answer) for answer in (stable, candidate))
    return judge(ours, theirs, tolerance)


@pytest.mark.parametrize(
    ("stable", "candidate", "outcome"),
    [
        (label(1, 2), label(1, 2), Outcome.MATCH),
        (label(1, 2), label(1, 3), Outcome.MISMATCH),
        (label("a", datatype="BYTES"), label("a", datatype="BYTES"), Outcome.MATCH),
        (label("a", datatype="BYTES"), label("A", datatype="BYTES"), Outcome.MISMATCH),
        (label(True, datatype="BOOL"), label(False, datatype="BOOL"), Outcome.MISMATCH),
        (label(2**53, 1), label(2**53 + 1, 1), Outcome.MISMATCH),
        (label(1), label(1, datatype="INT32"), Outcome.MISMATCH),
        (label(1), label(1, name="class"), Outcome.MISMATCH),
        (label(1, 1), tensor("label", "INT64", [2, 1], [1, 1]), Outcome.MISMATCH),
        (label(), tensor("label", "INT64", [0, 3], []), Outcome.MISMATCH),
        (label(), label(), Outcome.MATCH),
        (floats("NaN"), floats(None), Outcome.MATCH),
        (floats("NaN"), floats(0.0), Outcome.MISMATCH),
        (floats("Infinity"), floats("Infinity"), Outcome.MATCH),
        (floats("Infinity"), floats("-Infinity"), Outcome.MISMATCH),
        (tensor("x", "FP32", [2, 2], [[1, 2], [3, 4]]), tensor("x", "FP32", [2, 2], [1, 2, 3, 4]), Outcome.MATCH),
    ],
)
def test_a_pair_agrees_in_names_datatypes_shapes_and_values(
    stable: dict[str, Any], candidate: dict[str, Any], outcome: Outcome
) -> None:
    assert pair(stable, candidate).outcome is outcome


def test_an_output_more_is_a_mismatch_whoever_has_it() -> None:
    both, one = v2(label(1), floats(0.5)), v2(label(1))
    assert judge(both, one, EXACT).outcome is Outcome.MISMATCH
    assert judge(one, both, EXACT).outcome is Outcome.MISMATCH


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome"),
    [
        (200, 500, Outcome.CANDIDATE_ERROR),
        (500, 200, Outcome.STABLE_ERROR),
        (400, 400, Outcome.BOTH_ERROR),
        (200, 404, Outcome.CANDIDATE_ERROR),
    ],
)
def test_an_error_on_either_side_is_no_comparison(ours: int, theirs: int, outcome: Outcome) -> None:
    verdict = judge(v2(label(1), status=ours), v2(label(1), status=theirs), EXACT)
    assert (verdict.outcome, verdict.outputs) == (outcome, {})


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.floats(0, 1, allow_subnormal=False),
    st.floats(0, 1, allow_subnormal=False),
)
def test_floats_agree_within_the_tolerance_of_the_stable_value(
    ours: float, theirs: float, relative: float, absolute: float
) -> None:
    agrees = abs(theirs - ours) <= absolute + relative * abs(ours)
    verdict = pair(floats(ours), floats(theirs), Tolerance(relative, absolute))
    assert verdict.outcome is (Outcome.MATCH if agrees else Outcome.MISMATCH)


def test_rows_are_counted_by_whether_all_of_their_values_agree() -> None:
    stable = tensor("probabilities", "FP32", [3, 2], [0.1, 0.9, 0.2, 0.8, 0.3, 0.7])
    candidate = tensor("probabilities", "FP32", [3, 2], [0.1, 0.9, 0.2, 0.7, 0.2, 0.8])
    difference = pair(stable, candidate).outputs["probabilities"]
    assert (difference.rows, difference.different) == (3, 2)
    assert (difference.above, difference.below, difference.level) == (0, 0, 0), "no single float a row"


def test_classes_that_only_one_of_the_pair_said_are_counted_for_mcnemar() -> None:
    difference = pair(label("a", "a", "b", "c", datatype="BYTES"), label("b", "a", "a", "a", datatype="BYTES")).outputs[
        "label"
    ]
    assert dict(difference.lost) == {"a": 1, "b": 1, "c": 1}
    assert dict(difference.gained) == {"b": 1, "a": 2}
    assert (difference.rows, difference.different) == (4, 3)


def test_the_signed_difference_of_a_regression_is_summed_by_direction() -> None:
    difference = pair(floats(1.0, 2.0, 3.0, "NaN", 1e300), floats(1.5, 1.0, 3.0, 4.0, -1e300)).outputs["prediction"]
    assert (difference.above, difference.below, difference.level) == (1, 1, 1)
    assert (difference.excess, difference.shortfall, difference.squared) == (0.5, 1.0, 1.25)
    assert (difference.rows, difference.different) == (5, 4), "no finite distance, yet different"


@pytest.mark.parametrize("rows", [3, 3 * FEW])
def test_what_agrees_is_level_and_its_difference_is_summed_all_the_same(rows: int) -> None:
    times = rows // 3
    stable, candidate = floats(*[100.0] * rows), floats(*[100.5, 98.0, 103.0] * times)
    difference = pair(stable, candidate, Tolerance(relative=0.01, absolute=0.0)).outputs["prediction"]
    assert (difference.above, difference.below, difference.level) == (times, times, times)
    assert (difference.excess, difference.shortfall) == (3.5 * times, 2.0 * times)


@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=1, max_size=8))
def test_what_is_summed_is_finite_and_says_the_same_as_numpy(values: list[tuple[float, float]]) -> None:
    def word(value: float) -> Any:
        return value if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")

    stable = floats(*[word(ours) for ours, _ in values], datatype="FP32")
    candidate = floats(*[word(theirs) for _, theirs in values], datatype="FP32")
    difference = pair(stable, candidate).outputs["prediction"]
    finite = [theirs - ours for ours, theirs in values if math.isfinite(theirs) and math.isfinite(ours)]
    apart = [
        (ours, theirs)
        for ours, theirs in values
        if not (math.isfinite(ours) and math.isfinite(theirs))
        and ours != theirs
        and not (ours != ours and theirs != theirs)
    ]
    assert difference.not_finite == len(apart)
    assert difference.above + difference.below + difference.level + difference.not_finite == len(values)
    assert difference.excess - difference.shortfall == pytest.approx(math.fsum(finite), rel=1e-9, abs=1e25)
    assert math.isfinite(difference.squared)


NUMBERS = st.one_of(st.floats(), st.floats(-2, 2), st.sampled_from([0.0, 1.0, 1.05, math.inf, -math.inf, math.nan]))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=6, max_size=6), st.sampled_from([1, 2, 6]))
def test_few_floats_and_many_are_compared_alike(values: list[tuple[float, float]], rows: int) -> None:
    ours, theirs = ([pair[side] for pair in values] for side in (0, 1))
    tolerance = Tolerance(0.1, 0.01)
    small = few(ours, theirs, rows, True, tolerance)
    assert small == many(np.array(ours), np.array(theirs), rows, tolerance)
    close = np.isclose(theirs, ours, rtol=0.1, atol=0.01, equal_nan=True).reshape(rows, -1).all(axis=1)
    assert small.different == rows - int(close.sum())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=6, max_size=6), st.sampled_from([1, 2, 6]))
def test_few_classes_and_many_are_compared_alike(values: list[tuple[int, int]], rows: int) -> None:
    ours, theirs = ([pair[side] for pair in values] for side in (0, 1))
    assert few(ours, theirs, rows, False, EXACT) == many(np.array(ours), np.array(theirs), rows, EXACT)


@pytest.mark.parametrize(
    ("datatype", "format_", "values"),
    [
        ("INT64", "<2q", (1, -2)),
        ("FP32", "<2f", (0.5, -2.0)),
        ("FP64", "<2d", (0.5, -2.0)),
        ("BOOL", "2?", (True, False)),
    ],
)
def test_binary_tensors_are_read_as_what_they_are(datatype: str, format_: str, values: tuple[Any, ...]) -> None:
    output = read_answer(binary("x", datatype, [2], struct.pack(format_, *values)))["x"]
    assert output.array().tolist() == list(values)


def test_texts_and_short_floats_are_read_from_binary_tensors() -> None:
    text = read_answer(binary("x", "BYTES", [2], b"\x01\0\0\0a\x02\0\0\0bc"))["x"]
    assert text.array().tolist() == ["a", "bc"]
    short = read_answer(binary("x", "BF16", [2], np.array([0x3F80, 0xC000], "<u2").tobytes()))["x"]
    assert short.array().tolist() == [1.0, -2.0]


def protobuf(*outputs: tuple[str, list[int], dict[str, list[Any]]], raw: tuple[bytes, ...] = ()) -> Response:
    tensors = [
        {"name": f"y{index}", "datatype": datatype, "shape": shape, "contents": contents}
        for index, (datatype, shape, contents) in enumerate(outputs)
    ]
    written = message("inference.ModelInferResponse")(outputs=tensors, raw_output_contents=raw)
    return Response(200, written.SerializeToString(), b"application/x-protobuf")


def test_messages_are_read_raw_and_typed() -> None:
    raw = read_answer(protobuf(("FP32", [2], {}), ("BYTES", [1], {}), raw=(struct.pack("<2f", 1, 2), b"\1\0\0\0a")))
    assert [(output.datatype, output.array().tolist()) for output in raw.values()] == [
        ("FP32", [1.0, 2.0]),
        ("BYTES", ["a"]),
    ]
    typed = read_answer(protobuf(("INT64", [2], {"int64_contents": [3, 4]}), ("FP64", [1], {"fp64_contents": [0.5]})))
    assert [(output.datatype, output.array().tolist()) for output in typed.values()] == [
        ("INT64", [3, 4]),
        ("FP64", [0.5]),
    ]
    words = read_answer(protobuf(("BYTES", [1], {"bytes_contents": [b"setosa"]})))
    assert words["y0"].array().tolist() == ["setosa"]


def test_a_raw_and_a_typed_message_are_compared_by_what_they_say() -> None:
    stable = protobuf(("INT64", [1], {"int64_contents": [3]}))
    candidate = protobuf(("INT64", [1], {}), raw=(struct.pack("<q", 4),))
    assert judge(stable, candidate, EXACT).outputs["y0"].gained == {"4": 1}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"predictions": [1, 2]}, {"predictions": ("INT64", [2], [1, 2])}),
        ({"predictions": [0.5, "NaN", 1]}, {"predictions": ("FP64", [3], [0.5, -1, 1.0])}),
        ([[0.1, 0.9], [0.2, 0.8]], {"predictions": ("FP64", [2, 2], [0.1, 0.9, 0.2, 0.8])}),
        ({"predictions": ["a", "b"]}, {"predictions": ("BYTES", [2], ["a", "b"])}),
        ({"predictions": [{"y": 1, "p": 0.5}]}, {"y": ("INT64", [1], [1]), "p": ("FP64", [1], [0.5])}),
    ],
)
def test_the_answers_of_other_protocols_are_read(document: Any, expected: dict[str, Any]) -> None:
    read = read_answer(Response(200, json.dumps(document).encode()))
    found = {
        name: (output.datatype, output.shape, np.nan_to_num(output.values, nan=-1).tolist())
        if output.datatype == "FP64"
        else (output.datatype, output.shape, list(output.values))
        for name, output in read.items()
    }
    assert found == expected


@pytest.mark.parametrize(
    "response",
    [
        Response(200, b"not json"),
        Response(200, b'{"outputs": 5}'),
        Response(200, b'"text"'),
        Response(200, b"[1, true]"),
        Response(200, b"[[1], [1, 2]]"),
        Response(200, b'[{"a": 1}, {"b": 1}]'),
        Response(200, b"[" * 100_000),
        Response(200, b'{"outputs": [{"name": "x", "datatype": "FP99", "shape": [1], "data": [1]}]}'),
        Response(200, b'{"outputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1]}]}'),
        Response(200, b'{"outputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 1e999]}]}'),
        Response(200, b'{"outputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [%s]}]}' % (b"9" * 400)),
        Response(200, b'{"outputs": [{"name": "x", "datatype": "FP32", "shape": [-3], "data": [1, 2]}]}'),
        Response(200, b"1,2\n", b"text/csv"),
        Response(200, b"x", b"application/octet-stream"),
        Response(200, b"{}", b"application/json", [(b"inference-header-content-length", b"many")]),
        Response(200, b"\xff", b"application/x-protobuf"),
        protobuf(("FP99", [1], {})),
        protobuf(("FP32", [2], {}), raw=(b"1234",)),
        protobuf(("FP32", [1], {}), ("FP32", [1], {}), raw=(b"1234",)),
        binary("x", "FP32", [2], b"12345"),
        binary("x", "BYTES", [1], b"\xff\xff\xff\xff"),
    ],
)
def test_what_is_no_answer_is_told_as_such_and_compared_as_bytes(response: Response) -> None:
    with pytest.raises(UnreadableError):
        read_answer(response)
    assert judge(response, response, EXACT).outcome is Outcome.MATCH
    assert judge(response, v2(label(1)), EXACT).outcome is Outcome.MISMATCH
    assert judge(v2(label(1)), response, EXACT).outcome is Outcome.MISMATCH


@given(st.binary(max_size=200), st.sampled_from([b"application/json", b"application/octet-stream", b"text/html"]))
def test_no_bytes_make_a_comparison_fail(body: bytes, content_type: bytes) -> None:
    headers = [(b"inference-header-content-length", b"20")] if content_type.endswith(b"stream") else []
    verdict = judge(v2(label(1)), Response(200, body, content_type, headers), EXACT)
    assert verdict.outcome is Outcome.MISMATCH


def test_integers_beyond_their_datatype_do_not_break_the_comparison() -> None:
    for count in (2, 100):
        assert pair(label(*[2**70] * count), label(*[2**70] * count)).outcome is Outcome.MATCH
        assert pair(label(*[2**70] * count), label(*[2**70 + 1] * count)).outcome is Outcome.MISMATCH
