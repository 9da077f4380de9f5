"""The table for the terminal and `docs/benchmarks.md`: both are pure functions of the JSON file."""

from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]
OURS = "plimsoll"
LIMIT = "raw-onnxruntime"
SILENT = "–"
WHAT = {
    "v2-json-1row-c16": "V2 JSON, 1 row, 16 connections",
    "v2-json-1row-c64": "V2 JSON, 1 row, 64 connections",
    "v2-json-32rows-c16": "V2 JSON, 32 rows, 16 connections",
    "v2-binary-1row-c16": "V2 binary tensors, 1 row, 16 connections",
    "v2-binary-32rows-c16": "V2 binary tensors, 32 rows, 16 connections",
    "v2-grpc-1row-c16": "V2 gRPC, 1 row, 16 connections",
}


def works_of(document: Row) -> list[str]:
    """Works in the order in which they were measured, also those that only have something left out."""
    return list(dict.fromkeys(row["work"] for row in [*document["rows"], *document["left_out"]]))


def servers_of(document: Row) -> list[str]:
    """Servers, ours first, the limit last."""
    named = [peer["server"] for peer in document["servers"]]
    return sorted(named, key=lambda name: (name != OURS, name == LIMIT))


def find(document: Row, work: str, server: str) -> Row | None:
    """The row of a work and a server."""
    return next((row for row in document["rows"] if row["work"] == work and row["server"] == server), None)


def ratio(ours: Row | None, peer: Row | None) -> float | None:
    """How many times as many requests we answer; None when either was not measured."""
    if ours is None or peer is None or not peer["requests_per_second"]:
        return None
    return float(ours["requests_per_second"] / peer["requests_per_second"])


def rate_text(value: float) -> str:
    """`48.7k`, `6.92k`, `187`."""
    return f"{value / 1000:.3g}k" if value >= 1000 else f"{value:.0f}"


def ratio_text(value: float | None) -> str:
    """`31x`, `0.36x`; a dash where there is none."""
    if value is None:
        return SILENT
    return f"{value:.0f}x" if value >= 10 else f"{value:.2g}x"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def rates(document: Row) -> str:
    """Requests a second: works down, servers across, with our multiple of each peer in parentheses."""
    servers = servers_of(document)
    lines = []
    for work in works_of(document):
        ours = find(document, work, OURS)
        cells = []
        for server in servers:
            row = find(document, work, server)
            if row is None:
                cells.append(SILENT)
            elif server == OURS:
                cells.append(f"**{rate_text(row['requests_per_second'])}**")
            else:
                cells.append(f"{rate_text(row['requests_per_second'])} ({ratio_text(ratio(ours, row))})")
        lines.append([f"`{work}`", *cells])
    return table(["work", *servers], lines)


def column(document: Row, key: str, digits: int) -> str:
    """One figure of all works and servers."""
    servers = servers_of(document)
    rows = []
    for work in works_of(document):
        found = [find(document, work, server) for server in servers]
        rows.append([f"`{work}`", *(SILENT if one is None else f"{one[key]:,.{digits}f}" for one in found)])
    return table(["work", *servers], rows)


def failures(document: Row) -> list[str]:
    """Sentences about what is not in the tables, and about errors in what is."""
    works: dict[tuple[str, str], list[str]] = {}
    for row in document["left_out"]:
        works.setdefault((row["server"], row["reason"]), []).append(f"`{row['work']}`")
    said = [f"{server}: {reason}: {', '.join(named)}" for (server, reason), named in works.items()]
    wrong = [row for row in document["rows"] if row.get("errors")]
    return said + [f"{row['server']}, `{row['work']}`: {row['errors']} answers were errors" for row in wrong]


def terminal(document: Row) -> str:
    """What the command prints at the end."""
    parts = [rates(document), *failures(document)]
    return "\n".join(parts).replace("**", "").replace("`", "")
