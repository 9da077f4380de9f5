"""MLServer's published OpenAPI and protobuf documents as the schema of live answers. MLServer itself is not run."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import httpx
import jsonschema
import numpy as np
import pytest

from tests.conformance import models
from tests.conformance.conftest import Places
from tests.conformance.models import MODEL, VERSION, same

# Looked up, not imported: MLServer's own requirements are not installed.
_SPEC = importlib.util.find_spec("mlserver")
assert _SPEC is not None
assert _SPEC.submodule_search_locations is not None
MLSERVER = Path(_SPEC.submodule_search_locations[0])
OPENAPI = {
    name: json.loads((MLSERVER / "rest" / "openapi" / f"{name}.json").read_text())
    for name in ("dataplane", "model_repository")
}
ROW = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}

# The documents have a type that JSON schema does not know: the text of a tensor.
_TYPES = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("bytes", lambda _, value: isinstance(value, str))
Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_TYPES)


def check(document: str, path: str, response: httpx.Response) -> None:
    """The body is what the document says for this path, method and status."""
    whole = OPENAPI[document]
    told = whole["paths"][path][response.request.method.lower()]["responses"][str(response.status_code)]
    while "$ref" in told:
        told = _at(whole, told["$ref"])
    content = told.get("content", {}).get("application/json")
    if content is None:
        return
    assert response.headers["content-type"] == "application/json"
    Validator({**content["schema"], "components": whole["components"]}).validate(response.json())


def _at(whole: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        whole = whole[part]
    return whole


GETS = [
    "/v2/health/live",
    "/v2/health/ready",
    "/v2",
    "/v2/models/{model_name}",
    "/v2/models/{model_name}/versions/{model_version}",
    "/v2/models/{model_name}/ready",
    "/v2/models/{model_name}/versions/{model_version}/ready",
]
INFERS = ["/v2/models/{model_name}/infer", "/v2/models/{model_name}/versions/{model_version}/infer"]


def url(places: Places, path: str, model: str = MODEL, version: str = VERSION, at: str = "classifier") -> str:
    return f"http://{places[at]['http']}" + path.format(model_name=model, model_version=version)


@pytest.mark.parametrize("at", ["classifier", "classes"])
@pytest.mark.parametrize("path", GETS)
def test_what_is_asked_by_get_is_as_documented(places: Places, path: str, at: str) -> None:
    response = httpx.get(url(places, path, at=at))
    assert response.status_code == 200
    check("dataplane", path, response)


@pytest.mark.parametrize("path", INFERS)
def test_an_inference_is_as_documented(places: Places, path: str) -> None:
    response = httpx.post(url(places, path), json={**ROW, "id": "7", "parameters": {"content_type": "np"}})
    assert (response.status_code, response.json()["id"]) == (200, "7")
    check("dataplane", path, response)


def test_every_type_is_named_as_documented(places: Places) -> None:
    inputs = [
        {
            "name": name,
            "datatype": name.upper(),
            "shape": list(array.shape),
            "data": [value.decode() if isinstance(value, bytes) else value for value in array.reshape(-1).tolist()],
        }
        for name, array in models.every_type().items()
    ]
    response = httpx.post(url(places, INFERS[0], at="types"), json={"inputs": inputs})
    assert response.status_code == 200, response.text
    check("dataplane", INFERS[0], response)
    check("dataplane", GETS[3], httpx.get(url(places, GETS[3], at="types")))


def test_errors_are_as_documented(places: Places) -> None:
    response = httpx.post(url(places, INFERS[0]), json={"inputs": []})
    assert response.status_code == 400
    check("dataplane", INFERS[0], response)
    assert httpx.get(url(places, GETS[3], model="cats")).status_code == 404


def test_the_repository_index_is_as_documented(places: Places) -> None:
    path = "/v2/repository/index"
    response = httpx.post(url(places, path), json={})
    assert response.status_code == 200
    check("model_repository", path, response)


def test_loading_and_unloading_are_refused_unless_switched_on(places: Places) -> None:
    for verb in ("load", "unload"):
        response = httpx.post(url(places, f"/v2/repository/models/{{model_name}}/{verb}"))
        assert 400 <= response.status_code < 500
        assert response.json()["error"]


@pytest.fixture(scope="module")
def messages() -> ModuleType:
    """MLServer's compiled messages."""
    spec = importlib.util.spec_from_file_location("dataplane_pb2", MLSERVER / "grpc" / "dataplane_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Stub:
    """Calls of the service as MLServer's protobuf document declares them."""

    def __init__(self, channel: grpc.Channel, messages: ModuleType) -> None:
        service = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]
        self._channel, self._messages, self._service = channel, messages, service

    def __call__(self, method: str, **fields: Any) -> Any:
        described = self._service.methods_by_name[method]
        ask, answer = (getattr(self._messages, kind.name) for kind in (described.input_type, described.output_type))
        call = self._channel.unary_unary(
            f"/{self._service.full_name}/{method}",
            request_serializer=ask.SerializeToString,
            response_deserializer=answer.FromString,
        )
        return call(ask(**fields), timeout=60)


@pytest.fixture
def stub(places: Places, messages: ModuleType) -> Iterator[Stub]:
    with grpc.insecure_channel(places["classifier"]["grpc"]) as channel:
        yield Stub(channel, messages)


def test_grpc_answers_mlservers_own_messages(stub: Stub) -> None:
    assert stub("ServerLive").live
    assert stub("ServerReady").ready
    assert stub("ModelReady", name=MODEL).ready
    assert stub("ServerMetadata").name == "plimsoll"
    assert [tensor.name for tensor in stub("ModelMetadata", name=MODEL).inputs] == ["input"]
    assert [model.name for model in stub("RepositoryIndex").models] == [MODEL]


def test_grpc_infers_from_raw_and_from_typed_contents(stub: Stub) -> None:
    row = np.array([[1, 2, 3, 4]], np.float32)
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 4]}
    raw = stub("ModelInfer", model_name=MODEL, inputs=[tensor], raw_input_contents=[row.tobytes()])
    values = {"fp32_contents": row.reshape(-1).tolist()}
    typed = stub("ModelInfer", model_name=MODEL, id="7", inputs=[{**tensor, "contents": values}])
    assert typed.id == "7"
    told = np.frombuffer(raw.raw_output_contents[1], np.float32)
    if typed.raw_output_contents:
        again = np.frombuffer(typed.raw_output_contents[1], np.float32)
    else:
        again = np.array(typed.outputs[1].contents.fp32_contents, np.float32)
    assert same(again, told)


def test_every_method_of_the_document_is_there(stub: Stub, messages: ModuleType) -> None:
    """Loading and unloading are switched off, the stream has tests of its own."""
    for method in messages.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
        if method.name in ("ModelStreamInfer", "RepositoryModelLoad", "RepositoryModelUnload"):
            continue
        try:
            stub(method.name)
        except grpc.RpcError as error:
            assert error.code() is not grpc.StatusCode.UNIMPLEMENTED, method.name
