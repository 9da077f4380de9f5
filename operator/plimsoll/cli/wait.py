"""`wait`: until a release has come to something, for scripts and pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from plimsoll.cli.kubectl import SERVICES, Kubectl
from plimsoll.cli.options import cluster, connection, examples, output, service_name, show
from plimsoll.cli.trouble import No, TooLate

Object = dict[str, Any]
#: "Kept": a test ended with the old version.
_BACK = {"RolledBack", "Aborted", "Kept"}


class Length(click.ParamType[float]):
    """A duration as kubectl has it: `90s`, `10m`, `1h30m`; in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        total, digits = 0.0, ""
        for character in str(value):
            if character.isdigit():
                digits += character
            elif digits and character in "smh":
                total, digits = total + int(digits) * {"s": 1, "m": 60, "h": 3600}[character], ""
            else:
                self.fail(f"{value} is not a duration such as 90s, 10m or 1h30m", param, ctx)
        return total if not digits else self.fail(f"{value}: give a unit, such as {value}s", param, ctx)


@click.command(
    epilog=examples("""
    kubectl plimsoll wait churn --for=promoted --timeout=30m
    kubectl plimsoll wait churn --for=promoted --version=7
    kubectl plimsoll wait churn --for=rolled-back
    kubectl plimsoll wait churn --for=held && kubectl plimsoll why churn
    """)
)
@service_name
@click.option("--for", "wanted", type=click.Choice(["promoted", "rolled-back", "held"]), required=True,
              help="what to wait for")  # fmt: skip
@click.option("--version", "version", help="number of the version that it has to come to")
@click.option("--timeout", type=Length(), default="10m", show_default=True, help="how long to wait")
@output
@connection
def wait(name: str, wanted: str, version: str | None, timeout: float, form: str | None) -> None:
    """Wait until a release is promoted, rolled back or held.

    A release that runs is waited for to its end; without one, what is there counts as soon as the operator has acted on
    the manifest. Exit codes: 3 when it came to something else, 4 when the time is over.
    """
    service, said = _wait(cluster(), name, Goal(wanted, version), timeout)
    show(service.get("status") or {}, form, lambda: said)


@dataclass(slots=True)
class Goal:
    """What is waited for. `attempt` is the release that was seen running: its end decides."""

    wanted: str
    version: str | None = None
    attempt: int | None = None

    def met(self, service: Object) -> str | None:
        """The sentence to end with, once it is there. Raises Trouble once it cannot come any more."""
        status = service.get("status") or {}
        candidate = status.get("candidate")
        if self.wanted == "held" and status.get("phase") == "Held" and self._is_it(candidate):
            return f"held: {status.get('heldReason')}, {status.get('reason', '')}"
        if candidate and status.get("phase") != "RollingBack":
            self.attempt = status["attempt"]
            return None
        return self._ended(status, service["metadata"].get("generation"))

    def _ended(self, status: Object, generation: int | None) -> str | None:
        if status.get("candidate"):
            return None
        record = next((one for one in status.get("history", ()) if one["attempt"] == self.attempt), None)
        if record is not None and record["outcome"] != "Superseded" and self._is_it(record):
            return self._decided(
                record["outcome"] in _BACK, f"v{record['version']} {_word(record)}: {record['reason']}"
            )
        if status.get("observedGeneration") != generation:
            return None
        promoted: Object = next((one for one in status.get("conditions", ()) if one["type"] == "Promoted"), {})
        if status.get("phase") == "RolledBack" and self._is_it((status.get("history") or [{}])[0]):
            return self._decided(True, status.get("message", ""))
        if promoted.get("status") == "True" and self._is_it(status.get("stable")) and self.wanted == "promoted":
            return self._decided(False, f"promoted: {status.get('message', '')}")
        return None

    def _decided(self, back: bool, said: str) -> str:
        if (self.wanted, back) in {("promoted", False), ("rolled-back", True)}:
            return said
        raise No(f"it is not {self.wanted}: {said}")

    def _is_it(self, one: Object | None) -> bool:
        return one is not None and (self.version is None or one.get("version") == self.version.removeprefix("v"))


def _word(record: Object) -> str:
    return {"Promoted": "was promoted", "RolledBack": "was rolled back", "Aborted": "was aborted"}.get(
        record["outcome"], f"ended as {record['outcome']}"
    )


def _wait(kubectl: Kubectl, name: str, goal: Goal, seconds: float) -> tuple[Object, str]:
    service = kubectl.get(SERVICES, name)
    if (said := goal.met(service)) is not None:
        return service, said
    for change in kubectl.watch((SERVICES, name), seconds=seconds):
        if change is None:
            continue
        happened, service = change
        if happened == "DELETED":
            raise No(f"{name} was deleted")
        if (said := goal.met(service)) is not None:
            return service, said
    status = service.get("status") or {}
    raise TooLate(f"not {goal.wanted} in {seconds:g} s: {status.get('message', 'the operator does not say')}")
