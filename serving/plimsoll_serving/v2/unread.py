"""Why a body could not be read as JSON: the value at fault and the remedy, where the reader tells only a byte."""

import json
import math
from collections.abc import Iterator
from typing import Any

RANGE = "out of range"
WORDS = (b"NaN", b"Infinity")


class _Odd(str):
    """A number that JSON or 64 bits cannot hold, as it was written."""

    __slots__ = ()


def told(body: bytes, error: Exception) -> str:
    """A sentence.

    Args:
        error: what the strict reader raised.
    """
    if isinstance(error, RecursionError):
        return "the body is not JSON that can be read: it is nested too deep"
    if RANGE in str(error) or any(word in body for word in WORDS):
        try:
            document = json.loads(body, parse_constant=_Odd, parse_float=_number, parse_int=_number)
            for path, value in _odd(document, ""):
                return f"{path or 'the body'} is {_remedy(value)}"
        except (ValueError, RecursionError):
            pass  # there is more that is not JSON
    return f"the body is not JSON: {error}"


def _number(text: str) -> str | None:
    return None if math.isfinite(float(text)) else _Odd(text)


def _odd(value: Any, path: str) -> Iterator[tuple[str, _Odd]]:
    if isinstance(value, _Odd):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _odd(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _odd(item, f"{path}.{key}" if path else key)


def _remedy(value: str) -> str:
    if value == "NaN":
        return 'NaN, which JSON has no word for; send "NaN" in quotes, or null'
    if value.endswith("Infinity"):
        return f'{value}, which JSON has no word for; send "{value}" in quotes'
    word = "-Infinity" if value.startswith("-") else "Infinity"
    shown = value if len(value) <= 20 else f"{value[:20]}…"
    return f'{shown}, beyond the largest 64-bit float; if that is meant, send "{word}" in quotes'
