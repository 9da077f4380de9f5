"""The sample that the next window starts from, kept beside the ledger: what a restart goes on from."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import asdict, replace
from typing import Any

from plimsoll.facts import PodCounters, Reading, Sample

#: Its key in the ConfigMap of the attempt.
CURSOR_KEY = "cursor.json"
#: A longer text is compressed: beside the ledger it must fit into a ConfigMap, with hundreds of pods and many bins.
_PLAIN_BYTES = 64 * 1024
_COMPRESSED = "zlib:"


def encode(sample: Sample) -> str:
    """Canonical JSON of a sample; where that is long, compressed by zlib and in base64 behind `zlib:`."""
    document: dict[str, Any] = {"at": sample.at, "pods": [_written(pod) for pod in sample.pods]}
    document["absent"] = dict(sample.absent)
    if sample.until is not None:
        document["until"] = sample.until
    if sample.outage:
        document["outage"] = sample.outage
    if sample.external:
        document["external"] = {name: asdict(one) for name, one in sample.external.items()}
    text = json.dumps(document, sort_keys=True)
    if len(text) <= _PLAIN_BYTES:
        return text
    return _COMPRESSED + b64encode(zlib.compress(text.encode())).decode()


def _written(pod: PodCounters) -> dict[str, Any]:
    arms = [[*key, count] for key, count in sorted(pod.arm_requests.items())]
    counts = None if pod.counts is None else [[*key, _short(n)] for key, n in sorted(pod.counts.items())]
    return asdict(replace(pod, arm_requests={}, counts=None)) | {"arm_requests": arms, "counts": counts}


def _short(count: float) -> float:
    """Without a point where it is whole."""
    return int(count) if count == int(count) else count


def decode(text: str | None) -> Sample | None:
    """The sample that `encode` wrote; None for anything else: the next window then starts from the next sample."""
    try:
        data = json.loads(_plain(text or ""))
        external = {name: Reading(**one) for name, one in data.get("external", {}).items()}
        pods = tuple(_pod(pod) for pod in data["pods"])
        return Sample(
            float(data["at"]), pods, dict(data["absent"]), outage=data.get("outage"), external=external,
            until=data.get("until"),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, zlib.error):
        return None


def _plain(text: str) -> str:
    if not text.startswith(_COMPRESSED):
        return text
    return zlib.decompress(b64decode(text.removeprefix(_COMPRESSED), validate=True)).decode()


def _pod(data: dict[str, Any]) -> PodCounters:
    return PodCounters(
        pod=data["pod"],
        revision=data["revision"],
        started=data["started"],
        epoch=data["epoch"],
        arm_requests={(revision, outcome): count for revision, outcome, count in data["arm_requests"]},
        latency=tuple(data["latency"]),
        version=data.get("version", ""),
        served=data.get("served", {}),
        # A cursor of an earlier operator has none: then what was counted meanwhile is not known.
        counts={tuple(key): count for *key, count in data["counts"]} if data.get("counts") is not None else None,
    )
