"""Where the ledgers of attempts are kept."""

from __future__ import annotations

from plimsoll.core.release.observed import Observed
from plimsoll.facts import PutObject


def archive(observed: Observed, attempt: int, text: str) -> PutObject:
    """The whole ledger of an attempt, for good: apart from those of a service of this name that was deleted."""
    uid = observed.owner["metadata"]["uid"]
    return PutObject(observed.namespace, f"ledger/{observed.name}/{uid}/{attempt}.json", text.encode())


def ledger_name(service: str, attempt: int) -> str:
    """The ConfigMap that holds the ledger of an attempt."""
    return f"{service}-attempt-{attempt}"


def attempt_of(service: str, name: str) -> int | None:
    """The attempt whose ledger a ConfigMap of this name holds; None when it is another ConfigMap."""
    number = name.removeprefix(f"{service}-attempt-")
    return int(number) if number != name and number.isdigit() else None
