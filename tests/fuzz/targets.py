"""What is attacked: how a damaged request of each kind is made, and what an answer may never be."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from functools import partial

from tests.fuzz import corpus, corpus_types
from tests.fuzz.exchange import Finding, exchange
from tests.fuzz.grpc_targets import grpc_message, http2_frames, over_http2
from tests.fuzz.mutate import altered, damaged
from tests.fuzz.pool import over_http_to_pool, pool_call, pool_request
from tests.fuzz.servers import prediction_id
from tests.integration.serving.harness import MODEL, post

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


def typed_body(types: Sequence[str], chance: random.Random) -> bytes:
    """Inputs of these datatypes, those of some as binary data; JSON, sizes or bytes are changed."""
    document, tail = corpus_types.typed_by_chance(types, chance)
    if chance.random() < 0.7:
        document = altered(document, chance)
    head = json.dumps(document).encode()
    if chance.random() < 0.4:
        tail = damaged(tail, chance)
    return post(head + tail, b"inference-header-content-length: %d" % len(head), b"connection: close")


def mapped_body(chance: random.Random) -> bytes:
    """JSON to a model that answers dictionaries."""
    body = json.dumps(altered(chance.choice(corpus_types.MAPPED), chance)).encode()
    return post(damaged(body, chance) if chance.random() < 0.2 else body, b"connection: close")


def feedback_body(chance: random.Random) -> bytes:
    """Labels, for an id that is right unless it is what is changed."""
    body = json.dumps(altered(chance.choice(corpus_types.feedback(prediction_id())), chance)).encode()
    if chance.random() < 0.3:
        body = damaged(body, chance)
    return post(body, b"connection: close", path=f"/v2/models/{MODEL}/feedback")


def gzip_body(chance: random.Random) -> bytes:
    """Compressed bodies, damaged; the head is sound but for the length, which follows."""
    head, _, body = chance.choice(corpus_types.compressed()).partition(b"\r\n\r\n")
    body = damaged(body, chance)
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body)]) + b"\r\n\r\n" + body


def typed_message(types: Sequence[str], chance: random.Random) -> bytes:
    """Sound HTTP/2; messages with raw tensors of these datatypes, damaged."""
    return grpc_message(chance, [(f"{corpus_types.SERVICE}ModelInfer", corpus_types.typed_call(types))])


def over_http(port: int, data: bytes) -> None:
    """Send, half-close, read to the end. Raises Finding for a 5xx and for a server that does not come to an end."""
    received = exchange(port, data)
    failure = _FAILURE.search(received)
    if failure is not None:
        raise Finding(f"answered {failure.group().decode('latin-1')}: {received[-300:]!r}")


Make = Callable[[random.Random], bytes]
Send = Callable[[int, bytes], None]
#: Name → how a case is made, to which server and over which port it goes, how it is sent and judged.
TARGETS: dict[str, tuple[Make, str, str, Send]] = {
    "http-bytes": (http_bytes, "classifier", "public", over_http),
    "json-body": (json_body, "classifier", "public", over_http),
    "binary-header": (binary_header, "classifier", "public", over_http),
    "grpc-message": (grpc_message, "classifier", "grpc", over_http2),
    "http2-frames": (http2_frames, "classifier", "grpc", over_http2),
    "feedback": (feedback_body, "classifier", "public", over_http),
    "gzip": (gzip_body, "classifier", "public", over_http),
    "types": (partial(typed_body, corpus_types.TYPES), "types", "public", over_http),
    "types-grpc": (partial(typed_message, corpus_types.TYPES), "types", "grpc", over_http2),
    "bf16": (partial(typed_body, corpus_types.NUMBERS), "bf16", "public", over_http),
    "bf16-grpc": (partial(typed_message, corpus_types.NUMBERS), "bf16", "grpc", over_http2),
    "dictionaries": (mapped_body, "classes", "public", over_http),
    "pool": (pool_request, "pool", "public", over_http_to_pool),
    "pool-direct": (pool_request, "pool", "direct", over_http_to_pool),
    "pool-grpc": (pool_call, "pool", "grpc", over_http2),
}
