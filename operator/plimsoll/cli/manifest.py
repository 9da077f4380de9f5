"""A manifest as `kubectl apply` takes or refuses it: by the operator's models and the rules of the CRD, without a
cluster. Slow to import, so only when it is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import yaml
from pydantic import ValidationError

from plimsoll.api.inferenceservice import InferenceServiceSpec
from plimsoll.api.kinds import KINDS
from plimsoll.cli.cel import compiled
from plimsoll.cli.trouble import Trouble
from plimsoll.crdgen.crd import definition
from plimsoll.names import API_VERSION

KIND = "InferenceService"
Object = dict[str, Any]
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """An InferenceService of a manifest."""

    name: str
    spec: InferenceServiceSpec


def service(text: str, path: str, name: str | None = None) -> Service:
    """The InferenceService of a manifest: the only one, or that of this name. Raises Trouble that names the field."""
    found = _chosen(_documents(text, path), path, name)
    refused = refusals(found)
    if refused:
        raise Trouble("\n".join([f"{path} would be refused:", *(f"  {sentence}" for sentence in refused)]))
    return Service(found["metadata"]["name"], _read(found["spec"]))


def refusals(manifest: Object) -> list[str]:
    """Why an InferenceService would be refused at its creation, one `field: sentence` for each reason."""
    found = _without_nulls(manifest)
    if not isinstance(found.get("metadata"), dict) or not isinstance(found["metadata"].get("name"), str):
        return ["metadata.name: is required"]
    if not isinstance(found.get("spec"), dict):
        return ["spec: is required, with the fields of an InferenceService"]
    try:
        _read(found["spec"])
    except ValidationError as error:
        places = [one["loc"] for one in error.errors()]
        # A list with a bad item is called too short as well.
        return [_sentence(dict(one)) for one in error.errors() if not any(_holds_it(one["loc"], at) for at in places)]
    schema = _schema()
    stored = {"metadata": found["metadata"], "spec": _defaulted(schema["properties"]["spec"], found["spec"])}
    own = {**schema, "properties": {"spec": schema["properties"]["spec"]}}
    return [*dict.fromkeys(_broken(own, stored, ""))]


# --- which document -------------------------------------------------------------------------------------------------


def _documents(text: str, path: str) -> list[Object]:
    try:
        # What the API server is sent is JSON: dates are texts, and what JSON has not is refused.
        plain = json.loads(json.dumps([*yaml.safe_load_all(text)], default=str))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise Trouble(f"{path}: not YAML that kubectl takes: {error}") from error
    lists = [one.get("items") if isinstance(one, dict) and one.get("kind") == "List" else [one] for one in plain]
    return [one for many in lists if isinstance(many, list) for one in many if isinstance(one, dict)]


def _chosen(documents: list[Object], path: str, name: str | None) -> Object:
    ours = [one for one in documents if (one.get("apiVersion"), one.get("kind")) == (API_VERSION, KIND)]
    if not ours:
        others = [str(one.get("apiVersion")) for one in documents if one.get("kind") == KIND]
        raise Trouble(
            f"{path}: there is no {KIND} of {API_VERSION} in it" + (f", only of {', '.join(others)}" if others else "")
        )
    chosen = [one for one in ours if name is None or _name(one) == name]
    if len(chosen) != 1:
        there = ", ".join(map(_name, ours))
        raise Trouble(f"{path} has the {KIND}s {there}: name one of them by --name")
    return chosen[0]


def _name(document: Object) -> str:
    metadata = document.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _without_nulls(value: Any) -> Any:
    """The API server takes a null for a field that was left out."""
    if isinstance(value, dict):
        return {key: _without_nulls(below) for key, below in value.items() if below is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


# --- types and bounds -----------------------------------------------------------------------------------------------


def _read(spec: Object) -> InferenceServiceSpec:
    """By the models; a text is no number."""
    return InferenceServiceSpec.model_validate_json(json.dumps(_without_nulls(spec)), strict=True)


def _holds_it(outer: tuple[Any, ...], inner: tuple[Any, ...]) -> bool:
    return len(outer) < len(inner) and inner[: len(outer)] == outer


def _sentence(error: Object) -> str:
    """Of one of pydantic's errors."""
    place, given = ("spec", *error["loc"]), error["input"]
    if error["type"] == "extra_forbidden":
        near = get_close_matches(str(place[-1]), _fields(place[:-1]), n=1)
        return f"{_path(place)}: unknown field" + (f"; did you mean {near[0]}?" if near else "; remove it")
    if error["type"] == "missing":
        return f"{_path(place)}: is required"
    said = re.sub("^(Input|Tuple|String|Dictionary) should", "must", str(error["msg"])).replace(" after validation", "")
    shown = "" if isinstance(given, dict | list) else f" and not {json.dumps(given)}"
    return f"{_path(place)}: {said[:1].lower()}{said[1:]}{shown}"


def _path(place: tuple[Any, ...]) -> str:
    return "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in place).removeprefix(".")


def _fields(place: tuple[Any, ...]) -> list[str]:
    """The fields that an object of the schema may have."""
    schema = _schema()
    for one in place:
        schema = schema.get("items", {}) if isinstance(one, int) else schema.get("properties", {}).get(one, {})
    return list(schema.get("properties", ()))


# --- rules ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _schema() -> Schema:
    (kind,) = [one for one in KINDS if one.name == KIND]
    found: Schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def _defaulted(schema: Schema, value: Any) -> Any:
    """As the API server stores it."""
    if not isinstance(value, dict):
        return value
    below = schema.get("properties", {})
    found = {key: deepcopy(field["default"]) for key, field in below.items() if "default" in field} | value
    return {key: _defaulted(below.get(key, {}), one) for key, one in found.items()}


def _broken(schema: Schema, value: Any, path: str) -> Iterator[str]:
    """What the rules at and below `path` say against a value; those on changes say nothing of a new object."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], value):
            yield f"{(path + rule.get('fieldPath', '')).removeprefix('.')}: {rule['message']}"
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for key, one in value.items():
            yield from _broken(known.get(key, others), one, f"{path}.{key}")
    elif isinstance(value, list):
        yield from _repeated(schema.get("x-kubernetes-list-map-keys", ()), value, path)
        for number, one in enumerate(value):
            yield from _broken(schema.get("items", {}), one, f"{path}[{number}]")


def _repeated(keys: Sequence[str], items: Sequence[Any], path: str) -> Iterator[str]:
    """Items of a list that have the keys of an earlier one."""
    seen = [[item.get(key) for key in keys] for item in items] if keys else []
    for number, one in enumerate(seen):
        if one in seen[:number]:
            yield f"{path.removeprefix('.')}[{number}]: {one[0]} is there twice: names must differ"


def _holds(rule: str, value: Any) -> bool:
    """A rule that lacks a field does not hold, as for the API server."""
    try:
        return bool(compiled(rule)({"self": value}))
    except (KeyError, IndexError):
        return False
