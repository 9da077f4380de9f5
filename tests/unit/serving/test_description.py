"""What the server tells about itself is valid, works when it is sent, and needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from plimsoll_serving.adaptors.invocations import InvocationsCodec
from plimsoll_serving.adaptors.table import Table
from plimsoll_serving.adaptors.v1 import V1Codec
from plimsoll_serving.description.about import Description, base_of
from plimsoll_serving.description.example import (
    Described,
    curl,
    describe,
    frame_request,
    instances_request,
    python,
    v2_request,
)
from plimsoll_serving.description.openapi import document
from plimsoll_serving.http.message import Response
from plimsoll_serving.v2.decode import decode
from plimsoll_serving.v2.signature import Signature

from tests.unit.serving.adaptor_models import CLASSES, IMAGES, MIXED, NUMBERS, request, signature, tensor

BASE = "http://127.0.0.1:8080"
WIDE = signature([tensor("input", "FP32", -1, 768)], CLASSES)
SCALAR = signature([tensor("x", "INT64", -1), tensor("flag", "BOOL", -1)], CLASSES)
FREE = signature([tensor("tokens", "INT64", -1, -1)], CLASSES)
HALF = np.float32(0.1).item()
SAMPLES: list[tuple[str, Signature, list[str], list[Any]]] = [
    ("one tensor", NUMBERS, ["a", "b", "c"], [{"input": [HALF, 2.0, 3.0]}]),
    ("a list", NUMBERS, [], [[HALF, 2.0, 3.0]]),
    (
        "a request",
        NUMBERS,
        [],
        [{"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 3], "data": [HALF, 2, 3]}]}],
    ),
    ("columns", MIXED, ["age", "city", "visits"], [{"age": [41.5], "city": ["Bern's <b>"], "visits": [3]}]),
    ("nothing", MIXED, [], []),
    ("images", IMAGES, [], [{"image": [1, 2, 3, 4]}]),
    ("wide", WIDE, [], []),
    ("scalars", SCALAR, [], []),
    ("free sizes", FREE, [], [{"tokens": [[5, 6, 7]]}]),
    ("no inputs", signature([], CLASSES), [], []),
    ("no rows", signature([tensor("scale", "FP64"), tensor("x", "INT64", -1)], CLASSES), [], []),
    ("an odd sample", NUMBERS, [], [{"other": [1]}]),
]


def described(of: Signature, columns: list[str], sample: list[Any], name: str = "digits") -> Described:
    return describe(name, "7", of, columns, sample)


@pytest.mark.parametrize(("of", "columns", "sample"), [case[1:] for case in SAMPLES], ids=[case[0] for case in SAMPLES])
def test_every_example_is_the_same_row_to_every_protocol(of: Signature, columns: list[str], sample: list[Any]) -> None:
    model = described(of, columns, sample)
    table = Table(of, columns)
    wanted = decode(json.dumps(v2_request(model)).encode(), of).inputs
    assert all(array.ndim == 0 or array.shape[0] == 1 for array in wanted.values())
    bodies = [instances_request(model), frame_request(model)]
    for body in [json.dumps(one).encode() for one in bodies if one is not None]:
        for codec in (V1Codec(table), InvocationsCodec(table)):
            if b"dataframe" in body and isinstance(codec, V1Codec):
                continue
            inputs = codec.decode(request(body), of).inputs
            assert {name: array.tolist() for name, array in inputs.items()} == {
                name: array.tolist() for name, array in wanted.items()
            }


def test_the_example_is_a_row_of_the_sample_in_short_numbers() -> None:
    model = described(NUMBERS, ["a", "b", "c"], [{"input": [HALF, 2.0, 3.0]}])
    assert model.real
    assert v2_request(model)["inputs"][0]["data"] == [0.1, 2.0, 3.0]
    assert instances_request(model) == {"instances": [{"a": 0.1, "b": 2.0, "c": 3.0}]}
    assert not described(NUMBERS, [], []).real
    assert not described(NUMBERS, [], [{"input": [1]}]).real


@pytest.mark.parametrize(("of", "columns", "sample"), [case[1:] for case in SAMPLES], ids=[case[0] for case in SAMPLES])
def test_the_openapi_document_is_valid_and_so_are_its_examples(
    of: Signature, columns: list[str], sample: list[Any]
) -> None:
    written = document([described(of, columns, sample)], sagemaker=True)
    OpenAPIV31SpecValidator(json.loads(json.dumps(written))).validate()
    for item in written["paths"].values():
        for operation in item.values():
            media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for example in media.get("examples", {}).values():
                Draft202012Validator(media["schema"]).validate(example["value"])


def test_the_document_tells_a_models_own_types() -> None:
    written = document([described(MIXED, [], []), described(NUMBERS, [], [], "cats & dogs")], sagemaker=False)
    schema = written["paths"]["/v2/models/digits/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    wrong = {"inputs": [{"name": "city", "datatype": "FP32", "shape": [1, 1], "data": [1.5]}]}
    assert list(Draft202012Validator(schema).iter_errors(wrong))
    assert "/v2/models/cats%20%26%20dogs/infer" in written["paths"]
    assert "/invocations" not in written["paths"]


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def shown(model: Described, **headers: str) -> Response:
    asked = request(**headers)
    asked.method, asked.path = "GET", "/docs"
    return Description(lambda: [model], sagemaker=True).answer(asked)


def test_the_page_loads_nothing_from_elsewhere_and_allows_only_its_own_script() -> None:
    response = shown(described(*SAMPLES[3][1:]))
    page = Elements(response.body.decode())
    assert response.content_type == b"text/html; charset=utf-8"
    for _, attributes in page.found:
        assert not any(key.startswith("on") or key == "style" for key in attributes)
        for key in ("src", "href"):
            assert (attributes.get(key) or "/").startswith(("/", "data:"))
    policy = dict(response.headers)[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        (text,) = page.texts[tag]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_page_shows_the_model_and_a_row_to_try() -> None:
    model = described(*SAMPLES[3][1:], name="x<script>alert(1)</script>")
    page = Elements(shown(model, host="models.example:8443").body.decode())
    assert sum(tag == "script" for tag, _ in page.found) == 1
    (body,) = page.texts["textarea"]
    assert json.loads(body) == v2_request(model)
    assert [attributes["data-path"] for tag, attributes in page.found if tag == "form"] == [model.infer_path]
    shell, program = page.texts["pre"][:2]
    assert (shell, program) == (
        curl(model, "http://models.example:8443"),
        python(model, "http://models.example:8443").rstrip("\n") + "\n",
    )
    assert {"age", "city", "visits", "prediction"} <= set(page.texts["code"])


def test_a_command_line_quotes_the_row_and_asks_for_a_long_one() -> None:
    model = described(*SAMPLES[3][1:])
    words = shlex.split(curl(model, BASE))
    assert words[:3] == ["curl", "-s", BASE + "/v2/models/digits/infer"]
    assert json.loads(words[-1]) == v2_request(model)
    long = curl(described(WIDE, [], []), BASE)
    assert long.startswith(f"curl -s {BASE}/docs/examples/digits.json | curl -s {BASE}/v2/models/digits/infer ")
    compile(python(model, BASE), "snippet", "exec")


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"host": "10.0.0.1:8080"}, "http://10.0.0.1:8080"),
        ({"host": "models.example", "x_forwarded_proto": "https"}, "https://models.example"),
        ({"host": "x'><script>"}, "http://localhost:8080"),
        ({}, "http://localhost:8080"),
    ],
)
def test_the_address_is_the_readers_own_unless_it_is_odd(headers: dict[str, str], base: str) -> None:
    assert base_of(request(**headers)) == base


def test_nothing_is_described_before_it_is_loaded() -> None:
    asked = request()
    asked.path = "/openapi.json"
    assert Description(list, sagemaker=True).answer(asked).status == 503
    asked.path = "/docs/examples/other.json"
    assert Description(lambda: [described(*SAMPLES[0][1:])], sagemaker=True).answer(asked).status == 404
