"""The operator's own metrics: one registry, named here and nowhere else.

Labels are bounded: namespaces, services, and words of this program. What is told of one InferenceService is read from
the watch cache at each scrape, so its series end with it; counters are by namespace and end with its last service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
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
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

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
ATTEMPTS: Final = Counter("plimsoll_release_attempts_total", "Releases begun.", ("namespace",), registry=REGISTRY)
#: `outcome` is Pass, Fail or Inconclusive, `mode` Sequential, Absolute or Breaker.
VERDICTS: Final = Counter(
    "plimsoll_release_verdicts_total", "Verdicts reached.", ("namespace", "outcome", "mode"), registry=REGISTRY
)
HOLDS: Final = Counter("plimsoll_release_holds_total", "Holds begun.", ("namespace", "reason"), registry=REGISTRY)
ROLLBACK_SECONDS: Final = Histogram(
    "plimsoll_release_rollback_seconds",
    "From a failed verdict until no pod sent traffic to the candidate.",
    ("namespace",),
    buckets=(0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300),
    registry=REGISTRY,
)
DEGRADATIONS: Final = Counter(
    "plimsoll_inferenceservice_degradations_total",
    "Services that were found to be worse than they may be.",
    ("namespace",),
    registry=REGISTRY,
)
_OF_NAMESPACES: Final = (DEGRADATIONS, RELEASES, ATTEMPTS, VERDICTS, HOLDS, ROLLBACK_SECONDS)

Manifest = Mapping[str, Any]


# --- counted when a status is written ---------------------------------------------------------------------------------


def count_transitions(before: Manifest, after: Manifest) -> None:
    """Count what the status of `after` says that the one of `before`, its earlier state, did not."""
    if after["kind"] != "InferenceService":
        return
    old, new, namespace = _status(before), _status(after), after["metadata"]["namespace"]
    known = {entry["attempt"] for entry in old.get("history") or ()}
    for entry in new.get("history") or ():
        if entry["attempt"] not in known:
            RELEASES.labels(namespace, entry["outcome"]).inc()
    if new.get("candidate") and new.get("attempt", 0) > old.get("attempt", 0):
        ATTEMPTS.labels(namespace).inc()
    verdict = new.get("verdict")
    if verdict and verdict != old.get("verdict"):
        VERDICTS.labels(namespace, verdict["outcome"], verdict["mode"]).inc()
    reason = new.get("heldReason")
    if reason and reason != old.get("heldReason"):
        HOLDS.labels(namespace, reason).inc()
    if new.get("degraded") and not old.get("degraded"):
        DEGRADATIONS.labels(namespace).inc()
    seconds = new.get("rollbackSeconds")
    if seconds is not None and seconds != old.get("rollbackSeconds"):
        ROLLBACK_SECONDS.labels(namespace).observe(seconds)


def forget(namespace: str) -> None:
    """End the series of a namespace that has no InferenceService any more."""
    for metric in _OF_NAMESPACES:
        metric.remove_by_labels({"namespace": namespace})


# --- read from the cache at each scrape -------------------------------------------------------------------------------


class ServiceStates(Collector):
    """What the statuses of the InferenceServices say, of those that there are. `source` gives them."""

    def __init__(self) -> None:
        self.source: Callable[[], Iterable[Manifest]] = tuple

    def collect(self) -> Iterator[Metric]:
        """One family after the other; each series names its service."""
        families = _families()
        for manifest in self.source():
            meta, status = manifest["metadata"], _status(manifest)
            for name, labels, value in _series(status):
                families[name].add_metric((meta["namespace"], meta["name"], *labels), value)
        yield from families.values()


def _families() -> dict[str, GaugeMetricFamily]:
    told = {
        "plimsoll_release_phase": ("1 for the phase that the service is in.", ("phase",)),
        "plimsoll_release_phase_start_time_seconds": ("When that phase began, in Unix seconds.", ()),
        "plimsoll_release_candidate_weight_ratio": ("Share of the requests that the candidate is given, 0 to 1.", ()),
        "plimsoll_release_quarantined_revisions": ("Revisions that are not tried again.", ()),
        "plimsoll_inferenceservice_condition": ("1 for what each condition says.", ("type", "status", "reason")),
    }
    head = ("namespace", "inferenceservice")
    return {name: GaugeMetricFamily(name, text, labels=(*head, *more)) for name, (text, more) in told.items()}


def _series(status: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], float]]:
    if phase := status.get("phase"):
        yield "plimsoll_release_phase", (phase,), 1.0
    if since := status.get("phaseSince"):
        yield "plimsoll_release_phase_start_time_seconds", (), datetime.fromisoformat(since).timestamp()
    if status.get("candidate"):
        yield "plimsoll_release_candidate_weight_ratio", (), (status.get("weight") or 0) / 100
    yield "plimsoll_release_quarantined_revisions", (), float(len(status.get("quarantine") or ()))
    for one in status.get("conditions") or ():
        yield "plimsoll_inferenceservice_condition", (one["type"], one["status"], one["reason"]), 1.0


def _status(manifest: Manifest) -> Mapping[str, Any]:
    return manifest.get("status") or {}


SERVICE_STATES: Final = ServiceStates()
REGISTRY.register(SERVICE_STATES)
