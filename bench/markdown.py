"""Text of the benchmarks' pages."""

import re
import textwrap
from typing import Any

WIDTH = 120


def paragraph(text: str) -> str:
    """Filled to the width of the docs."""
    return textwrap.fill(plain(text), WIDTH, break_long_words=False, break_on_hyphens=False)


def plain(value: Any) -> str:
    """On one line, with single blanks."""
    return re.sub(r"\s+", " ", str(value)).strip()


def table(head: list[str], rows: list[list[str]]) -> str:
    """The first column is of words, the others are of numbers."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
