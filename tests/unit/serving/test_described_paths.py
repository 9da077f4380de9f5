"""Every path that the server answers is described, and nothing else is."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import plimsoll_serving
import pytest
from plimsoll_serving import build, endpoints
from plimsoll_serving.description.example import describe
from plimsoll_serving.description.openapi import document
from plimsoll_serving.http.message import Request, Response, json_response
from plimsoll_serving.settings import Identity

from tests.unit.serving.adaptor_models import NUMBERS

MODEL, VERSION = "digits", "7"
NOTHING_THERE = {404, 405}
SOURCES = Path(plimsoll_serving.__file__).parent


class Inferences:
    """Answers every inference."""

    engine = SimpleNamespace(
        name=MODEL, version=VERSION, signature=NUMBERS, classes={}, columns=[], sample=[], providers=[], shared=None
    )

    def own(self, _request: Request, respond: Any, _codec: Any) -> None:
        respond(json_response(200, {}))

    public = own

    def forward_or(self, response: Response, _request: Request, respond: Any) -> None:
        respond(response)


def served() -> endpoints.Endpoints:
    identity = Identity(MODEL, VERSION, MODEL, MODEL, "default", "pod")
    readiness = SimpleNamespace(ready=True, loaded=True, reason="")
    feedback = SimpleNamespace(answer=lambda _request: json_response(200, {}))
    return endpoints.Endpoints(identity, *cast("Any", (Inferences(), readiness, True, feedback)), control=True)


def words() -> set[str]:
    """What a part of a path may be: whatever word the modules that look at paths have in a literal."""
    found = {MODEL, VERSION}
    for name in ("endpoints", "adaptors/endpoints", "repository", "description/about"):
        tree = ast.parse((SOURCES / f"{name}.py").read_text())
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        paths = [text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z0-9/:._-]+", text)]
        found |= {word for path in paths for word in path.split("/") if word}
    glued = {word for word in found if not word[0].isalnum()}
    return (found - glued) | {MODEL + word for word in glued}


def candidates() -> Iterator[str]:
    """Paths of up to three words, and two or three more behind those under which there is something."""
    known = sorted(words())
    for length in (1, 2, 3):
        yield from ("/" + "/".join(parts) for parts in itertools.product(known, repeat=length))
    versions = [f"/v{n}/models/{model}/versions" for n in (1, 2) for model in (MODEL, f"{MODEL}:predict")]
    for prefix in [f"/v1/models/{MODEL}", f"/v2/models/{MODEL}", "/v2/repository/models", "/docs/examples", *versions]:
        for length in (1, 2):
            yield from ("/".join((prefix, *parts)) for parts in itertools.product(known, repeat=length))
    yield from (f"{prefix}/{VERSION}{word}" for prefix in versions for word in (":predict", ":explain"))


def answers(handler: endpoints.Endpoints, method: str, path: str) -> bool:
    told: list[Response] = []
    handler.handle(Request(method, path, "", [], b"{}", True), told.append)
    return told[0].status not in NOTHING_THERE


@pytest.mark.skipif(build.code() == build.COMPILED, reason="compiled, what answers takes no stand-ins")
def test_every_path_that_is_served_is_described_and_nothing_else() -> None:
    assert {"infer", "versions", "ready", "feedback", f"{MODEL}:predict", f"{MODEL}.json", "load"} <= words()
    handler = served()
    found = {(m.lower(), path) for path in candidates() for m in ("GET", "POST") if answers(handler, m, path)}
    written = document([describe(MODEL, VERSION, NUMBERS, [], [])], sagemaker=True)["paths"]
    assert found == {(method, path) for path, item in written.items() for method in item}
