"""`status`: a release as a tree, once or live."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from plimsoll import names
from plimsoll.cli.kubectl import SERVICES, Kubectl
from plimsoll.cli.options import cluster, connection, examples, output, service_name, show
from plimsoll.cli.tree import render

Object = dict[str, Any]
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


@click.command(
    epilog=examples("""
    kubectl plimsoll status churn
    kubectl plimsoll status churn --watch
    kubectl plimsoll status churn -n shop -o json
    """)
)
@service_name
@click.option("-w", "--watch", "live", is_flag=True, help="go on, and draw it again whenever something changes")
@output
@connection
def status(name: str, live: bool, form: str | None) -> None:
    """Show a release: phase, shares, pods, the verdict and why.

    -o json prints the InferenceService's status as it is stored.
    """
    if live and form is not None:
        raise click.UsageError(f"--watch draws a tree: leave out -o {form}, or use kubectl get inf {name} -o {form} -w")
    kubectl = cluster()
    service = kubectl.get(SERVICES, name)
    if live:
        _watch(kubectl, service)
    pods = kubectl.every("pods", "-l", _selector(service)) if form is None else []
    show(service.get("status") or {}, form, lambda: render(service, pods, time.time()))


def _selector(service: Object) -> str:
    pool = ((service["spec"].get("runtime") or {}).get("pool") or {}).get("name")
    if pool:
        return f"{names.LABEL_POOL}={pool}"
    return f"{names.LABEL_INFERENCE_SERVICE}={service['metadata']['name']}"


def _watch(kubectl: Kubectl, service: Object) -> None:
    """Until it is interrupted, or the service is deleted."""
    selected = (SERVICES, service["metadata"]["name"]), ("pods", "-l", _selector(service))
    pods: dict[str, Object] = {}
    changed, drawn = True, 0.0
    for change in kubectl.watch(*selected):
        if change is not None:
            happened, found = change
            changed = True
            if found["kind"] == "InferenceService":
                service = found
                if happened == "DELETED":
                    sys.exit(0)
            elif happened == "DELETED":
                pods.pop(found["metadata"]["name"], None)
            else:
                pods[found["metadata"]["name"]] = found
        # Ages move by themselves; a burst of changes is drawn once.
        if (changed and time.monotonic() - drawn > 0.2) or change is None:
            _draw(render(service, list(pods.values()), time.time()), again=change is None and not changed)
            changed, drawn = False, time.monotonic()


def _draw(text: str, *, again: bool) -> None:
    if not sys.stdout.isatty():
        if not again:
            click.echo(f"{text}\n")
        return
    lines = "".join(f"{line}{_CLEAR_LINE}\n" for line in text.splitlines())
    click.echo(f"{_HOME}{lines}{_CLEAR_BELOW}", nl=False)
