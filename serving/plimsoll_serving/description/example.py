"""One row that a model takes, in the form of each protocol."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.v2.signature import Signature, Tensor

# Longer bodies are not shown in a command line, but fetched from the server.
SHOWN_BYTES = 800
HEADER = "content-type: application/json"


@dataclass(frozen=True, slots=True)
class Described:
    """A model as it is described.

    Attributes:
        columns: names of the columns of a model of one tensor, in order; empty when no profile tells them.
        example: JSON values of one row by input name, nested as the shape.
        real: whether the row is of the profile's sample; else it is zeros and empty strings.
    """

    name: str
    version: str
    signature: Signature
    columns: Sequence[str]
    example: dict[str, Any]
    real: bool

    @property
    def infer_path(self) -> str:
        return f"/v2/models/{quote(self.name)}/infer"

    @property
    def example_path(self) -> str:
        return f"/docs/examples/{quote(self.name)}.json"


def describe(name: str, version: str, signature: Signature, columns: Sequence[str], sample: Sequence[Any]) -> Described:
    """A model with the first row of its profile's sample, or zeros without one."""
    row = _sampled(signature, sample[0]) if sample else None
    shown = row or {key: _synthetic(tensor) for key, tensor in signature.inputs.items()}
    inputs = signature.inputs
    example = {key: _values(inputs[key], array) for key, array in shown.items()}
    return Described(name, version, signature, columns, example, row is not None)


def _sampled(signature: Signature, row: Any) -> dict[str, NDArray[Any]] | None:
    """A row of the sample by input: it is an object of input and values, a list of values, or a whole V2 request."""
    if isinstance(row, list):
        row = {next(iter(signature.inputs)): row}
    if not isinstance(row, dict):
        return None
    if isinstance(row.get("inputs"), list) and "inputs" not in signature.inputs:
        row = {item["name"]: item["data"] for item in row["inputs"]}
    arrays = {}
    for name, tensor in signature.inputs.items():
        values = np.array(row.get(name, []), dtype=object).reshape(-1)
        shape = (1, *tensor.shape[1:]) if tensor.shape else ()
        if shape.count(-1) > 1 or values.size == 0 or (-1 not in shape and values.size != np.prod(shape, dtype=int)):
            return None
        arrays[name] = values.reshape(shape)
    return arrays


def _synthetic(tensor: Tensor) -> NDArray[Any]:
    fill: object = {"bytes": "", "bool": False, "int": 0}.get(tensor.datatype.kind, 0.0)
    return np.full([1 if size < 0 else size for size in tensor.shape], fill, dtype=object)


def _values(tensor: Tensor, array: NDArray[Any]) -> Any:
    """JSON values; floats in the shortest text of their own precision."""
    if tensor.datatype.kind == "float" and tensor.datatype.dtype.itemsize < 8:
        array = np.array([_short(value, tensor) for value in array.reshape(-1)], dtype=object).reshape(array.shape)
    return array.tolist()


def _short(value: Any, tensor: Tensor) -> Any:
    return float(str(tensor.datatype.dtype.type(value))) if isinstance(value, int | float) else value


# Bodies that work when they are sent


def v2_request(model: Described) -> dict[str, Any]:
    """``POST /v2/models/{model}/infer``"""
    inputs = []
    for name, values in model.example.items():
        array = np.array(values, dtype=object)
        item = {"name": name, "datatype": model.signature.inputs[name].datatype.name}
        inputs.append({**item, "shape": list(array.shape), "data": array.reshape(-1).tolist()})
    return {"inputs": inputs}


def instances_request(model: Described) -> dict[str, Any] | None:
    """``POST /v1/models/{model}:predict``, ``POST /invocations``; None for a model whose inputs are no rows."""
    if not model.example or not all(tensor.shape for tensor in model.signature.inputs.values()):
        return None
    rows = {name: values[0] for name, values in model.example.items()}
    if len(rows) > 1:
        return {"instances": [{name: _bare(row) for name, row in rows.items()}]}
    (row,) = rows.values()
    if model.columns and isinstance(row, list):
        return {"instances": [dict(zip(model.columns, row, strict=True))]}
    return {"instances": [row]}


def frame_request(model: Described) -> dict[str, Any] | None:
    """``POST /invocations`` as MLflow's clients write it; None when a cell would be more than one value."""
    rows = instances_request(model)
    if rows is None:
        return None
    (instance,) = rows["instances"]
    if isinstance(instance, dict) and not any(isinstance(cell, list) for cell in instance.values()):
        return {"dataframe_split": {"columns": list(instance), "data": [list(instance.values())]}}
    lone = next(iter(model.signature.inputs.values()))
    if isinstance(instance, list) and len(lone.shape) == 2 and lone.shape[1] > 0:
        return {"dataframe_split": {"data": [instance]}}
    return None


def _bare(row: Any) -> Any:
    return row[0] if isinstance(row, list) and len(row) == 1 and not isinstance(row[0], list) else row


# Programs that work when they are run


def curl(model: Described, base: str) -> str:
    """A line for a shell. ``base`` is such as ``http://127.0.0.1:8080``."""
    body = json.dumps(v2_request(model), ensure_ascii=False)
    ask = f"curl -s {shlex.quote(base + model.infer_path)} -H '{HEADER}' -d"
    if len(body.encode()) <= SHOWN_BYTES:
        return f"{ask} {shlex.quote(body)}"
    return f"curl -s {shlex.quote(base + model.example_path)} | {ask} @-"


def python(model: Described, base: str) -> str:
    """A program that needs nothing but Python."""
    request = v2_request(model)
    short = len(json.dumps(request)) <= SHOWN_BYTES
    body = repr(request) if short else f"json.load(urllib.request.urlopen({base + model.example_path!r}))"
    return (
        "import json, urllib.request\n\n"
        f"body = {body}\n"
        f"url = {base + model.infer_path!r}\n"
        'headers = {"content-type": "application/json"}\n'
        "request = urllib.request.Request(url, json.dumps(body).encode(), headers)\n"
        "print(json.load(urllib.request.urlopen(request)))\n"
    )
