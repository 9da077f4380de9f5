"""Valid requests for models of every datatype, for ZipMap, as feedback and compressed: where damage begins, too."""

from __future__ import annotations

import gzip
import json
import struct
from typing import Any

from plimsoll_serving.grpc.proto.messages import message

from tests.conformance.models import PLAIN_TYPES, every_type
from tests.fuzz.corpus import DOCUMENTS
from tests.integration.serving.harness import INFER, MODEL, post

ROWS, COLUMNS = 3, 2
#: ONNX Runtime's Python cannot run a model that has both text and BF16.
TYPES = PLAIN_TYPES
CLASSES = [3, 5, 8]
SERVICE = "/inference.GRPCInferenceService/"


def _raw(datatype: str) -> bytes:
    array = every_type()[datatype.lower()]
    if datatype != "BYTES":
        return array.tobytes()
    return b"".join(struct.pack("<I", len(text)) + text for text in array.reshape(-1).tolist())


def _listed(datatype: str) -> list[Any]:
    values = every_type()[datatype.lower()].reshape(-1).tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def typed(binary: tuple[str, ...]) -> tuple[dict[str, Any], bytes]:
    """An inference of every datatype: the JSON and the tensors behind it, which are those of the datatypes named."""
    inputs: list[dict[str, Any]] = []
    tail = b""
    for name in TYPES:
        item: dict[str, Any] = {"name": name.lower(), "datatype": name, "shape": [ROWS, COLUMNS]}
        if name in binary:
            item["parameters"] = {"binary_data_size": len(_raw(name))}
            tail += _raw(name)
        else:
            item["data"] = _listed(name)
        inputs.append(item)
    return {"inputs": inputs}, tail


def typed_call() -> bytes:
    """The message of a call with raw tensors of every datatype."""
    request = message("inference.ModelInferRequest")(model_name=MODEL, id="canary")
    for name in TYPES:
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
