"""Times and tables as kubectl's users know them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def unix(text: str) -> float:
    """A timestamp of the API server → Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


def clock(at: float) -> str:
    """Unix seconds → `12:00:05`, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def lasted(seconds: float) -> str:
    """`45s`, `3m20s`, `5h10m`, `12d`, as kubectl writes ages."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60}s" if whole % 60 and whole < 600 else f"{whole // 60}m"
    if whole < 48 * 3600:
        minutes = whole % 3600 // 60
        return f"{whole // 3600}h{minutes}m" if minutes and whole < 8 * 3600 else f"{whole // 3600}h"
    return f"{whole // 86400}d"


def age(text: str | None, now: float) -> str:
    """How long ago a timestamp was."""
    return lasted(now - unix(text)) if text else "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that line up; the last one may be as long as it likes."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
