"""Valid requests for models of every datatype, for ZipMap, as feedback and compressed: where damage begins, too."""

from __future__ import annotations

import gzip
import json
import random
import struct
from collections.abc import Collection, Sequence
from typing import Any

from plimsoll_serving.grpc.proto.messages import message

from tests.conformance.models import PLAIN_TYPES, SMALL_FLOAT, values
from tests.fuzz.corpus import DOCUMENTS
from tests.integration.serving.harness import INFER, MODEL, post
from tests.integration.serving.wire import BFLOAT16

ROWS, COLUMNS = 3, 2
#: ONNX Runtime's Python cannot answer BF16 where there is text.
TYPES = PLAIN_TYPES
NUMBERS = (*(name for name in PLAIN_TYPES if name != "BYTES"), SMALL_FLOAT)
#: The datatypes of the models that have an input of each.
OF_MODEL = {"types": TYPES, "bf16": NUMBERS}
CLASSES = [3, 5, 8]
SERVICE = "/inference.GRPCInferenceService/"


def _raw(datatype: str) -> bytes:
    array = values("FP32").astype(BFLOAT16) if datatype == SMALL_FLOAT else values(datatype)
    if datatype != "BYTES":
        return array.tobytes()
    return b"".join(struct.pack("<I", len(text)) + text for text in array.reshape(-1).tolist())


def _listed(datatype: str) -> list[Any]:
    listed = values(datatype).reshape(-1).tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in listed]


def typed(types: Sequence[str], binary: Collection[str]) -> tuple[dict[str, Any], bytes]:
    """An inference of these datatypes: the JSON and the tensors behind it, which are those of the datatypes named."""
    inputs: list[dict[str, Any]] = []
    tail = b""
    for name in types:
        item: dict[str, Any] = {"name": name.lower(), "datatype": name, "shape": [ROWS, COLUMNS]}
        if name in binary:
            item["parameters"] = {"binary_data_size": len(_raw(name))}
            tail += _raw(name)
        else:
            item["data"] = _listed(name)
        inputs.append(item)
    asked = {"parameters": {"binary_data_output": True}} if SMALL_FLOAT in binary else {}
    return {"inputs": inputs, **asked}, tail


def typed_by_chance(types: Sequence[str], chance: random.Random) -> tuple[dict[str, Any], bytes]:
    """`typed`; which tensors are binary is left to chance, but for those that JSON cannot carry."""
    return typed(types, {name for name in types if name == SMALL_FLOAT or chance.random() < 0.4})


def typed_call(types: Sequence[str], model: str = MODEL, version: str = "") -> bytes:
    """The message of a call with raw tensors of these datatypes."""
    request = message("inference.ModelInferRequest")(model_name=model, model_version=version, id="canary")
    for name in types:
        request.inputs.add(name=name.lower(), datatype=name, shape=[ROWS, COLUMNS])
        request.raw_input_contents.append(_raw(name))
    return bytes(request.SerializeToString())


#: Of a model that answers dictionaries (ZipMap).
MAPPED: list[dict[str, Any]] = [
    {"inputs": [{"name": "input", "datatype": "FP32", "shape": [rows, 3], "data": [0.2, 0.3, 0.5] * rows}], **asked}
    for rows, asked in (
        (1, {}),
        (3, {"outputs": [{"name": "scores"}]}),
        (0, {"parameters": {"binary_data_output": True}}),
    )
]


def feedback(token: str) -> list[Any]:
    """What is sent to the feedback of a model; the id is of a prediction that was made."""
    one = {"prediction_id": token, "label": 1}
    return [one, [one, {"prediction_id": "1.WyJka", "label": [1, None]}], {**one, "label": [0.5]}]


def compressed() -> list[bytes]:
    """Requests whose bodies are gzip, of one member and of two."""
    body = json.dumps(DOCUMENTS[1]).encode()
    members = gzip.compress(body[:40], mtime=0) + gzip.compress(body[40:], mtime=0)
    kind = b"content-encoding: gzip"
    return [
        post(gzip.compress(body, mtime=0), kind, b"accept-encoding: gzip", b"connection: close", path=INFER),
        post(members, kind, b"connection: close", path=INFER),
    ]
