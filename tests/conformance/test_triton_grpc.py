"""NVIDIA's client over gRPC: raw contents, the stream, errors."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.conformance import models
from tests.conformance.conftest import Places
from tests.conformance.models import MODEL, VERSION, same


@pytest.fixture(scope="module")
def clients(places: Places) -> Iterator[dict[str, InferenceServerClient]]:
    opened = {name: InferenceServerClient(place["grpc"]) for name, place in places.items()}
    yield opened
    for client in opened.values():
        client.close()


@pytest.fixture
def classifier(clients: dict[str, InferenceServerClient]) -> InferenceServerClient:
    return clients["classifier"]


def infer_input(name: str, array: Any) -> InferInput:
    return InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)).set_data_from_numpy(array)


def row(count: int = 1) -> InferInput:
    return infer_input("input", np.arange(4 * count, dtype=np.float32).reshape(count, 4))


def test_server_and_model_are_live_and_ready(classifier: InferenceServerClient) -> None:
    assert classifier.is_server_live()
    assert classifier.is_server_ready()
    assert classifier.is_model_ready(MODEL)
    assert classifier.is_model_ready(MODEL, VERSION)


def test_server_and_model_describe_themselves(classifier: InferenceServerClient) -> None:
    assert classifier.get_server_metadata().name == "plimsoll"
    metadata = classifier.get_model_metadata(MODEL, as_json=True)
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": ["-1", "4"]}]
    assert [output["name"] for output in metadata["outputs"]] == ["label", "probabilities"]
    assert metadata["versions"] == [VERSION]


def test_the_repository_lists_the_model(classifier: InferenceServerClient) -> None:
    (model,) = classifier.get_model_repository_index().models
    assert (model.name, model.version, model.state) == (MODEL, VERSION, "READY")


def test_every_type_comes_back_as_it_went(clients: dict[str, InferenceServerClient]) -> None:
    arrays = models.every_type()
    inputs = [infer_input(name, array) for name, array in arrays.items()]
    result = clients["types"].infer(MODEL, inputs, request_id="42", parameters={"note": "x", "flag": True})
    for name, array in arrays.items():
        assert same(result.as_numpy(f"echo_{name}"), array), name
    assert result.get_response().id == "42"


def test_bf16_comes_back_as_it_went(clients: dict[str, InferenceServerClient]) -> None:
    array = np.array([[1.5, -0.0], [float("inf"), 3.140625]], dtype=ml_dtypes.bfloat16)
    assert same(clients["small"].infer(MODEL, [infer_input("bf16", array)]).as_numpy("echo_bf16"), array)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_scores_by_class_come_as_a_matrix(clients: dict[str, InferenceServerClient], rows: int) -> None:
    array = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3)
    result = clients["classes"].infer(MODEL, [infer_input("input", array)])
    assert same(result.as_numpy("scores"), array)


def test_only_the_outputs_asked_for_come_in_their_order(classifier: InferenceServerClient) -> None:
    wanted = [InferRequestedOutput("probabilities"), InferRequestedOutput("label")]
    response = classifier.infer(MODEL, [row(2)], outputs=wanted, model_version=VERSION).get_response()
    assert [output.name for output in response.outputs] == ["probabilities", "label"]
    assert (response.model_name, response.model_version) == (MODEL, VERSION)


def test_compressed_messages_are_taken(classifier: InferenceServerClient) -> None:
    assert classifier.infer(MODEL, [row(64)], compression_algorithm="gzip").as_numpy("label").shape == (64,)


def test_requests_under_way_together_each_get_their_own_rows(clients: dict[str, InferenceServerClient]) -> None:
    answers: queue.Queue[tuple[int, Any, Any]] = queue.Queue()
    sent = {}
    for number in range(64):
        arrays = models.every_type()
        arrays["int64"] = sent[number] = np.array([[number, -number]] * 3)
        inputs = [infer_input(name, array) for name, array in arrays.items()]

        def keep(result: Any, error: Any, number: int = number) -> None:
            answers.put((number, result, error))

        clients["types"].async_infer(MODEL, inputs, keep)
    for _ in sent:
        number, result, error = answers.get(timeout=60)
        assert error is None
        assert same(result.as_numpy("echo_int64"), sent[number])


def test_a_stream_answers_each_request_and_tells_errors_in_place(classifier: InferenceServerClient) -> None:
    answers: queue.Queue[tuple[InferResult | None, InferenceServerException | None]] = queue.Queue()
    classifier.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(20):
        bad = number == 7
        given = infer_input("input", np.zeros((1, 3 if bad else 4), np.float32))
        classifier.async_stream_infer(MODEL, [given], request_id=str(number))
    told = [answers.get(timeout=60) for _ in range(20)]
    classifier.stop_stream()
    assert sorted(int(result.get_response().id) for result, error in told if error is None and result is not None) == [
        number for number in range(20) if number != 7
    ]
    (error,) = [error for _, error in told if error is not None]
    assert "takes [-1, 4]" in error.message()


@pytest.mark.parametrize(
    ("shape", "name", "model", "version", "status", "said"),
    [
        ((1, 3), "input", MODEL, "", "StatusCode.INVALID_ARGUMENT", "takes [-1, 4]"),
        ((1, 4), "wrong", MODEL, "", "StatusCode.INVALID_ARGUMENT", "'wrong' is not an input of the model"),
        ((1, 4), "input", "cats", "", "StatusCode.NOT_FOUND", "'cats'"),
        ((1, 4), "input", MODEL, "9", "StatusCode.NOT_FOUND", "'9'"),
    ],
)
def test_errors_come_as_the_clients_own_exception(
    classifier: InferenceServerClient, shape: Any, name: str, model: str, version: str, status: str, said: str
) -> None:
    with pytest.raises(InferenceServerException) as raised:
        classifier.infer(model, [infer_input(name, np.zeros(shape, np.float32))], model_version=version)
    assert raised.value.status() == status
    assert said in raised.value.message()
