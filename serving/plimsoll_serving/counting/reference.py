"""The reference bins of a version: what `profile.json` (docs/contracts.md) says of features and outputs.

Pure. Names of bins carry the edge or the value, so that two versions with other edges are never compared by mistake:
``le:0.35`` (above the edge before it, up to this one), ``le:+Inf``, ``value:setosa``; and the words ``below_range``,
``above_range`` (outside what the profile saw), ``infinite``, ``missing`` (features) or ``nan`` (outputs), ``other``.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from plimsoll_serving.errors import ArtifactError

MAX_EDGES = 9
MAX_VALUES = 10
LABEL_LENGTH = 64
#: The bins of one entry: ten of numbers or values, and the words above.
MAX_BINS = MAX_EDGES + 1 + 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One feature or output: ``edges`` of numbers or ``values`` of text and classes; the other is None.

    ``low`` and ``high`` are the observed range, infinite where the profile does not tell it; ``counts`` are the rows by
    bin, everything beyond the last edge or value at the end, empty where the profile does not tell them.
    """

    name: str
    index: int
    edges: tuple[float, ...] | None = None
    values: tuple[Any, ...] | None = None
    low: float = -math.inf
    high: float = math.inf
    counts: tuple[int, ...] = ()

    @property
    def has_range(self) -> bool:
        return math.isfinite(self.low) or math.isfinite(self.high)

    def reference(self) -> Iterator[tuple[str, int]]:
        """Rows of the profile by the names of the bins in which requests are counted."""
        last = "le:+Inf" if self.values is None else "other"
        inside = [f"le:{edge!r}" for edge in self.edges or ()] + [value_label(value) for value in self.values or ()]
        return zip([*inside, last], self.counts, strict=False)


@dataclass(frozen=True, slots=True)
class Reference:
    """Features in the order of the profile, and outputs."""

    features: tuple[Entry, ...] = ()
    outputs: tuple[Entry, ...] = ()


def parse(profile: bytes) -> Reference:
    """Read a profile. Raises ArtifactError naming the field that is not as the contract has it."""
    try:
        document = json.loads(profile)
    except ValueError as error:
        raise ArtifactError(f"profile.json is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ArtifactError("profile.json is not an object")
    return Reference(_entries(document, "features"), _entries(document, "outputs"))


def _entries(document: dict[str, Any], field: str) -> tuple[Entry, ...]:
    items = document.get(field, [])
    if not isinstance(items, list):
        raise ArtifactError(f"profile.json: {field} is not a list")
    return tuple(_entry(item, f"{field}[{place}]", place) for place, item in enumerate(items))


def _entry(item: Any, where: str, place: int) -> Entry:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ArtifactError(f"profile.json: {where} is not an object with a name")
    index = item.get("index", place)
    if type(index) is not int or index < 0:
        raise ArtifactError(f"profile.json: {where}.index is not a whole number from 0")
    if "values" in item:
        values = _values(item["values"], where)
        return Entry(item["name"], index, values=values, counts=_counts(item.get("counts"), len(values)))
    edges = _edges(item.get("edges"), where)
    low, high = _range(item.get("range"), where)
    if edges and not low <= edges[0] <= edges[-1] <= high:
        raise ArtifactError(f"profile.json: {where}.range does not hold its edges")
    return Entry(item["name"], index, edges=edges, low=low, high=high, counts=_counts(item.get("counts"), len(edges)))


def _values(values: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(values, list) or any(isinstance(value, list | dict) for value in values):
        raise ArtifactError(f"profile.json: {where}.values is not a list of plain values")
    return tuple(values[:MAX_VALUES])


def _edges(edges: Any, where: str) -> tuple[float, ...]:
    if not isinstance(edges, list) or not all(_is_number(edge) for edge in edges):
        raise ArtifactError(f"profile.json: {where} has neither values nor edges that are numbers")
    if any(low >= high for low, high in pairwise(edges)) or len(edges) > MAX_EDGES:
        raise ArtifactError(f"profile.json: {where}.edges do not rise, or are more than {MAX_EDGES}")
    return tuple(float(edge) for edge in edges)


def _counts(counts: Any, bins: int) -> tuple[int, ...]:
    """With those of values that are not listed at the end; a profile need not have any."""
    if not isinstance(counts, list) or len(counts) <= bins or any(type(n) is not int or n < 0 for n in counts):
        return ()
    return (*counts[:bins], sum(counts[bins:]))


def _range(bounds: Any, where: str) -> tuple[float, float]:
    if bounds is None:
        return -math.inf, math.inf
    if not isinstance(bounds, list) or len(bounds) != 2 or not all(map(_is_number, bounds)) or bounds[0] > bounds[1]:
        raise ArtifactError(f"profile.json: {where}.range is not two numbers, the smaller first")
    return float(bounds[0]), float(bounds[1])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def value_label(value: object) -> str:
    """The bin of a value; cut, for labels have a bound."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return f"value:{text[:LABEL_LENGTH]}"
