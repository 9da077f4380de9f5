"""One service's document: its route, and files and settings of every revision that may be asked for. Pure."""

import json
import re
from dataclasses import dataclass
from typing import Any

from plimsoll_serving.http.limits import LONGEST_WINDOW_SECONDS, MOST_BATCH_ROWS
from plimsoll_serving.payload.options import PayloadOptions
from plimsoll_serving.route import Route, RouteError, of_document

# Names of services, models and revisions are parts of paths.
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_HTTP = re.compile(r"https?://[^ /@]+(/[^ ]*)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class File:
    """Where a file lies and the SHA-256 of its bytes."""

    uri: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Files:
    """What a revision is served from, and how: None is what the pod is told for all of them. Seconds."""

    version: str
    artifact: File
    profile: File | None
    max_batch_size: int | None = None
    max_delay: float | None = None
    payload_log: PayloadOptions | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A service of the pool. ``route`` is None before a version is in service."""

    service: str
    model: str
    epoch: int
    route: Route | None
    revisions: dict[str, Files]


def parse(text: bytes) -> Member:
    """Read a document. Raises RouteError naming the field at fault."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RouteError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise RouteError("not an object")
    epoch = document.get("epoch")
    if type(epoch) is not int or epoch < 0:
        raise RouteError(f"epoch is {epoch!r}, not a whole number from 0")
    revisions = document.get("revisions")
    if not isinstance(revisions, dict):
        raise RouteError("revisions is not an object")
    files = {_name(name, "revisions"): _files(one, f"revisions.{name}") for name, one in revisions.items()}
    route = None if document.get("primary") is None else of_document(document, local=True)
    if route is not None and (strange := {arm.revision for arm in route.arms if arm.weight} - files.keys()):
        raise RouteError(f"arms: revisions has no files of {min(strange)}")
    service, model = _name(document.get("service"), "service"), _name(document.get("model"), "model")
    return Member(service, model, epoch, route, files)


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > 63 or not _NAME.fullmatch(value):
        raise RouteError(f"{where} is {str(value)[:80]!r}, not a name")
    return value


def _files(item: Any, where: str) -> Files:
    if not isinstance(item, dict) or not isinstance(item.get("version"), str):
        raise RouteError(f"{where}.version is missing")
    profile, batching = item.get("profile"), _object(item, "batching", where)
    size = _number(batching, "maxBatchSize", f"{where}.batching", (1, MOST_BATCH_ROWS))
    delay = _number(batching, "maxDelayMilliseconds", f"{where}.batching", (0, 1000 * LONGEST_WINDOW_SECONDS))
    return Files(
        version=item["version"],
        artifact=_file(item.get("artifact"), f"{where}.artifact"),
        profile=None if profile is None else _file(profile, f"{where}.profile"),
        max_batch_size=None if size is None else int(size),
        max_delay=None if delay is None else delay / 1000,
        payload_log=_payload_log(_object(item, "payloadLog", where), f"{where}.payloadLog"),
    )


def _object(item: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    found = item.get(key, {})
    if not isinstance(found, dict):
        raise RouteError(f"{where}.{key} is not an object")
    return found


def _number(item: dict[str, Any], key: str, where: str, bounds: tuple[float, float]) -> float | None:
    value, (low, high) = item.get(key), bounds
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RouteError(f"{where}.{key} is {str(value)[:80]}, not a number from {low:g} to {high:g}")
    return float(value)


def _payload_log(item: dict[str, Any], where: str) -> PayloadOptions | None:
    """No files: those of all services would share the pod's small folder."""
    if not item:
        return None
    percent, sink, mask = _number(item, "samplePercent", where, (0, 100)), item.get("sink"), item.get("mask", [])
    if not isinstance(sink, str) or not _HTTP.fullmatch(sink):
        raise RouteError(f"{where}.sink is {str(sink)[:80]!r}, not http(s)://host/path")
    if not isinstance(mask, list) or not all(isinstance(name, str) for name in mask):
        raise RouteError(f"{where}.mask is not a list of names")
    return PayloadOptions((percent or 0.0) / 100, sink, tuple(mask))


def _file(item: Any, where: str) -> File:
    if not isinstance(item, dict) or not isinstance(item.get("uri"), str):
        raise RouteError(f"{where}.uri is missing")
    if not isinstance(item.get("sha256"), str) or not _SHA256.fullmatch(item["sha256"]):
        raise RouteError(f"{where}.sha256 is not a SHA-256 in 64 hex digits")
    return File(item["uri"], item["sha256"])
