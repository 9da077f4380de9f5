"""The server of many models under attack: what its pod hosts, and requests whose names and versions are odd, too."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from plimsoll_serving.grpc.proto.messages import message

from tests.builders import echo_models
from tests.fuzz import corpus_types
from tests.fuzz.corpus import DOCUMENTS
from tests.fuzz.exchange import Finding, exchange
from tests.fuzz.grpc_targets import SERVICE, grpc_message, infer_message
from tests.fuzz.mutate import altered, damaged
from tests.integration.serving.harness import MODEL, RIGHT
from tests.integration.serving.pool_harness import PoolServer, Store, classifier, document

#: Room for about two models, so that most requests find theirs put out.
MEMORY_BYTES = 5 << 20
#: Its file is not there, so every request to it is answered 503.
LATE = "late"
#: One service, one version: the same request is the same answer.
CANARY = "classes"
HOSTED = (MODEL, "shadowed", "twin-a", "twin-b", "types", "bf16", CANARY, LATE)
ODD_NAMES = (
    *("", "unknown", "twin", "shared", "DIGITS", f"{MODEL}-00000001", f"{MODEL} ", ".", "..", "%", "%zz", "\x00"),
    *("a/b", f"{MODEL}/infer", f"{MODEL}:predict", f"{MODEL}?x", f"{MODEL}#x", "ü", "\ud7ff", "x" * 64, "x" * 5000),
)
VERSIONS = ("1", "2", "3", "0", "-1", "", "latest", "1/2", "..", "\x00", "ü", "9" * 4000)
VERBS = (
    "",
    "/",
    "/ready",
    "/feedback",
    "/explain",
    "/versions",
    "/versions/",
    "//infer",
    "/load",
    "/unload",
    "/config",
)
PATHS = (
    *("/v2", "/v2/models", "/v2/models/", "/v2/health/live", "/v2/health/ready", "/v2/repository/index", "/docs"),
    *("/openapi.json", "/ping", "/invocations", "/v1/models", "/v1/models/", "*", "/", "//", "/v2/repository/models/"),
)
FORMS = ("/v1/models/{}:predict", "/v1/models/{}", "/docs/examples/{}.json", "/v2/repository/models/{}/load")
FORMS += ("/v2/repository/models/{}/unload", "/v2/models/{}:predict", "/v2/models/{}:")
HOSTS = (*HOSTED, f"{MODEL}.team.svc:80", "127.0.0.1", "[::1]", "", ".", "unknown.team", "ü", "x" * 300)
_FAILURE = re.compile(rb"HTTP/1\.1 5(?!04)\d\d [^\r\n]*")


def hosting(folder: Path, **env: str) -> PoolServer:
    """Two versions that share users, one that is shadowed, two services of one model, and one whose file is missing."""
    store = Store(folder / "store")
    first, second = store.put(RIGHT), store.put(classifier(2))
    half = {"weights": {"1": 50, "2": 50}, "sticky": {"header": "x-user"}}
    shadowed = document("shadowed", {"1": first, "2": second}, weights={"1": 100, "2": 100})
    shadowed["arms"][1]["mode"] = "Mirror"
    echoes = {
        "types": echo_models.of_every_type(corpus_types.TYPES),
        "bf16": echo_models.of_bf16(),
        CANARY: echo_models.of_classes(corpus_types.CLASSES),
    }
    pool = PoolServer(folder / "pod", PLIMSOLL_POOL_MEMORY_BYTES=str(MEMORY_BYTES), **env)
    pool.write(
        document(MODEL, {"1": first, "2": second}, **half),
        shadowed,
        *(document(name, {"1": first}, model="twin") for name in ("twin-a", "twin-b")),
        *(document(name, {"1": store.put(model)}) for name, model in echoes.items()),
        document(LATE, {"1": {"uri": f"file://{folder}/store/late.onnx", "sha256": "0" * 64}}),
    )
    return pool


def pool_request(chance: random.Random) -> bytes:
    """A request to one of the models or to none, sound or with an odd name, version, path, host or body."""
    name = _name(chance)
    path, inference = _path(name, chance)
    body, headers = _body(name, chance) if inference or chance.random() < 0.3 else (b"", [])
    method = "POST" if body else "GET"
    if chance.random() < 0.1:
        method = chance.choice(("GET", "HEAD", "POST", "OPTIONS", "DELETE"))
    host = chance.choice(HOSTS) if chance.random() < 0.4 else "fuzz"
    if chance.random() < 0.5:
        headers.append(f"x-user: {chance.randrange(9)}".encode())
    head = [f"{method} {path} HTTP/1.1".encode(), b"host: " + host.encode(), b"connection: close", *headers]
    data = b"\r\n".join([*head, b"content-length: %d" % len(body)]) + b"\r\n\r\n" + body
    return damaged(data, chance) if chance.random() < 0.2 else data


def _name(chance: random.Random) -> str:
    return chance.choice(HOSTED if chance.random() < 0.7 else ODD_NAMES)


def _path(name: str, chance: random.Random) -> tuple[str, bool]:
    """And whether it is that of an inference."""
    written = quote(name, safe="") if chance.random() < 0.8 else quote(name, safe="/:?#%.")
    if chance.random() < 0.2:
        return chance.choice(PATHS), False
    if chance.random() < 0.2:
        form = chance.choice(FORMS)
        return form.format(written), "predict" in form
    inference = chance.random() < 0.7
    version = f"/versions/{quote(chance.choice(VERSIONS), safe='')}" if chance.random() < 0.3 else ""
    return f"/v2/models/{written}{version}{'/infer' if inference else chance.choice(VERBS)}", inference


def _body(name: str, chance: random.Random) -> tuple[bytes, list[bytes]]:
    """What the model takes, as a rule, and the headers that go with it."""
    kind, tail = name if chance.random() < 0.9 else chance.choice(HOSTED), b""
    asked: Any = chance.choice(DOCUMENTS)
    if kind in ("types", "bf16"):
        asked, tail = corpus_types.typed_by_chance(corpus_types.OF_MODEL[kind], chance)
    elif kind == CANARY:
        asked = chance.choice(corpus_types.MAPPED)
    head = json.dumps(altered(asked, chance) if chance.random() < 0.4 else asked).encode()
    return head + tail, [b"inference-header-content-length: %d" % len(head)] if tail else []


def pool_call(chance: random.Random) -> bytes:
    """Calls whose names and versions are odd; their frames are sound, their messages now and then not."""
    calls = [_call(chance) for _ in range(2)]
    return grpc_message(chance, calls, harm=chance.random() < 0.3)


def _call(chance: random.Random) -> tuple[str, bytes]:
    name, version = _name(chance), chance.choice(VERSIONS) if chance.random() < 0.3 else ""
    told = {"name": name, "version": version}
    method, fields = chance.choice(
        [
            *(("ModelReady", told), ("ModelMetadata", told), ("ServerMetadata", {}), ("RepositoryIndex", {})),
            *(("RepositoryModelLoad", {"model_name": name}), ("RepositoryModelUnload", {"model_name": name})),
            *[("ModelInfer", {})] * 4,
        ]
    )
    if method != "ModelInfer":
        return SERVICE + method, bytes(message(f"inference.{method}Request")(**fields).SerializeToString())
    types = corpus_types.OF_MODEL.get(name)
    body = (
        corpus_types.typed_call(types, name, version)
        if types
        else infer_message(chance.random() < 0.5, 2, name, version)
    )
    return SERVICE + chance.choice(("ModelInfer", "ModelStreamInfer")), body


def over_http_to_pool(port: int, data: bytes) -> None:
    """As `over_http`. Not ready, with when to come again, is an answer: for want of room, or of the file."""
    received = exchange(port, data)
    for failure in _FAILURE.finditer(received):
        answer = received[failure.start() :].partition(b"\r\n\r\n")[0]
        if b" 503 " in failure.group() and (b"retry-after: " in answer or LATE.encode() in data):
            continue
        raise Finding(f"answered {failure.group().decode('latin-1')}: {received[-300:]!r}")
