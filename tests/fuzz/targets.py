"""What is attacked: how a damaged request of each kind is made, and what an answer may never be."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

from tests.fuzz import corpus
from tests.fuzz.exchange import Finding, exchange
from tests.fuzz.grpc_targets import grpc_message, http2_frames, over_http2
from tests.fuzz.mutate import altered, damaged
from tests.integration.serving.harness import post

# 504 is what the parameter `timeout` asks for.
_FAILURE = re.compile(rb"HTTP/1\.1 5(?!04)\d\d [^\r\n]*")


def http_bytes(chance: random.Random) -> bytes:
    """Requests whose bytes are damaged anywhere."""
    seeds = corpus.http()
    return damaged(chance.choice(seeds), chance, seeds)


def json_body(chance: random.Random) -> bytes:
    """A sound head; a body whose JSON is changed in its structure, or in its bytes, or both."""
    body = json.dumps(altered(chance.choice(corpus.DOCUMENTS), chance)).encode()
    if chance.random() < 0.4:
        body = damaged(body, chance)
    return post(body, b"connection: close")


def binary_header(chance: random.Random) -> bytes:
    """Binary tensors whose sizes, head length or bytes are wrong."""
    head, tail = corpus.binary(chance.randint(0, 3))
    if chance.random() < 0.6:
        head = json.dumps(altered(json.loads(head), chance)).encode()
    if chance.random() < 0.4:
        tail = damaged(tail, chance)
    size: object = len(head)
    if chance.random() < 0.4:
        wrong = (0, 1, len(head) - 1, len(head) + 1, len(head) + len(tail), 2**31, -1, "", "x", "+5", "0x10", 10**30)
        size = chance.choice(wrong)
    header = f"inference-header-content-length: {size}".encode()
    return post(head + tail, header, b"content-type: application/octet-stream", b"connection: close")


def over_http(port: int, data: bytes) -> None:
    """Send, half-close, read to the end. Raises Finding for a 5xx and for a server that does not come to an end."""
    received = exchange(port, data)
    failure = _FAILURE.search(received)
    if failure is not None:
        raise Finding(f"answered {failure.group().decode('latin-1')}: {received[-300:]!r}")


Make = Callable[[random.Random], bytes]
Send = Callable[[int, bytes], None]
#: Name → how a case is made, over which port it goes, how it is sent and judged.
TARGETS: dict[str, tuple[Make, str, Send]] = {
    "http-bytes": (http_bytes, "public", over_http),
    "json-body": (json_body, "public", over_http),
    "binary-header": (binary_header, "public", over_http),
    "grpc-message": (grpc_message, "grpc", over_http2),
    "http2-frames": (http2_frames, "grpc", over_http2),
}
