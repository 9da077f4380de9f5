"""Structural OpenAPI schemas, as the API server wants them, from pydantic models.

They differ from pydantic's in this: no `$ref`, no `title`, no union with null (an optional field may be absent),
boolean `exclusiveMinimum`, and no `additionalProperties: false` (unknown fields are the API server's affair).

Defaults are in the schema for a field of an object in the spec. They are not for lists and inside lists: clients that
compare what they applied with what is stored (Argo CD, `kubectl apply`) replace whole lists, and would never be done.
There the operator fills in the default, and the description says so.
"""

from __future__ import annotations

import json
from typing import Any

from plimsoll.api.common import Part

Schema = dict[str, Any]

#: Kept as they are, in this order.
_PLAIN = (
    "type", "format", "enum", "minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems",
    "maxProperties", "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)  # fmt: skip


class Unbounded(Exception):
    """A field that the API server could not bound the cost of rules for, or that nobody explained."""


def structural(model: type[Part], *, defaults: bool) -> Schema:
    """The schema of one model. Raises Unbounded on a list, map or string without a bound, or a field unexplained."""
    return _Builder(model, defaults).build()


class _Builder:
    def __init__(self, model: type[Part], defaults: bool) -> None:
        self.source = model.model_json_schema()
        self.definitions: Schema = self.source.get("$defs", {})
        self.classes = {part.__name__: part for part in _subclasses(Part)}
        self.defaults = defaults

    def build(self) -> Schema:
        return self._schema(self.source, str(self.source["title"]), self.defaults)

    def _schema(self, source: Schema, path: str, defaults: bool) -> Schema:
        source = self._resolved(source)
        out: Schema = {"description": source["description"]} if "description" in source else {}
        out |= {key: source[key] for key in _PLAIN if key in source}
        for bound in ("Minimum", "Maximum"):
            if f"exclusive{bound}" in source:
                out |= {bound.lower(): source[f"exclusive{bound}"], f"exclusive{bound}": True}
        match source.get("type"):
            case "object" if "properties" in source:
                self._object(source, path, defaults, out)
            case "object":
                values = source["additionalProperties"]
                out["additionalProperties"] = self._schema({} if values is True else values, f"{path}[*]", False)
            case "array":
                out["items"] = self._schema(source["items"], f"{path}[]", False)
                out.setdefault("x-kubernetes-list-type", "atomic")
            case "integer":
                out["format"] = "int64"
            case None:
                out["x-kubernetes-preserve-unknown-fields"] = True
        if out.get("x-kubernetes-int-or-string"):
            _int_or_string(out)
        _demand_bounds(out, path)
        return out

    def _object(self, source: Schema, path: str, defaults: bool, out: Schema) -> None:
        part = self.classes[source["title"]]
        required = source.get("required", [])
        fields = {info.alias or name: info for name, info in part.model_fields.items()}
        out["properties"] = {}
        for name, field in source["properties"].items():
            if not fields[name].description:
                raise Unbounded(f"{path}.{name} has no description")
            inner = {"description": fields[name].description} | self._schema(field, f"{path}.{name}", defaults)
            inner["description"] = fields[name].description
            out["properties"][name] = inner if name in required else self._with_default(inner, field, defaults)
        if required:
            out["required"] = required
        if part.rules:
            out["x-kubernetes-validations"] = [rule.to_validation() for rule in part.rules]

    def _with_default(self, out: Schema, field: Schema, defaults: bool) -> Schema:
        """Of an optional field: its default, or a word of it in the description where the default is the operator's."""
        default = field.get("default", _filled(out))
        if default is None or (default in ([], {}, "") and "properties" not in out):
            return out
        if defaults and out.get("type") != "array" and "x-operator-default" not in field:
            out["default"] = default
        if self.defaults and default != "" and "properties" not in out:
            text = field.get("x-operator-default") or (default if isinstance(default, str) else json.dumps(default))
            out["description"] += f" Default: {text}."
        return out

    def _resolved(self, source: Schema) -> Schema:
        """Without `$ref` and without the null of an optional field."""
        siblings = {key: value for key, value in source.items() if key not in ("$ref", "anyOf")}
        if "$ref" in source:
            target = self.definitions[source["$ref"].removeprefix("#/$defs/")]
            return self._resolved(target) | {key: siblings[key] for key in ("description",) if key in siblings}
        options = [self._resolved(option) for option in source.get("anyOf", []) if option.get("type") != "null"]
        if "const" in source:
            return source | {"enum": [source["const"]]}
        if not options:
            return source
        if all("enum" in option for option in options):
            return siblings | {"type": "string", "enum": [value for option in options for value in option["enum"]]}
        if len(options) > 1:
            raise Unbounded(f"a structural schema has no unions: {source}")
        return options[0] | {key: value for key, value in siblings.items() if key != "title"}


def _subclasses(part: type[Part]) -> set[type[Part]]:
    return {part}.union(*(_subclasses(child) for child in part.__subclasses__()))


def _int_or_string(out: Schema) -> None:
    del out["type"]
    out["anyOf"] = [{"type": "integer"}, {"type": "string"}]


def _demand_bounds(out: Schema, path: str) -> None:
    bounded = {"string": ("maxLength", "enum"), "array": ("maxItems",), "object": ("maxProperties", "properties")}
    wanted = bounded.get(out.get("type", ""), ())
    if wanted and not any(key in out for key in wanted):
        raise Unbounded(f"{path} has none of {', '.join(wanted)}")


def _filled(out: Schema) -> Schema | None:
    """The default of an object of optional fields, written out: the API server judges rules on it as it stands."""
    if "properties" not in out:
        return None
    return {name: inner["default"] for name, inner in out["properties"].items() if "default" in inner}
