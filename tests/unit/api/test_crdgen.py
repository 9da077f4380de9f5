"""The generated files are those of the models, and the generator refuses what the API server would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from plimsoll.api.common import Part
from plimsoll.api.kinds import KINDS, Kind
from plimsoll.crdgen import crd
from plimsoll.crdgen.files import generated
from plimsoll.crdgen.schema import Unbounded, structural
from pydantic import Field

ROOT = Path(__file__).resolve().parents[3]
FILES = generated()
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.mark.parametrize("path", FILES)
def test_a_generated_file_is_up_to_date(path: str) -> None:
    assert (ROOT / path).read_text() == FILES[path], "run `make generate`"


def test_the_generator_gives_the_same_twice() -> None:
    assert generated() == FILES


@pytest.mark.parametrize("folder", ["crds", "charts/plimsoll/templates/crds"])
def test_no_file_of_a_kind_that_is_gone_is_left(folder: str) -> None:
    left = {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir()}
    assert left == {path for path in FILES if path.startswith(f"{folder}/")}


@EACH_KIND
def test_the_template_of_the_chart_says_the_same_as_the_crd(kind: Kind) -> None:
    plain = crd.template(kind).replace('{{ "{{" }}', "{{")
    body = "\n".join(line for line in plain.splitlines() if not line.startswith("{{-"))
    expected = crd.definition(kind)
    expected["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
    assert yaml.safe_load(body) == expected


def test_braces_are_escaped_for_helm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crd, "_version", lambda kind: {"description": "{{ .Values.x }}"})
    assert '{{ "{{" }} .Values.x }}' in crd.template(KINDS[0])


def test_a_crd_that_has_grown_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crd, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"the CRD of TrainingJob has .* bytes, more than 1000"):
        crd.manifest(KINDS[0])


def _nodes(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from _nodes(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _nodes(schema[key], f"{path}[]")


def _schema(kind: Kind) -> dict[str, Any]:
    version = crd.definition(kind)["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


@EACH_KIND
def test_a_schema_is_structural(kind: Kind) -> None:
    for path, node in _nodes(_schema(kind)):
        assert not {"$ref", "title", "oneOf", "allOf", "const"} & node.keys(), path
        assert "anyOf" not in node or node["x-kubernetes-int-or-string"], path
        assert node.get("additionalProperties") is not False, path


@EACH_KIND
def test_no_default_is_inside_a_list_or_in_the_status(kind: Kind) -> None:
    schema = _schema(kind)
    for path, node in _nodes(schema):
        if "[]" in path or path.startswith(".status") or node.get("type") == "array":
            assert "default" not in node, path


@EACH_KIND
def test_a_default_is_told_in_the_description(kind: Kind) -> None:
    for path, node in _nodes(_schema(kind)["properties"]["spec"]):
        if node.get("default") not in (None, "") and "properties" not in node:
            assert " Default: " in node["description"], path


class _Bounded(Part):
    """A part with every sort of field."""

    word: Annotated[str, Field(max_length=5)] = Field(description="A word.")
    words: Annotated[tuple[Annotated[str, Field(max_length=5)], ...], Field(max_length=3)] = Field(description="Words.")
    counts: Annotated[dict[str, int], Field(max_length=3)] = Field(default_factory=dict, description="Counts.")
    maybe: int | None = Field(default=None, description="A number.")


def test_optional_fields_are_absent_and_never_null() -> None:
    schema = structural(_Bounded, defaults=True)
    assert schema["required"] == ["word", "words"]
    assert schema["properties"]["maybe"] == {"description": "A number.", "type": "integer", "format": "int64"}


class _FreeString(Part):
    """."""

    word: str = Field(description="A word.")


class _FreeList(Part):
    """."""

    words: tuple[Annotated[str, Field(max_length=5)], ...] = Field(description="Words.")


class _FreeItems(Part):
    """."""

    words: Annotated[tuple[str, ...], Field(max_length=5)] = Field(description="Words.")


class _FreeMap(Part):
    """."""

    counts: dict[str, int] = Field(description="Counts.")


class _FreeInside(Part):
    """."""

    inner: _FreeString | None = Field(default=None, description="Inner.")


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (_FreeString, "_FreeString.word has none of maxLength, enum"),
        (_FreeList, "_FreeList.words has none of maxItems"),
        (_FreeItems, r"_FreeItems.words\[\] has none of maxLength, enum"),
        (_FreeMap, "_FreeMap.counts has none of maxProperties, properties"),
        (_FreeInside, "_FreeInside.inner.word has none of maxLength, enum"),
    ],
)
def test_a_field_without_a_bound_is_refused(part: type[Part], complaint: str) -> None:
    with pytest.raises(Unbounded, match=complaint):
        structural(part, defaults=True)


class _Silent(Part):
    """."""

    inner: _Bounded = Field()


def test_a_field_without_a_description_is_refused() -> None:
    with pytest.raises(Unbounded, match=r"_Silent.inner has no description"):
        structural(_Silent, defaults=True)


class _Either(Part):
    """."""

    value: int | bool = Field(description="A value.")


def test_a_union_is_refused() -> None:
    with pytest.raises(Unbounded, match="a structural schema has no unions"):
        structural(_Either, defaults=True)


@EACH_KIND
def test_every_sentence_of_a_rule_says_what_to_do(kind: Kind) -> None:
    for path, node in _nodes(_schema(kind)):
        for rule in node.get("x-kubernetes-validations", ()):
            assert len(rule["message"]) >= 20, path
            assert "\n" not in rule["message"], path
