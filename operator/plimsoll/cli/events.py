"""`events`: what was told about a service."""

from __future__ import annotations

import time
from typing import Any

import click

from plimsoll.cli.kubectl import SERVICES
from plimsoll.cli.options import cluster, connection, examples, output, service_name, show
from plimsoll.cli.times import age, table

Object = dict[str, Any]


@click.command(
    epilog=examples("""
    kubectl plimsoll events churn
    kubectl plimsoll events churn -o json
    """)
)
@service_name
@output
@connection
def events(name: str, form: str | None) -> None:
    """List the Events of an InferenceService, the oldest first: transitions, holds, commands."""
    kubectl = cluster()
    uid = kubectl.get(SERVICES, name)["metadata"]["uid"]
    found = sorted(kubectl.every("events", "--field-selector", f"involvedObject.uid={uid}"), key=_last)
    shown = [
        {"last": _last(one), "type": one["type"], "reason": one["reason"], "count": one.get("count", 1),
         "message": one["message"]}
        for one in found
    ]  # fmt: skip
    show(shown, form, lambda: render(shown, time.time()))


def _last(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"])


def render(found: list[Object], now: float) -> str:
    """A line for each; the cluster forgets them after an hour."""
    if not found:
        return "no events: the cluster forgets them after an hour; history has how releases ended"
    rows = [(age(one["last"], now), one["type"], one["reason"], f"{one['count']}x", one["message"]) for one in found]
    return table(("AGE", "TYPE", "REASON", "COUNT", "MESSAGE"), rows)
