"""`diff`: what tells two versions of a model apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from plimsoll.cli.kubectl import VERSIONS
from plimsoll.cli.options import cluster, connection, examples, output, show, version_name
from plimsoll.cli.times import table

Object = dict[str, Any]


@click.command(
    epilog=examples("""
    kubectl plimsoll diff churn-v6 churn-v7
    kubectl plimsoll diff churn-v6 7
    kubectl plimsoll diff churn-v6 churn-v7 -o json
    """)
)
@version_name("first")
@version_name("second")
@output
@connection
def diff(first: str, second: str, form: str | None) -> None:
    """Compare two ModelVersions: metrics, data, parameters, signature, and where they come from.

    SECOND may be a number alone: of the same model.
    """
    kubectl = cluster()
    before = kubectl.get(VERSIONS, first)
    number = second.removeprefix("v")
    after = kubectl.get(VERSIONS, f"{before['spec']['model']}-v{number}" if number.isdigit() else second)
    found = compare(before, after)
    show(found, form, lambda: render(found))


def compare(before: Object, after: Object) -> Object:
    """By section, then by name: `from`, `to`, and of numbers the `change`. What is equal is left out."""
    sections = {
        "metrics": (_metrics(before), _metrics(after)),
        "data": (_data(before), _data(after)),
        "parameters": (_lineage(before).get("parameters") or {}, _lineage(after).get("parameters") or {}),
        "inputs": (_tensors(before, "inputs"), _tensors(after, "inputs")),
        "outputs": (_tensors(before, "outputs"), _tensors(after, "outputs")),
        "origin": (_origin(before), _origin(after)),
    }
    names = {"from": before["metadata"]["name"], "to": after["metadata"]["name"]}
    return names | {section: dict(_differences(*pair)) for section, pair in sections.items()}


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Object]]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (old, new))
        yield name, {"from": old, "to": new} | ({"change": round(new - old, 12)} if numbers else {})  # type: ignore[operator]


def _lineage(version: Object) -> Object:
    return version["spec"].get("lineage") or {}


def _metrics(version: Object) -> Object:
    return version["spec"].get("metrics") or {}


def _data(version: Object) -> Object:
    return {one["name"]: one["version"] for one in _lineage(version).get("datasets") or ()}


def _tensors(version: Object, side: str) -> Object:
    """As `FP32 [-1, 64]` by name; what was found in the file counts for more than what the manifest says."""
    signature = (version.get("status") or {}).get("signature") or version["spec"].get("signature") or {}
    return {one["name"]: f"{one['datatype']} {list(one['shape'])}" for one in signature.get(side) or ()}


def _origin(version: Object) -> Object:
    found = {key: value for key, value in _lineage(version).items() if key not in {"datasets", "parameters"}}
    artifact = version["spec"]["artifact"]
    found |= {"sha256": artifact["sha256"], "sizeBytes": artifact["sizeBytes"]}
    approval = version["spec"].get("approval")
    return found | ({"approval": f"{approval['decision']} by {approval['by']}"} if approval else {})


# --- text -----------------------------------------------------------------------------------------------------------


def render(found: Object) -> str:
    """A table for each section that differs."""
    head = f"{found['from']} → {found['to']}"
    sections = {name: rows for name, rows in found.items() if isinstance(rows, dict) and rows}
    same = [name for name, rows in found.items() if rows == {}]
    parts = [
        table((name.upper(), "FROM", "TO", "CHANGE"), [_row(key, one) for key, one in rows.items()])
        for name, rows in sections.items()
    ]
    tail = [f"the same: {', '.join(same)}"] if same else []
    return "\n\n".join([head, *parts, *tail])


def _row(name: str, one: Object) -> tuple[str, str, str, str]:
    change = f"{one['change']:+.6g}" if "change" in one else ""
    return name, _text(one["from"]), _text(one["to"]), change


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
