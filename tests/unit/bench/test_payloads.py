"""Requests as bytes, answers read back, and the check between them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.serving import payloads
from bench.serving.messages import message
from bench.serving.open_loop import request_bytes
from bench.serving.works import Protocol

ROWS = np.array([[0.1234, -1.5], [2.0, 3.25]], np.float32)
RIGHT = {"label": np.array([0, 1]), "probabilities": np.array([[0.9, 0.1], [0.25, 0.75]], np.float32)}


def test_json_has_the_digits_that_people_write() -> None:
    body = json.loads(payloads.payload(Protocol.JSON, ROWS).body)
    assert body["inputs"][0]["data"] == [0.1234, -1.5, 2.0, 3.25]
    assert body["inputs"][0]["shape"] == [2, 2]


def test_binary_has_the_length_of_its_head_and_the_raw_rows_behind_it() -> None:
    sent = payloads.payload(Protocol.BINARY, ROWS)
    head = int(sent.headers["inference-header-content-length"])
    assert json.loads(sent.body[:head])["inputs"][0]["parameters"]["binary_data_size"] == 16
    assert sent.body[head:] == ROWS.tobytes()


def test_grpc_has_the_raw_rows() -> None:
    request = message("ModelInferRequest")()
    request.ParseFromString(payloads.payload(Protocol.GRPC, ROWS).body)
    assert request.raw_input_contents[0] == ROWS.tobytes()
    assert list(request.inputs[0].shape) == [2, 2]


def test_an_answer_in_json_is_read() -> None:
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [0.9, 0.1, 0.25, 0.75]},
    ]
    payloads.check(payloads.read_rest(json.dumps({"outputs": outputs}).encode(), None), RIGHT)


def test_an_answer_with_binary_outputs_is_read() -> None:
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": [2], "parameters": {"binary_data_size": 16}},
        {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}},
    ]
    head = json.dumps({"outputs": outputs}).encode()
    body = head + RIGHT["label"].astype("<i8").tobytes() + RIGHT["probabilities"].tobytes()
    payloads.check(payloads.read_rest(body, len(head)), RIGHT)


@pytest.mark.parametrize("raw", [True, False])
def test_an_answer_of_grpc_is_read_raw_or_typed(raw: bool) -> None:
    answer = message("ModelInferResponse")()
    label = answer.outputs.add(name="label", datatype="INT64", shape=[2])
    probabilities = answer.outputs.add(name="probabilities", datatype="FP32", shape=[2, 2])
    if raw:
        answer.raw_output_contents.extend([RIGHT["label"].astype("<i8").tobytes(), RIGHT["probabilities"].tobytes()])
    else:
        label.contents.int64_contents.extend([0, 1])
        probabilities.contents.fp32_contents.extend([0.9, 0.1, 0.25, 0.75])
    payloads.check(payloads.read_grpc(answer.SerializeToString()), RIGHT)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"label": RIGHT["label"]}, "probabilities is not in the answer"),
        ({**RIGHT, "label": np.array([0, 0])}, "label differs"),
        ({**RIGHT, "probabilities": RIGHT["probabilities"] + np.float32(1e-5)}, "probabilities differs"),
        ({**RIGHT, "label": np.array([0])}, "has shape"),
    ],
)
def test_a_wrong_answer_is_never_timed(found: payloads.Outputs, told: str) -> None:
    with pytest.raises(payloads.WrongAnswer, match=told):
        payloads.check(found, RIGHT)


def test_a_request_at_a_fixed_rate_is_proper_http() -> None:
    sent = request_bytes(payloads.Payload(b"{}", {"content-type": "application/json"}))
    head, _, body = sent.partition(b"\r\n\r\n")
    assert body == b"{}"
    assert b"content-length: 2" in head
