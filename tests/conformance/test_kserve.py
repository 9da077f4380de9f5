"""KServe's own clients: REST with V2 in JSON and binary and with V1, gRPC with raw and typed contents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import pytest_asyncio
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import from_np_dtype

from tests.conformance import models
from tests.conformance.conftest import Places
from tests.conformance.models import MODEL, same


@pytest.fixture
def rest() -> InferenceRESTClient:
    return InferenceRESTClient(RESTConfig(protocol="v2", retries=0))


@pytest_asyncio.fixture
async def grpc_clients(places: Places) -> AsyncIterator[dict[str, InferenceGRPCClient]]:
    opened = {name: InferenceGRPCClient(place["grpc"]) for name, place in places.items()}
    yield opened
    for client in opened.values():
        await client.close()


def at(places: Places, model: str) -> str:
    return f"http://{places[model]['http']}"


def request(arrays: dict[str, Any], binary: bool, **extra: Any) -> InferRequest:
    inputs = []
    for name, array in arrays.items():
        given = InferInput(name, list(array.shape), from_np_dtype(array.dtype))
        given.set_data_from_numpy(array, binary_data=binary or name == "fp16")
        inputs.append(given)
    return InferRequest(MODEL, inputs, **extra)


ROWS = {"input": np.arange(8, dtype=np.float32).reshape(2, 4)}


async def test_server_and_model_are_live_and_ready(rest: InferenceRESTClient, places: Places) -> None:
    base = at(places, "classifier")
    assert await rest.is_server_live(base)
    assert await rest.is_server_ready(base)
    assert await rest.is_model_ready(base, MODEL)


@pytest.mark.parametrize("output_binary", [False, True])
@pytest.mark.parametrize("binary", [False, True])
async def test_every_type_comes_back_as_it_went(
    rest: InferenceRESTClient, places: Places, binary: bool, output_binary: bool
) -> None:
    arrays = models.every_type()
    asked = request(arrays, binary, request_id="42", parameters={"binary_data_output": output_binary})
    response = await rest.infer(at(places, "types"), asked, model_name=MODEL)
    assert (response.id, response.model_name) == ("42", MODEL)
    for name, array in arrays.items():
        # This client writes and reads FP16 in no other way than as a binary tensor.
        told = response.get_output_by_name(f"echo_{name}")
        assert same(np.asarray(told.as_numpy(), dtype=array.dtype), array), name


async def test_only_the_outputs_asked_for_come_in_their_order(rest: InferenceRESTClient, places: Places) -> None:
    wanted = [RequestedOutput("probabilities", {"binary_data": True}), RequestedOutput("label")]
    response = await rest.infer(at(places, "classifier"), request(ROWS, True, request_outputs=wanted), model_name=MODEL)
    assert [output.name for output in response.outputs] == ["probabilities", "label"]
    assert response.outputs[0].as_numpy().shape == (2, 3)


@pytest.mark.parametrize(("model", "shape", "status"), [(MODEL, (1, 3), 400), ("cats", (1, 4), 404)])
async def test_rest_errors_come_as_the_clients_own_exception(
    rest: InferenceRESTClient, places: Places, model: str, shape: Any, status: int
) -> None:
    asked = request({"input": np.zeros(shape, np.float32)}, False)
    with pytest.raises(httpx.HTTPStatusError, match=str(status)) as raised:
        await rest.infer(at(places, "classifier"), asked, model_name=model)
    assert raised.value.response.json()["error"] in str(raised.value)


async def test_v1_predicts(places: Places) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    base = at(places, "classifier")
    assert await client.is_model_ready(base, MODEL)
    answer = await client.infer(base, {"instances": ROWS["input"].tolist()}, model_name=MODEL)
    assert len(answer["predictions"]) == 2
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        await client.infer(base, {"instances": [[1, 2, 3]]}, model_name=MODEL)


async def test_grpc_is_live_and_ready(grpc_clients: dict[str, InferenceGRPCClient]) -> None:
    client = grpc_clients["classifier"]
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready(MODEL)


@pytest.mark.parametrize("raw", [False, True])
async def test_every_type_comes_back_over_grpc(grpc_clients: dict[str, InferenceGRPCClient], raw: bool) -> None:
    """Typed contents have no field for FP16, and a request is typed or raw as a whole: FP16 goes raw only."""
    arrays = models.every_type() if raw else models.every_type(models.TYPED_TYPES)
    client = grpc_clients["types" if raw else "typed"]
    response = await client.infer(request(arrays, raw, request_id="42"))
    assert response.id == "42"
    for name, array in arrays.items():
        told = response.get_output_by_name(f"echo_{name}")
        assert same(np.asarray(told.as_numpy(), dtype=array.dtype), array), name


@pytest.mark.parametrize("shape", [(1, 3), (2, 2, 4)])
async def test_grpc_errors_come_as_the_clients_own_exception(
    grpc_clients: dict[str, InferenceGRPCClient], shape: Any
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await grpc_clients["classifier"].infer(request({"input": np.zeros(shape, np.float32)}, True))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "takes [-1, 4]" in raised.value.details()
