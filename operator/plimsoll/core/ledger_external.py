"""Custom metrics and judges in a ledger: beside its windows, and only where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from plimsoll.facts import External, Window


def external_rows(windows: Sequence[Window]) -> dict[str, Any]:
    """`{"external": {name: {index: [candidate, stable, answer, reason, gap]}}}`, or nothing."""
    found: dict[str, dict[str, list[Any]]] = {}
    for window in windows:
        for name, one in window.external.items():
            row = [list(one.candidate), list(one.stable), one.answer, one.reason, one.gap]
            found.setdefault(name, {})[str(window.index)] = row
    return {"external": found} if found else {}


def with_external(
    windows: tuple[Window, ...], rows: Mapping[str, Mapping[str, Sequence[Any]]] | None
) -> tuple[Window, ...]:
    """The windows with what `external_rows` wrote of them. Raises ValueError or TypeError for anything else."""
    if not rows:
        return windows
    read: dict[int, dict[str, External]] = {}
    for name, by_index in rows.items():
        for index, (candidate, stable, answer, reason, gap) in by_index.items():
            said = External(tuple(candidate), tuple(stable), str(answer), str(reason), gap)
            read.setdefault(int(index), {})[name] = said
    return tuple(replace(window, external=read.get(window.index, {})) for window in windows)
