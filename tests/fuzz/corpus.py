"""Valid requests, made here: where every damage begins."""

from __future__ import annotations

import json
import struct
from typing import Any

from tests.integration.serving.harness import INFER, MODEL, post

ROW = [5.1, 3.5, 1.4, 0.2]
BINARY_ROW = struct.pack("<4f", *ROW)


def document(rows: int = 1, **extra: Any) -> dict[str, Any]:
    """An inference as JSON."""
    tensor = {"name": "input", "datatype": "FP32", "shape": [rows, 4], "data": ROW * rows}
    return {"id": "canary", "inputs": [tensor], **extra}


DOCUMENTS: list[dict[str, Any]] = [
    document(),
    document(3, outputs=[{"name": "label"}]),
    document(2, parameters={"timeout": 5_000_000, "binary_data_output": True}),
    document(1, outputs=[{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "label"}]),
    {"inputs": [{"name": "input", "datatype": "FP32", "shape": [2, 4], "data": [ROW, ["NaN", None, "Infinity", 1]]}]},
]


def binary(rows: int = 1, **extra: Any) -> tuple[bytes, bytes]:
    """An inference as JSON part and binary tensors."""
    tensor = {
        "name": "input",
        "datatype": "FP32",
        "shape": [rows, 4],
        "parameters": {"binary_data_size": rows * len(BINARY_ROW)},
    }
    return json.dumps({"inputs": [tensor], **extra}).encode(), BINARY_ROW * rows


def chunked(body: bytes, size: int) -> bytes:
    """A POST whose body comes in chunks."""
    head = f"POST {INFER} HTTP/1.1\r\nhost: fuzz\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


def http() -> list[bytes]:
    """Whole HTTP requests."""
    bodies = [json.dumps(entry).encode() for entry in DOCUMENTS]
    head, tail = binary(2)
    gets = ["/v2", "/v2/models", f"/v2/models/{MODEL}", f"/v2/models/{MODEL}/versions/1/ready", "/v2/health/ready"]
    return [
        *(post(body, b"content-type: application/json") for body in bodies),
        *(f"GET {path} HTTP/1.1\r\nhost: fuzz\r\naccept: */*\r\n\r\n".encode() for path in gets),
        post(head + tail, b"inference-header-content-length: %d" % len(head), b"connection: keep-alive"),
        post(bodies[0], b"expect: 100-continue"),
        post(bodies[0], path=f"/v2/models/{MODEL}/versions/1/infer"),
        post(bodies[0]) + b"GET /v2 HTTP/1.1\r\nhost: fuzz\r\n\r\n" + post(bodies[1]),
        chunked(bodies[1], 50),
        f"HEAD /v2/models/{MODEL} HTTP/1.0\r\n\r\n".encode(),
        *(
            post(b"[[1, 2, 3, 4]]", path="/invocations"),
            post(b"1,2,3,4\n", b"content-type: text/csv", path="/invocations"),
        ),
        post(b'{"instances": [[1, 2, 3, 4]]}', path=f"/v1/models/{MODEL}:predict"),
        *(f"GET {path} HTTP/1.1\r\nhost: fuzz\r\n\r\n".encode() for path in ("/ping", "/docs", "/openapi.json")),
        post(b"{}", path="/v2/repository/index"),
    ]
