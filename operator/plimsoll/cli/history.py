"""`history`: how releases ended."""

from __future__ import annotations

from typing import Any

import click

from plimsoll.cli.kubectl import SERVICES
from plimsoll.cli.options import cluster, connection, examples, output, service_name, show
from plimsoll.cli.times import lasted, table, unix

Object = dict[str, Any]


@click.command(
    epilog=examples("""
    kubectl plimsoll history churn
    kubectl plimsoll history churn -o yaml
    """)
)
@service_name
@output
@connection
def history(name: str, form: str | None) -> None:
    """List the last ten releases: version, outcome, who decided, how long it took, and why."""
    found = (cluster().get(SERVICES, name).get("status") or {}).get("history") or []
    show(found, form, lambda: render(found))


def render(records: list[Object]) -> str:
    """The newest first, as the status has them."""
    if not records:
        return "no release has ended yet"
    rows = [
        (
            str(one["attempt"]), f"v{one['version']}", one["outcome"], one.get("by") or "-", one["startedAt"],
            lasted(unix(one["finishedAt"]) - unix(one["startedAt"])), one["reason"],
        )
        for one in records
    ]  # fmt: skip
    return table(("ATTEMPT", "VERSION", "OUTCOME", "BY", "STARTED", "TOOK", "REASON"), rows)
