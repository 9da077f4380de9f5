"""The client that was generated from the protocol's own OpenAPI document."""

from __future__ import annotations

import pytest
from open_inference.openapi.client import OpenInferenceClient
from open_inference.openapi.core import ApiError
from open_inference.openapi.errors import BadRequestError
from open_inference.openapi.types import InferenceRequest, RequestInput, RequestOutput

from tests.conformance.conftest import Places
from tests.conformance.models import MODEL, VERSION


@pytest.fixture
def client(places: Places) -> OpenInferenceClient:
    return OpenInferenceClient(base_url=f"http://{places['classifier']['http']}")


def asked(columns: int = 4) -> InferenceRequest:
    data = [float(value) for value in range(columns)]
    tensor = RequestInput(name="input", shape=[1, columns], datatype="FP32", data=data)
    return InferenceRequest(id="7", inputs=[tensor], outputs=[RequestOutput(name="label")])


def test_health_and_metadata(client: OpenInferenceClient) -> None:
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness(MODEL)
    client.check_model_version_readiness(MODEL, VERSION)
    assert client.read_server_metadata().name == "plimsoll"
    assert client.read_model_metadata(MODEL) == client.read_model_version_metadata(MODEL, VERSION)


def test_inference(client: OpenInferenceClient) -> None:
    for answer in (
        client.model_infer(MODEL, request=asked()),
        client.model_version_infer(MODEL, VERSION, request=asked()),
    ):
        assert (answer.id, answer.model_name, [output.name for output in answer.outputs]) == ("7", MODEL, ["label"])


def test_errors_come_as_the_clients_own_exceptions(client: OpenInferenceClient) -> None:
    with pytest.raises(BadRequestError):
        client.model_infer(MODEL, request=asked(3))
    with pytest.raises(ApiError) as raised:
        client.check_model_readiness("cats")
    assert raised.value.status_code == 404
