"""The operator's own metrics: one registry, named here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

# Without a `_created` series beside each counter, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY: Final = CollectorRegistry()
for _collector in (GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR):
    REGISTRY.register(_collector)

RECONCILES: Final = Counter(
    "plimsoll_reconcile_total", "Passes by kind and by how they ended.", ("kind", "result"), registry=REGISTRY
)
RECONCILE_SECONDS: Final = Histogram(
    "plimsoll_reconcile_duration_seconds", "Duration of one pass.", ("kind",), registry=REGISTRY
)
QUEUE_DEPTH: Final = Gauge("plimsoll_queue_depth", "Objects that wait for a pass now.", registry=REGISTRY)
API_REQUESTS: Final = Counter(
    "plimsoll_api_requests_total", "Requests to the API server.", ("verb", "resource", "code"), registry=REGISTRY
)
LEADER: Final = Gauge("plimsoll_leader", "1 while this instance holds the Lease.", registry=REGISTRY)
CACHED_OBJECTS: Final = Gauge("plimsoll_cached_objects", "Objects in the watch cache.", ("kind",), registry=REGISTRY)
#: `outcome` is Promoted, RolledBack, Superseded or Aborted.
RELEASES: Final = Counter("plimsoll_release_total", "Ended releases.", ("namespace", "outcome"), registry=REGISTRY)


def count_ended_releases(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Count the attempts in the history of the object `after` that are not in that of `before`, its earlier state."""
    known = {entry["attempt"] for entry in _history(before)}
    for entry in _history(after):
        if entry["attempt"] not in known:
            RELEASES.labels(after["metadata"]["namespace"], entry["outcome"]).inc()


def _history(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return (manifest.get("status") or {}).get("history") or []
