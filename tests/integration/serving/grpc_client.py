"""A client of the served gRPC methods, on grpcio: nothing of the server's own framing is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from plimsoll_serving.grpc.proto.messages import message

from tests.integration.serving.harness import HOST, MODEL, Server

SERVICE = "/inference.GRPCInferenceService/"
InferRequest = message("inference.ModelInferRequest")
InferResponse = message("inference.ModelInferResponse")
StreamResponse = message("inference.ModelStreamInferResponse")


@contextmanager
def channel(server: Server, port: str = "grpc", **options: Any) -> Iterator[grpc.Channel]:
    """A channel with a connection of its own."""
    arguments = [("grpc.use_local_subchannel_pool", 1), *((name.replace("__", "."), v) for name, v in options.items())]
    with grpc.insecure_channel(f"{HOST}:{server.ports[port]}", options=arguments) as opened:
        yield opened


def unary(opened: grpc.Channel, method: str, response: str | None = None) -> Callable[..., Any]:
    """The call of a method of one message and one answer."""
    answer = message(f"inference.{response or method}Response")
    return opened.unary_unary(
        SERVICE + method,
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=answer.FromString,
    )


def infer(opened: grpc.Channel) -> Callable[..., Any]:
    return unary(opened, "ModelInfer")


def stream(opened: grpc.Channel) -> Callable[..., Any]:
    return opened.stream_stream(
        SERVICE + "ModelStreamInfer",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=StreamResponse.FromString,
    )


def raw(rows: Any, **fields: Any) -> Any:
    """A request with raw contents."""
    array = np.asarray(rows, np.float32)
    request = InferRequest(**{"model_name": MODEL, **fields})
    request.inputs.add(name="input", datatype="FP32", shape=array.shape)
    request.raw_input_contents.append(array.tobytes())
    return request


def typed(rows: Any, **fields: Any) -> Any:
    """A request with typed contents."""
    array = np.asarray(rows, np.float32)
    request = InferRequest(**{"model_name": MODEL, **fields})
    tensor = request.inputs.add(name="input", datatype="FP32", shape=array.shape)
    tensor.contents.fp32_contents.extend(array.reshape(-1).tolist())
    return request


def failure(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    """Status and message of a call that fails."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError("the call did not fail")
