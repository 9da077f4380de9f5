"""What an event holds, and what it must not hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from plimsoll_serving.errors import SettingsError
from plimsoll_serving.payload.events import EventWriter, Record, mask_of
from plimsoll_serving.settings import Identity
from plimsoll_serving.v2.datatypes import DATATYPES
from plimsoll_serving.v2.signature import Signature, Tensor

IDENTITY = Identity("digits", "7", "digits-aaaa", "numbers", "demo", "pod-1")


def tensor(name: str, datatype: str, *shape: int) -> Tensor:
    return Tensor(name, DATATYPES[datatype], shape, (None,) * len(shape))


MATRIX = Signature(
    {"input": tensor("input", "FP32", -1, 3)},
    {"label": tensor("label", "INT64", -1), "probabilities": tensor("probabilities", "FP32", -1, 2)},
)
FEATURES = {"age": 0, "income": 1, "height": 2}
INPUTS = {"input": np.array([[1, 2, 3], [4, 5, 6]], np.float32)}
OUTPUTS = {"label": np.array([0, 1]), "probabilities": np.array([[0.25, np.nan], [np.inf, -np.inf]], np.float32)}


def events(*mask: str, signature: Signature = MATRIX, **changes: Any) -> list[dict[str, Any]]:
    given: dict[str, Any] = {
        "moment": 1_800_000_000.25, "request_id": "r-1", "inputs": INPUTS, "outputs": OUTPUTS, "prediction_id": "1.a.b",
    }  # fmt: skip
    writer = EventWriter(IDENTITY, signature, mask_of(mask, signature, FEATURES))
    return [json.loads(one) for one in writer.events(Record(**given | changes))]


def test_a_request_and_its_answer_are_two_cloud_events_that_share_an_inference() -> None:
    asked, answered = events()
    inference = asked["inferenceid"]
    assert asked == {
        "specversion": "1.0",
        "id": f"{inference}-request",
        "source": "/demo/numbers/pod-1",
        "type": "dev.plimsoll.inference.request",
        "subject": "digits",
        "time": "2027-01-15T08:00:00.250Z",
        "datacontenttype": "application/json",
        "inferenceservicename": "numbers",
        "namespace": "demo",
        "component": "predictor",
        "endpoint": "digits-aaaa",
        "modelversion": "7",
        "inferenceid": inference,
        "predictionid": "1.a.b",
        "data": {
            "id": "r-1",
            "inputs": [{"name": "input", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}],
        },
    }
    assert (answered["id"], answered["type"]) == (f"{inference}-response", "dev.plimsoll.inference.response")
    assert answered["data"] == {
        "model_name": "digits",
        "model_version": "7",
        "id": "r-1",
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 1]},
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [2, 2],
                "data": [0.25, "NaN", "Infinity", "-Infinity"],
            },
        ],
    }


def test_what_is_not_there_is_left_out() -> None:
    asked, answered = events(request_id=None, prediction_id=None)
    assert "id" not in asked["data"]
    assert "id" not in answered["data"]
    assert "predictionid" not in answered


def test_names_of_attributes_are_those_that_the_specification_allows() -> None:
    for event in events():
        assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in event)


def test_masked_columns_and_tensors_are_never_written() -> None:
    asked, answered = events("income", "probabilities")
    assert asked["data"]["inputs"][0]["data"] == [1, None, 3, 4, None, 6]
    assert asked["data"]["inputs"][0]["parameters"] == {"masked": ["income"]}
    assert answered["data"]["outputs"][1] == {
        "name": "probabilities", "datatype": "FP32", "shape": [2, 2], "parameters": {"masked": True}, "data": [],
    }  # fmt: skip


def test_a_masked_input_of_text_is_left_out_and_others_are_text() -> None:
    takes = Signature(
        {"name": tensor("name", "BYTES", -1, 1), "site": tensor("site", "BYTES", -1, 1)}, dict(MATRIX.outputs)
    )
    words = {"name": np.array([["Ann"]], dtype=object), "site": np.array([[b"A"]], dtype=object)}
    asked, _ = events("name", signature=takes, inputs=words)
    assert [one["data"] for one in asked["data"]["inputs"]] == [[], ["A"]]
    assert "Ann" not in json.dumps(asked)


def test_a_mask_of_what_is_not_there_is_refused_for_it_may_be_a_slip() -> None:
    with pytest.raises(SettingsError) as caught:
        mask_of(("incmoe",), MATRIX, FEATURES)
    assert str(caught.value) == (
        "PLIMSOLL_PAYLOAD_LOG_MASK names 'incmoe', which the model does not have; "
        "it has input, label, probabilities, age, income, height"
    )


def test_bf16_is_written_as_the_numbers_that_it_holds() -> None:
    takes = Signature({"x": tensor("x", "BF16", -1)}, dict(MATRIX.outputs))
    asked, _ = events(signature=takes, inputs={"x": np.array([0x3F80, 0xC000], np.uint16)})
    assert asked["data"]["inputs"][0]["data"] == [1.0, -2.0]
