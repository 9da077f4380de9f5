"""What the operator wrote of a release's verdict. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The verdict's sentence and the ledger's SHA-256 as the status has them, as far as it still does.

    `metric` says what decided.
    """

    reason: str | None = None
    metric: str = ""
    digest: str | None = None


def recorded(service: Object | None, attempt: int | None) -> Recorded:
    """Of the latest attempt the verdict, of an earlier one why it was taken back; nothing of any other."""
    status = (service or {}).get("status") or {}
    verdict = status.get("verdict") or {}
    if attempt is not None and attempt == status.get("attempt") and verdict:
        return Recorded(verdict["reason"], verdict.get("metric", ""), status.get("ledger"))
    for one in status.get("history", ()):
        if one["attempt"] == attempt and one["reason"].startswith(("Fail: ", "Pass: ")):
            return Recorded(one["reason"])
    return Recorded()
