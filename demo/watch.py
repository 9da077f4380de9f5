"""Waiting for objects to get where they should be, and telling what happens meanwhile."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

from demo.shell import Kubernetes, Stop, say

Manifest = dict[str, Any]


def until(
    kubernetes: Kubernetes,
    namespace: str,
    kind: str,
    name: str,
    done: Callable[[Manifest], bool],
    *,
    seconds: float = 600,
) -> Manifest:
    """The object once `done` says so; each change of its columns is printed. Raises Stop with its last status."""
    deadline, shown = time.monotonic() + seconds, ""
    for found in _values(kubernetes, namespace, kind, name, deadline):
        line = columns(found.get("status", {}))
        if line and line != shown:
            say(f"   {kind}/{name}: {line}")
            shown = line
        if found and done(found):
            return found
    late = f"{kind}/{name} is not there after {seconds:.0f} s; {shown or 'no status'}"
    raise Stop(f"{late}\n{_help(kubernetes, namespace, kind, name)}")


def _values(kubernetes: Kubernetes, namespace: str, kind: str, name: str, deadline: float) -> Iterator[Manifest]:
    """What the object is and becomes until the deadline; empty when it is gone. One process, however long it takes."""
    while time.monotonic() < deadline:
        with kubernetes.changes(kind, name, namespace) as changes:
            while True:
                try:
                    found = changes.get(timeout=max(deadline - time.monotonic(), 0))
                except queue.Empty:
                    return
                if found is None:
                    break  # the API server ends every watch after a while
                yield found


def columns(status: Manifest) -> str:
    """What a person sees of a status, in one line."""
    parts = [status.get("phase", "")]
    if candidate := status.get("candidate"):
        parts.append(f"v{candidate['version']} at {status.get('weight', 0)} %")
    parts.append(status.get("message") or status.get("summary") or "")
    return " · ".join(part for part in parts if part)


def condition(manifest: Manifest, kind: str) -> Manifest:
    """One condition of an object; empty when it has none of that type."""
    conditions = manifest.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind), {})


def _help(kubernetes: Kubernetes, namespace: str, kind: str, name: str) -> str:
    described = kubernetes.kubectl("-n", namespace, "describe", kind, name, check=False)
    pods = kubernetes.kubectl("-n", namespace, "get", "pods", "-o", "wide", check=False)
    events = kubernetes.kubectl(
        "-n", namespace, "get", "events", "--sort-by", ".lastTimestamp", check=False
    ).splitlines()
    return "\n".join([described, pods, *events[-15:]])
