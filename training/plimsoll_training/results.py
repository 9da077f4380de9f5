"""`result.json` and the termination message: what the operator reads of a run."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from plimsoll_training.errors import ModelRejectedError, StoreError, UserError
from plimsoll_training.steps import say
from plimsoll_training.store import Store

MESSAGE_BYTES = 512
REASON_LENGTH = 1000


def canonical_json(document: Any) -> bytes:
    """The same bytes for the same document. ValueError for NaN, which is not JSON."""
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8")


def rejection_of(error: ModelRejectedError) -> dict[str, str]:
    """The fields of a refusal; names inside a model are the user's and may be of any length."""
    reason = str(error)
    say(f"rejected: {reason[:REASON_LENGTH]}")
    return {"verdict": "Rejected", "reason": reason if len(reason) <= REASON_LENGTH else f"{reason[:REASON_LENGTH]}…"}


def settle(store: Store, key: str, result: dict[str, Any]) -> bytes:
    """Put the result if absent and return the bytes that stand, ours or those of an equal earlier finding.

    UserError when an earlier run of the same inputs found otherwise: its result is never changed.
    """
    content = canonical_json(result)
    stored = store.put_if_absent(key, content)
    if stored.created or stored.sha256 == hashlib.sha256(content).hexdigest():
        return content
    standing = store.get(key)
    earlier = _parsed(standing, store.uri(key))
    if _finding(earlier) != _finding(result):
        raise UserError(
            f"{store.uri(key)} already says {_sentence(earlier)}, this run found {_sentence(result)}; "
            "set a new rerunToken to keep both",
            reason="ResultConflict",
        )
    say(f"adopted the result that is already at {store.uri(key)}")
    return standing


def verdict_message(result: bytes) -> bytes:
    """The termination message for a settled result, at most 512 bytes."""
    verdict, digest = _finding(json.loads(result))
    message = {"verdict": verdict, "digest": digest, "result": hashlib.sha256(result).hexdigest()}
    return json.dumps(message).encode("utf-8")


def error_message(reason: str, message: str) -> bytes:
    """The termination message for an error, shortened at its end to at most 512 bytes."""
    kept = message
    while True:
        document = {"error": {"reason": reason, "message": kept if kept == message else f"{kept}…"}}
        content = json.dumps(document, ensure_ascii=False).encode("utf-8", errors="replace")
        if len(content) <= MESSAGE_BYTES:
            return content
        kept = kept[: len(kept) - max(1, (len(content) - MESSAGE_BYTES) // 6)]


def write_termination(path: Path, message: bytes) -> None:
    """Over the file that kubelet made. Without one (outside a cluster) the message is only logged."""
    say(f"termination message: {message.decode('utf-8')}")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(message)


def _parsed(content: bytes, uri: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        raise StoreError(f"{uri} is not JSON") from None
    if not isinstance(document, dict) or "verdict" not in document:
        raise StoreError(f"{uri} is not a result")
    return document


def _finding(result: dict[str, Any]) -> tuple[str, str | None]:
    return str(result["verdict"]), (result.get("artifact") or {}).get("sha256")


def _sentence(result: dict[str, Any]) -> str:
    verdict, digest = _finding(result)
    return f"{verdict} for sha256:{(digest or 'unknown')[:12]}"
