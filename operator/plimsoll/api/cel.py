"""CEL validations: how a rule is written, and the expressions that several kinds share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL validation as `x-kubernetes-validations` has it; `message` is the sentence the user reads.

    `message_expression` is CEL that says the same with the offending value; `message` stands in where it fails.
    """

    rule: str
    message: str
    field_path: str | None = None
    message_expression: str | None = None

    def to_validation(self) -> dict[str, Any]:
        """As the CRD has it."""
        pairs = {
            "rule": self.rule, "message": self.message, "messageExpression": self.message_expression,
            "fieldPath": self.field_path,
        }  # fmt: skip
        return {key: value for key, value in pairs.items() if value is not None}


def checked(*rules: Rule, **more: str | list[str]) -> dict[str, Any]:
    """`json_schema_extra` of a field that has rules of its own, or other `x-kubernetes-…` keys."""
    extra: dict[str, Any] = {f"x-kubernetes-{key.replace('_', '-')}": value for key, value in more.items()}
    return extra | ({"x-kubernetes-validations": [rule.to_validation() for rule in rules]} if rules else {})


def operator_default(text: str) -> dict[str, Any]:
    """`json_schema_extra` of a field whose default is the operator's, not the schema's; `text` tells it."""
    return {"x-operator-default": text}


def cel_list(words: Iterable[str]) -> str:
    """A CEL list of strings."""
    return "[" + ", ".join(f"'{word}'" for word in words) + "]"


def phrase(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *head, tail = words
    return f"{', '.join(head)} {last} {tail}" if head else tail


CREDENTIALS = Rule(
    "!self.matches('^[a-z0-9]+://[^/]*@')",
    "must not hold credentials: everyone who may read this object would read them",
)


def matching(pattern: str, message: str) -> dict[str, Any]:
    """A pattern as CEL: the API server's own message for `pattern` shows a regular expression instead of a remedy."""
    return checked(Rule(f"self.matches(r'{pattern}')", message))


NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
DURATION_PATTERN = "^([0-9]{1,6}h([0-9]{1,6}m)?([0-9]{1,6}s)?|[0-9]{1,6}m([0-9]{1,6}s)?|[0-9]{1,6}s)$"


def between(least: str, most: str) -> dict[str, Any]:
    """`json_schema_extra` of a Duration: its form and its range."""
    message = f"must be a duration from {least} to {most}, such as 30s, 5m or 1h30m"
    return checked(
        Rule(
            f"self.matches('{DURATION_PATTERN}')"
            f" && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
            message,
        )
    )


def cel_duration(path: str) -> str:
    """CEL for the duration at `path`; 0 s for a malformed one, whose own rule speaks."""
    return f"({path}.matches('{DURATION_PATTERN}') ? duration({path}) : duration('0s'))"


QUANTITY_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


def amount(least: str, most: str, message: str) -> dict[str, Any]:
    """`json_schema_extra` of a quantity: its form and its range."""
    text = "string(self)"
    in_range = (
        f"!quantity({text}).isLessThan(quantity('{least}')) && !quantity({text}).isGreaterThan(quantity('{most}'))"
    )
    return checked(Rule(f"{text}.matches(r'{QUANTITY_PATTERN}') && {in_range}", message))


def cel_quantity(path: str) -> str:
    """CEL for the quantity at `path`; 0 for a malformed one, whose own rule speaks."""
    return f"(string({path}).matches(r'{QUANTITY_PATTERN}') ? quantity(string({path})) : quantity('0'))"


def immutable(spec: type[BaseModel], kind: str, mutable: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """One rule for each field of `spec` but the mutable ones; it may not change, appear or vanish."""
    fields = [info.alias or name for name, info in spec.model_fields.items() if name not in mutable]
    message = f"{{}} cannot change: a {kind} is immutable but for {phrase(mutable)}; make a new one"
    return tuple(
        Rule(
            f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
            message.format(field),
            f".{field}",
        )
        for field in fields
    )
