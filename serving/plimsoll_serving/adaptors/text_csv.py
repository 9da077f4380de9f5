"""Rows in ``text/csv`` (RFC 4180), with and without a line of column names."""

import csv
import io
import math

from plimsoll_serving.adaptors.table import Arrays, Table
from plimsoll_serving.errors import RequestError
from plimsoll_serving.v2.datatypes import Datatype

Cell = str | int | float | bool | None
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def read_csv(body: bytes, header: str | None, table: Table) -> Arrays:
    """Rows of text to the model's inputs. Raises RequestError.

    Args:
        header: the parameter of that name of the media type: ``present``, ``absent``, or None when it is not given. The
            first line is names then if it holds the name of a column, or not a single number where all are numbers.
    """
    table.check_one_value_a_cell("CSV")
    lines = _lines(body)
    if header not in (None, "present", "absent"):
        raise RequestError(f"content-type: header is {header!r}, not present or absent")
    names: list[str] | None = None
    if header == "present" or (header is None and _is_header(lines[0], table)):
        names = [name.strip() for name in lines.pop(0)]
        if not lines:
            raise RequestError("the CSV has a line of column names and no rows")
    kinds = table.datatypes()
    if names is not None and table.columns:
        known = dict(zip(table.columns, kinds, strict=True))
        kinds = [known.get(name, kinds[0]) for name in names]
    first = 1 if names is None else 2
    width = len(kinds)
    rows: list[list[Cell]] = []
    for number, line in enumerate(lines, first):
        if len(line) != width:
            raise RequestError(f"line {number} of the CSV has {len(line)} values, not {width}")
        cells = enumerate(zip(line, kinds, strict=True), 1)
        rows.append([_read(text, kind, number, place) for place, (text, kind) in cells])
    return table.of_frame(names, rows, "the CSV")


def _lines(body: bytes) -> list[list[str]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"the CSV is not UTF-8: {error}") from None
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error as error:
        raise RequestError(f"the body is not CSV: {error}") from None
    if not lines:
        raise RequestError("the CSV has no rows")
    return lines


def _is_header(line: list[str], table: Table) -> bool:
    names = {cell.strip() for cell in line}
    if names & set(table.columns):
        return True
    numeric = all(kind.kind in ("float", "int") for kind in table.datatypes())
    return numeric and all(cell.strip() and _number(cell) is None for cell in line)


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _read(text: str, kind: Datatype, line: int, place: int) -> Cell:
    """A cell as JSON would have it."""
    if kind.kind == "bytes":
        return text
    word = text.strip()
    if kind.kind == "bool":
        if word.lower() in TRUTHS:
            return TRUTHS[word.lower()]
        raise RequestError(f"line {line}, value {place} of the CSV is {text[:50]!r}, not true or false")
    if kind.kind == "float" and not word:
        return None  # a missing number
    if kind.kind == "int" and word.lstrip("+-").isdecimal() and len(word) < 40:
        return int(word)
    number = _number(word)
    if number is None:
        raise RequestError(f"line {line}, value {place} of the CSV is {text[:50]!r}, not a number")
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")
