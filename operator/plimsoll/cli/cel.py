"""CEL, as far as the rules of our kinds use it: an expression is compiled to a function of its variables.

Numbers, texts, lists and maps are Python's. Raises ValueError for what this does not know: a test compiles every rule.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

from plimsoll.api.common import seconds

Variables = Mapping[str, Any]
Value = Callable[[Variables], Any]

_TOKEN = re.compile(
    r"\s*(r?'(?:\\.|[^'\\])*'|r?\"(?:\\.|[^\"\\])*\"|\d+(?:\.\d+)?|[A-Za-z_]\w*|&&|\|\||[=!<>]=|[-+<>!?:.,()\[\]])"
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda one, many: one in many,
}  # fmt: skip
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}
_SUFFIXES = {"": Decimal(1), "m": Decimal("0.001")}
_SUFFIXES |= {letter: Decimal(1000) ** n for n, letter in enumerate("kMGT", 1)}
_SUFFIXES |= {f"{letter}i": Decimal(1024) ** n for n, letter in enumerate("KMGT", 1)}


def _quantity(text: str) -> Decimal:
    number = text.rstrip("mkMGTKi")
    return Decimal(number) * _SUFFIXES[text[len(number) :]]


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": len,
    "string": str,
    "duration": seconds,
    "quantity": _quantity,
}
_METHODS: dict[str, Callable[..., Any]] = {
    "matches": lambda text, pattern: re.search(re.sub(r"\$(?=\)*$)", r"\\Z", pattern), text) is not None,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, part: part in text,
    "lowerAscii": str.lower,
    "isSorted": lambda items: all(a <= b for a, b in pairwise(items)),
    "isLessThan": operator.lt,
    "isGreaterThan": operator.gt,
    "compareTo": lambda one, other: (one > other) - (one < other),
    "substring": lambda text, start: text[start:],
}
#: Given the items, and a function of one of them.
_MACROS: dict[str, Callable[[Any, Callable[[Any], Any]], Any]] = {
    "all": lambda items, holds: all(holds(one) for one in items),
    "exists": lambda items, holds: any(holds(one) for one in items),
    "exists_one": lambda items, holds: sum(bool(holds(one)) for one in items) == 1,
    "filter": lambda items, holds: [one for one in items if holds(one)],
    "map": lambda items, made: [made(one) for one in items],
}


@lru_cache(maxsize=1024)
def compiled(text: str) -> Value:
    """The function of an expression; it raises KeyError for a field that is not there, as the API server does."""
    reader = _Reader(_tokens(text))
    value = reader.ternary()
    reader.end()
    return value


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        if token is None:
            raise ValueError(f"not CEL that is known here: {text[at:]}")
        found.append(token[1])
        at = token.end()
    return found


class _Reader:
    """Recursive descent, one method for each precedence, the weakest first."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, ""]
        self.at = 0
        self.selected: tuple[Value, str] = (lambda known: known, "")

    def ternary(self) -> Value:
        condition = self._disjunction()
        if not self._taken("?"):
            return condition
        then = self.ternary()
        self._needed(":")
        otherwise = self.ternary()
        return lambda known: then(known) if condition(known) else otherwise(known)

    def end(self) -> None:
        self._needed("")

    def _disjunction(self) -> Value:
        parts = [self._conjunction()]
        while self._taken("||"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else lambda known: any(part(known) for part in parts)

    def _conjunction(self) -> Value:
        parts = [self._relation()]
        while self._taken("&&"):
            parts.append(self._relation())
        return parts[0] if len(parts) == 1 else lambda known: all(part(known) for part in parts)

    def _relation(self) -> Value:
        left = self._sum()
        if self.tokens[self.at] not in _COMPARISONS:
            return left
        compare, right = _COMPARISONS[self._next()], self._sum()
        return lambda known: compare(left(known), right(known))

    def _sum(self) -> Value:
        left = self._unary()
        while self.tokens[self.at] in {"+", "-"}:
            left = _applied(operator.add if self._next() == "+" else operator.sub, [left, self._unary()])
        return left

    def _unary(self) -> Value:
        if self._taken("!"):
            return _applied(operator.not_, [self._unary()])
        if self._taken("-"):
            return _applied(operator.neg, [self._unary()])
        return self._member(self._primary())

    def _member(self, value: Value) -> Value:
        while True:
            if self._taken("["):
                value = _applied(operator.getitem, [value, self.ternary()])
                self._needed("]")
            elif self._taken("."):
                name = self._next()
                self.selected = value, name
                value = self._method(value, name) if self._taken("(") else _field(value, name)
            else:
                return value

    def _method(self, value: Value, name: str) -> Value:
        if name not in _MACROS:
            return _applied(_known(_METHODS, name), [value, *self._several(")")])
        macro, variable = _MACROS[name], self._next()
        self._needed(",")
        body = self.ternary()
        self._needed(")")
        return lambda known: macro(value(known), lambda one: body({**known, variable: one}))

    def _primary(self) -> Value:
        word = self._next()
        if word == "(":
            inner = self.ternary()
            self._needed(")")
            return inner
        if word == "[":
            items = self._several("]")
            return lambda known: [item(known) for item in items]
        if word[-1:] in {"'", '"'} or word[:1].isdigit():
            constant = ast.literal_eval(word)
            return lambda known: constant
        if word in _CONSTANTS:
            return lambda known: _CONSTANTS[word]
        if not self._taken("("):
            return lambda known: known[word]
        return self._has() if word == "has" else _applied(_known(_FUNCTIONS, word), self._several(")"))

    def _has(self) -> Value:
        """`has(a.b)`: whether a has b."""
        self._member(self._primary())
        owner, field = self.selected
        self._needed(")")
        return lambda known: field in owner(known)

    def _several(self, closing: str) -> list[Value]:
        found: list[Value] = []
        while not self._taken(closing):
            found.append(self.ternary())
            if self.tokens[self.at] != closing:
                self._needed(",")
        return found

    def _next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def _taken(self, token: str) -> bool:
        found = self.tokens[self.at] == token
        self.at += found
        return found

    def _needed(self, token: str) -> None:
        if not self._taken(token):
            raise ValueError(f"{token or 'the end'} was expected instead of {self.tokens[self.at] or 'the end'}")


def _applied(function: Callable[..., Any], arguments: list[Value]) -> Value:
    return lambda known: function(*(argument(known) for argument in arguments))


def _field(value: Value, name: str) -> Value:
    return lambda known: value(known)[name]


def _known(functions: Mapping[str, Callable[..., Any]], name: str) -> Callable[..., Any]:
    if name not in functions:
        raise ValueError(f"{name}() is not known here")
    return functions[name]
