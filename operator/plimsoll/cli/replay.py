"""A ledger judged again. Pure; imports the statistics, which takes a moment."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import sha256
from typing import Any

from plimsoll.cli.recorded import Recorded
from plimsoll.cli.times import clock, table
from plimsoll.cli.trouble import Trouble
from plimsoll.core import ledger as ledgers
from plimsoll.core.ledger import Ledger
from plimsoll.facts import ArmCounts, Verdict, Window

Object = dict[str, Any]


def explain(text: str, expected: Recorded) -> Object:
    """The windows with the verdict after each, the last verdict, and whether it is the one that was written.

    `same` is None where nothing was written to compare with. Raises Trouble for what is not a ledger.
    """
    try:
        ledger = ledgers.decode(text)
    except ledgers.LedgerError as error:
        raise Trouble(str(error)) from error
    verdicts = ledgers.replay(ledger)
    digest = sha256(text.encode()).hexdigest()
    last = verdicts[-1] if verdicts else None
    return {
        "stable": ledger.stable,
        "candidate": ledger.candidate,
        "mode": ledger.mode,
        "policy": asdict(ledger.policy),
        "windows": [_window(window, verdict) for window, verdict in zip(ledger.windows, verdicts, strict=True)],
        "verdict": {"outcome": last.outcome, "reason": last.reason, "metric": last.metric} if last else None,
        "recorded": expected.reason,
        "ledger": digest,
        "cited": expected.digest,
        "same": _same(ledger, last, digest, expected),
    }


def _same(ledger: Ledger, last: Verdict | None, digest: str, expected: Recorded) -> bool | None:
    """A crash, or readiness, is no matter of the ledger."""
    if expected.digest is not None and expected.digest != digest:
        return False
    if expected.reason is None or last is None or expected.metric in {"crashes", "readiness"}:
        return None
    # The history goes on with what the inputs were, which no ledger holds; of a long sentence it keeps the head.
    kept, going_on = expected.reason.removesuffix("…"), f"{last.reason}; "
    cut = kept != expected.reason and going_on.startswith(kept)
    return last.reason == expected.reason or expected.reason.startswith(going_on) or cut


def _window(window: Window, verdict: Verdict) -> Object:
    return {
        "index": window.index, "start": window.start, "end": window.end, "step": window.step, "weight": window.weight,
        "stable": _arm(window.stable), "candidate": _arm(window.candidate), "gap": window.gap,
        "outcome": verdict.outcome, "reason": verdict.reason,
    }  # fmt: skip


def _arm(arm: ArmCounts) -> Object:
    return {"requests": arm.requests, "failures": arm.failures, "clientErrors": arm.client_errors}


# --- text -----------------------------------------------------------------------------------------------------------


def render(found: Object) -> str:
    """By what it was judged, the windows, the verdict, and whether it is the operator's."""
    rules = ", ".join(f"{name} {value}" for name, value in found["policy"].items() if value is not None)
    head = f"candidate {found['candidate']} against stable {found['stable']}\njudged by: {rules}"
    rows = [
        (
            str(one["index"]), clock(one["end"]), str(one["step"]), f"{one['weight']} %", _counts(one["stable"]),
            _counts(one["candidate"]), f"no evidence: {one['gap']}" if one["gap"] else one["reason"],
        )
        for one in found["windows"]
    ]  # fmt: skip
    listed = table(("WINDOW", "ENDED", "STEP", "WEIGHT", "STABLE", "CANDIDATE", "VERDICT"), rows)
    return f"{head}\n\n{listed}\n\n{_judged(found)}"


def _counts(arm: Object) -> str:
    return f"{arm['failures']:,}/{arm['requests']:,}"


def _judged(found: Object) -> str:
    if found["verdict"] is None:
        return "The ledger has no window yet: there is no verdict."
    said = found["verdict"]["reason"]
    if found["same"]:
        return f"{said}\nJudged again here, from the ledger alone: the same as the operator wrote."
    if found["same"] is None:
        return f"{said}\nJudged again here, from the ledger alone. {_not_compared(found)}"
    if found["cited"] not in (None, found["ledger"]):
        return (
            f"{said}\nThis ledger (SHA-256 {found['ledger']}) is not the one that the status cites ({found['cited']}): "
            "it has grown meanwhile, or was changed. Ask again; should it last, something wrote to it."
        )
    return f"{said}\nThe operator wrote otherwise: {found['recorded']}\nUse the plugin of the operator's release."


def _not_compared(found: Object) -> str:
    if found["recorded"] is None:
        return "The status has no verdict of this release to compare it with."
    return f"The operator decided on something else: {found['recorded']}"
