"""Commands to a release: `promote`, `abort`, `pause`, `resume`, `retry`, `unquarantine`, `rollback`.

A command is an annotation; nothing else of the user's object is written. One that the operator has not read yet is not
written over, except by an abort.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from plimsoll import names
from plimsoll.cli.kubectl import SERVICES, Kubectl
from plimsoll.cli.options import cluster, connection, examples, output, service_name, show
from plimsoll.cli.trouble import Conflict, No, TooLate, Trouble
from plimsoll.cli.wait import Length

Object = dict[str, Any]
_TRIES = 20
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Order:
    """A command to give. `lifetime` is how long it may stay unread, `patience` how long to wait for the operator."""

    verb: str
    id: str
    by: str | None
    to: str | None
    reason: str | None
    lifetime: float
    patience: float

    def __post_init__(self) -> None:
        unfit = re.search(r'["\\\x00-\x1f]', self.reason or "")
        if unfit is not None or len(self.reason or "") > 256:
            raise Trouble("--reason: at most 256 characters, without quotation marks, backslashes and line breaks")

    def annotation(self, by: str, now: float) -> str:
        """As the admission policy takes it: these keys, in this order."""
        expires = datetime.fromtimestamp(int(now + self.lifetime), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        written = {"id": self.id, "verb": self.verb, "by": by, "to": self.to, "reason": self.reason, "expires": expires}
        return json.dumps({key: value for key, value in written.items() if value is not None}, ensure_ascii=False)


def give(kubectl: Kubectl, name: str, order: Order) -> Object | None:
    """Write the command, and wait until the operator has read it: what became of it, as `status.lastCommand` has it.

    None when it was not waited for. A command whose id was read before is not given again.
    """
    by = order.by or kubectl.user()
    for _ in range(_TRIES):
        service = kubectl.get(SERVICES, name)
        if order.id in _read(service):
            return _outcome(service, order.id)
        _leave_unread(kubectl, service, order)
        meta = service["metadata"]
        note = {"annotations": {names.ANNOTATION_COMMAND: order.annotation(by, time.time())}}
        change = {"metadata": note | {"resourceVersion": meta["resourceVersion"], "uid": meta["uid"]}}
        try:
            kubectl.patch(SERVICES, name, change)
        except Conflict:
            continue
        return _answer(kubectl, name, order) if order.patience else None
    raise Trouble(f"{name} is written to all the time: try again")


def _read(service: Object) -> list[str]:
    return (service.get("status") or {}).get("commands") or []


def unread(service: Object) -> Object | None:
    """The command on the service that the operator has not read yet."""
    text = (service["metadata"].get("annotations") or {}).get(names.ANNOTATION_COMMAND)
    if not text:
        return None
    try:
        found: Object = json.loads(text)
    except ValueError:
        return None  # without the admission policy anything may stand there; the operator ignores it
    return None if found.get("id") in _read(service) else found


def _leave_unread(kubectl: Kubectl, service: Object, order: Order) -> None:
    """Wait for the operator to read what is there. Raises Trouble when it does not."""
    name = service["metadata"]["name"]
    end = time.monotonic() + max(order.patience, 5.0)
    while (earlier := unread(service)) is not None and order.verb != "abort":
        if time.monotonic() > end:
            raise Trouble(
                f"{earlier['verb']} by {earlier.get('by')} (id {earlier['id']}) has not been read yet: nothing was "
                "written over it. Is the operator running?"
            )
        time.sleep(_PAUSE_SECONDS)
        service = kubectl.get(SERVICES, name)


def _answer(kubectl: Kubectl, name: str, order: Order) -> Object:
    end = time.monotonic() + order.patience
    while time.monotonic() < end:
        service = kubectl.get(SERVICES, name)
        if order.id in _read(service):
            return _outcome(service, order.id)
        time.sleep(_PAUSE_SECONDS)
    raise TooLate(
        f"{order.verb} was given (id {order.id}), but the operator has not read it in {order.patience:g} s: it holds "
        f"for {order.lifetime:g} s. Is the operator running?"
    )


def _outcome(service: Object, id_: str) -> Object:
    last: Object = (service.get("status") or {}).get("lastCommand") or {}
    if last.get("id") == id_:
        return last
    return {"id": id_, "outcome": "Read", "message": "it was read before another command was"}


# --- the subcommands ------------------------------------------------------------------------------------------------


def _command(verb: str, help_: str, *, to: str | None = None) -> click.Command:
    """The subcommand of a verb; `to` says that it names a version: `must` or `may`."""

    def run(name: str, **given: Any) -> None:
        form, patience = given.pop("form"), given.pop("patience")
        id_ = given.pop("id_") or f"cli-{uuid.uuid4().hex[:12]}"
        version = (given.pop("to", None) or "").removeprefix("v") or None
        order = Order(verb=verb, id=id_, to=version, patience=patience, **given)
        done = give(cluster(), name, order)
        shown = done or {"id": id_, "outcome": "Given", "message": "the operator was not waited for"}
        refused = shown["outcome"] == "Refused"
        if form is not None or not refused:
            show(shown, form, lambda: f"{name}: {shown['message']}")
        if refused:
            raise No(f"the operator refused {verb}: {shown['message']}")

    function: Any = run
    for decorate in reversed(_options(to)):
        function = decorate(function)
    example = f"kubectl plimsoll {verb} churn" + (" --to=6" if to else "")
    shown = examples(f'{example}\n{example} --reason="complaints of customers"\n{example} -n shop --wait=0s')
    return click.command(verb, help=help_, epilog=shown)(function)


def _options(to: str | None) -> list[Callable[[Any], Any]]:
    version = click.option("--to", required=to == "must", metavar="VERSION", help="number of the version, such as 6")
    return [
        service_name,
        *([version] if to else []),
        click.option("--reason", help="why; it stands in the history and in Events"),
        click.option("--by", help="in whose name, for who may act-for-others; default: your own"),
        click.option("--id", "id_", help="of your own, so that a repeated call gives it once; default: a random one"),
        click.option("--expires-in", "lifetime", type=Length(), default="10m", show_default=True,
                     help="how long it may stay unread"),
        click.option("--wait", "patience", type=Length(), default="30s", show_default=True,
                     help="how long to wait until the operator has read it; 0s: not at all"),
        output,
        connection,
    ]  # fmt: skip


promote = _command("promote", "Go to full traffic now: evidence is waived, capacity is not. Ends a probation.")
abort = _command("abort", "Take the candidate back at once, and quarantine it.")
pause = _command("pause", "Keep the release as it is, share and all. A failing candidate is still taken back.")
resume = _command("resume", "Go on after a pause or another hold.")
retry = _command("retry", "Try the version again that was taken back last.")
unquarantine = _command("unquarantine", "Let a version out of quarantine, or all of them.", to="may")
rollback = _command(
    "rollback",
    "Go back to an earlier version, hours or weeks later: a release of its own. With `version: auto` it stays until a "
    "newer version than there is now is approved. The manifest is not touched.",
    to="must",
)
