"""Requests as bytes, the same for every server, and answers read back for the check before each timing."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.serving.messages import message
from bench.serving.models import NAME
from bench.serving.works import Protocol

PATH = f"/v2/models/{NAME}/infer"
OUTPUTS = ("label", "probabilities")
DTYPES = {"INT64": "<i8", "INT32": "<i4", "FP32": "<f4", "FP64": "<f8"}
_CONTENTS = {"INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents"}
Outputs = dict[str, NDArray[Any]]


class WrongAnswer(Exception):
    """An answer that is not what onnxruntime says."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A body and what must be said about it in headers."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def payload(protocol: Protocol, rows: NDArray[np.float32]) -> Payload:
    """The request of these rows."""
    return {Protocol.JSON: _json, Protocol.BINARY: _binary, Protocol.GRPC: _grpc}[protocol](rows)


def _json(rows: NDArray[np.float32]) -> Payload:
    # As a user writes them: 0.1234, not the float32's full decimal expansion.
    data = [round(value, 4) for value in rows.astype(float).ravel().tolist()]
    document = {"inputs": [{"name": "input", "datatype": "FP32", "shape": list(rows.shape), "data": data}]}
    return Payload(json.dumps(document).encode(), {"content-type": "application/json"})


def _binary(rows: NDArray[np.float32]) -> Payload:
    raw = rows.astype("<f4").tobytes()
    tensor = {"name": "input", "datatype": "FP32", "shape": list(rows.shape)}
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS]
    head = {"inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}], "outputs": outputs}
    text = json.dumps(head).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(text))}
    return Payload(text + raw, headers)


def _grpc(rows: NDArray[np.float32]) -> Payload:
    request = message("ModelInferRequest")(model_name=NAME)
    request.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.astype("<f4").tobytes())
    return Payload(request.SerializeToString())


def read_rest(body: bytes, head_length: int | None) -> Outputs:
    """Outputs of an answer; ``head_length`` is its `inference-header-content-length`, None for plain JSON."""
    document = json.loads(body[:head_length])
    position, outputs = head_length or 0, {}
    for tensor in document["outputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size") if head_length else None
        dtype = DTYPES[tensor["datatype"]]
        if size is None:
            values = np.array(tensor["data"], dtype)
        else:
            values = np.frombuffer(body[position : position + size], dtype)
            position += size
        outputs[tensor["name"]] = values.reshape(tensor["shape"])
    return outputs


def read_grpc(body: bytes) -> Outputs:
    """Outputs of a ModelInferResponse, raw or typed."""
    answer = message("ModelInferResponse")()
    answer.ParseFromString(body)
    outputs: Outputs = {}
    for index, tensor in enumerate(answer.outputs):
        dtype = DTYPES[tensor.datatype]
        if answer.raw_output_contents:
            values = np.frombuffer(answer.raw_output_contents[index], dtype)
        else:
            values = np.array(getattr(tensor.contents, _CONTENTS[tensor.datatype]), dtype)
        outputs[tensor.name] = values.reshape(list(tensor.shape))
    return outputs


def check(found: Outputs, expected: Outputs, tolerance: float = 1e-6) -> None:
    """Raises WrongAnswer naming the first output that is missing or differs by more than ``tolerance``."""
    for name, values in expected.items():
        if name not in found:
            raise WrongAnswer(f"output {name} is not in the answer, which has {sorted(found)}")
        # Some servers answer one column for one value a row: the numbers count, not the rank.
        if found[name].size != values.size:
            raise WrongAnswer(f"output {name} has shape {found[name].shape}, not {values.shape}")
        if not np.allclose(found[name].ravel(), values.ravel(), rtol=0, atol=tolerance):
            raise WrongAnswer(f"output {name} differs from onnxruntime's by more than {tolerance}")
