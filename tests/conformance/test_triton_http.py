"""NVIDIA's client over HTTP, with JSON and with binary tensors."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from tests.conformance import models
from tests.conformance.conftest import Places
from tests.conformance.models import MODEL, VERSION, same


@pytest.fixture(scope="module")
def clients(places: Places) -> Iterator[dict[str, InferenceServerClient]]:
    opened = {name: InferenceServerClient(place["http"], concurrency=8) for name, place in places.items()}
    yield opened
    for client in opened.values():
        client.close()


@pytest.fixture
def classifier(clients: dict[str, InferenceServerClient]) -> InferenceServerClient:
    return clients["classifier"]


def infer_input(name: str, array: Any, binary: bool) -> InferInput:
    given = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    return given.set_data_from_numpy(array, binary_data=binary)


def row(count: int = 1, binary: bool = True) -> InferInput:
    return infer_input("input", np.arange(4 * count, dtype=np.float32).reshape(count, 4), binary)


def test_server_and_model_are_live_and_ready(classifier: InferenceServerClient) -> None:
    assert classifier.is_server_live()
    assert classifier.is_server_ready()
    assert classifier.is_model_ready(MODEL)
    assert classifier.is_model_ready(MODEL, VERSION)
    assert not classifier.is_model_ready("cats")
    assert not classifier.is_model_ready(MODEL, "9")


def test_the_server_tells_its_extensions(classifier: InferenceServerClient) -> None:
    metadata = classifier.get_server_metadata()
    assert metadata["name"] == "plimsoll"
    assert metadata["version"]
    assert {"binary_tensor_data", "model_repository"} <= set(metadata["extensions"])


def test_a_model_tells_what_it_takes(classifier: InferenceServerClient) -> None:
    metadata = classifier.get_model_metadata(MODEL)
    assert metadata == classifier.get_model_metadata(MODEL, VERSION)
    assert metadata["versions"] == [VERSION]
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}]
    assert [output["name"] for output in metadata["outputs"]] == ["label", "probabilities"]


def test_the_repository_lists_the_model(classifier: InferenceServerClient) -> None:
    (model,) = classifier.get_model_repository_index()
    assert (model["name"], model["version"], model["state"]) == (MODEL, VERSION, "READY")


@pytest.mark.parametrize("asked_binary", [False, True])
@pytest.mark.parametrize("sent_binary", [False, True])
def test_every_type_comes_back_as_it_went(
    clients: dict[str, InferenceServerClient], sent_binary: bool, asked_binary: bool
) -> None:
    arrays = models.every_type()
    # This client refuses to write FP16 as JSON, and reads it from JSON as any other.
    inputs = [infer_input(name, array, sent_binary or name == "fp16") for name, array in arrays.items()]
    outputs = [InferRequestedOutput(f"echo_{name}", binary_data=asked_binary) for name in arrays]
    result = clients["types"].infer(MODEL, inputs, outputs=outputs, request_id="42")
    for name, array in arrays.items():
        assert same(result.as_numpy(f"echo_{name}"), array), name
        parameters = result.get_output(f"echo_{name}").get("parameters", {})
        assert ("binary_data_size" in parameters) == asked_binary


def test_json_and_binary_tensors_are_mixed_in_one_request(clients: dict[str, InferenceServerClient]) -> None:
    arrays = models.every_type()
    binary = {name: index % 2 == 0 or name == "fp16" for index, name in enumerate(arrays)}
    inputs = [infer_input(name, array, binary[name]) for name, array in arrays.items()]
    outputs = [InferRequestedOutput(f"echo_{name}", binary_data=not binary[name]) for name in arrays]
    result = clients["types"].infer(MODEL, inputs, outputs=outputs)
    assert all(same(result.as_numpy(f"echo_{name}"), array) for name, array in arrays.items())


def test_bf16_comes_back_as_it_went(clients: dict[str, InferenceServerClient]) -> None:
    array = np.array([[1.5, -0.0], [float("inf"), 3.140625]], dtype=ml_dtypes.bfloat16)
    result = clients["small"].infer(MODEL, [infer_input("bf16", array, True)])
    assert clients["small"].get_model_metadata(MODEL)["inputs"][0]["datatype"] == "BF16"
    assert same(result.as_numpy("echo_bf16"), array)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_scores_by_class_come_as_a_matrix(clients: dict[str, InferenceServerClient], rows: int) -> None:
    array = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3)
    result = clients["classes"].infer(MODEL, [infer_input("input", array, True)])
    assert same(result.as_numpy("scores"), array)
    (described,) = clients["classes"].get_model_metadata(MODEL)["outputs"]
    assert described["parameters"] == {"classes": ["blue", "green", "red"]}


@pytest.mark.parametrize("binary", [False, True])
def test_numbers_that_are_not_finite_come_back(clients: dict[str, InferenceServerClient], binary: bool) -> None:
    arrays = models.every_type()
    arrays["fp64"] = np.array([[np.inf, -np.inf], [0.0, 5e-324], [1.7976931348623157e308, 0.1]])
    inputs = [infer_input(name, array, True) for name, array in arrays.items()]
    outputs = [InferRequestedOutput("echo_fp64", binary_data=binary)]
    result = clients["types"].infer(MODEL, inputs, outputs=outputs)
    assert same(np.asarray(result.as_numpy("echo_fp64"), dtype=np.float64), arrays["fp64"])


def test_without_a_word_on_outputs_all_come_as_this_client_asks(classifier: InferenceServerClient) -> None:
    # It asks with the parameter binary_data_output of the request.
    result = classifier.infer(MODEL, [row(3)])
    assert [output["name"] for output in result.get_response()["outputs"]] == ["label", "probabilities"]
    assert all(output["parameters"]["binary_data_size"] for output in result.get_response()["outputs"])
    assert result.as_numpy("probabilities").shape == (3, 3)


def test_only_the_outputs_asked_for_come_in_their_order(classifier: InferenceServerClient) -> None:
    wanted = [InferRequestedOutput("probabilities"), InferRequestedOutput("label", binary_data=False)]
    response = classifier.infer(MODEL, [row()], outputs=wanted).get_response()
    assert [output["name"] for output in response["outputs"]] == ["probabilities", "label"]


def test_the_id_comes_back_and_parameters_are_taken(classifier: InferenceServerClient) -> None:
    result = classifier.infer(MODEL, [row()], request_id="order-7", parameters={"note": "x", "number": 1, "flag": True})
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("order-7", MODEL, VERSION)


def test_a_version_asked_for_by_name_answers(classifier: InferenceServerClient) -> None:
    assert classifier.infer(MODEL, [row()], model_version=VERSION).get_response()["model_version"] == VERSION


def test_compressed_both_ways(classifier: InferenceServerClient) -> None:
    result = classifier.infer(
        MODEL, [row(64)], request_compression_algorithm="gzip", response_compression_algorithm="gzip"
    )
    assert result.as_numpy("label").shape == (64,)


def test_requests_under_way_together_each_get_their_own_rows(clients: dict[str, InferenceServerClient]) -> None:
    asked = []
    for number in range(64):
        arrays = models.every_type()
        arrays["int64"] = np.array([[number, -number]] * 3)
        inputs = [infer_input(name, array, True) for name, array in arrays.items()]
        asked.append((arrays["int64"], clients["types"].async_infer(MODEL, inputs, request_id=str(number))))
    for number, (expected, pending) in enumerate(asked):
        result = pending.get_result()
        assert result.get_response()["id"] == str(number)
        assert same(result.as_numpy("echo_int64"), expected)


@pytest.mark.parametrize(
    ("inputs", "model", "version", "said"),
    [
        ([("input", (1, 3), "FP32")], MODEL, "", "shape is [1, 3], but input 'input' takes [-1, 4]"),
        ([("input", (1, 4), "FP64")], MODEL, "", "FP64"),
        ([("wrong", (1, 4), "FP32")], MODEL, "", "'wrong' is not an input of the model"),
        ([("input", (1, 4), "FP32")], "cats", "", "model 'cats' is not served here"),
        ([("input", (1, 4), "FP32")], MODEL, "9", "version '9'"),
    ],
)
def test_errors_come_as_the_clients_own_exception(
    classifier: InferenceServerClient, inputs: list[Any], model: str, version: str, said: str
) -> None:
    kinds = {"FP32": np.float32, "FP64": np.float64}
    given = [infer_input(name, np.zeros(shape, kinds[kind]), True) for name, shape, kind in inputs]
    with pytest.raises(InferenceServerException) as raised:
        classifier.infer(model, given, model_version=version)
    assert said in raised.value.message()
    assert raised.value.status() in ("400", "404")


def test_a_body_made_beforehand_is_answered_so_that_the_client_can_read_it(places: Places) -> None:
    body, json_size = InferenceServerClient.generate_request_body([row(2)])
    connection = HTTPConnection(places["classifier"]["http"])
    connection.request("POST", f"/v2/models/{MODEL}/infer", body, {"Inference-Header-Content-Length": str(json_size)})
    answer = connection.getresponse()
    size = int(answer.headers["Inference-Header-Content-Length"])
    result = InferenceServerClient.parse_response_body(answer.read(), header_length=size)
    connection.close()
    assert result.as_numpy("label").shape == (2,)
