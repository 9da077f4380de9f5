"""The route document: who answers which share. It is a function of the status, so each epoch has one meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus, RevisionRef
from plimsoll.core.conditions import timestamp, unix
from plimsoll.core.release.observed import Observed
from plimsoll.facts import Manifest, Sample

MAX_BLIND_SECONDS = 900
VALID_SECONDS = 600
RENEW_SECONDS = 300
#: A lost SYN is sent again after 1 s (RFC 6298): one lost packet, or a busy node, must not count as a failure.
_LEAST_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Arm:
    """One revision in the document; weight 0 names a revision that must forward what still reaches it.

    With mode Mirror the weight is the percent of requests of which it gets copies.
    """

    revision: str
    version: str
    weight: int
    mode: str = "Serve"


def arms(status: InferenceServiceStatus) -> tuple[Arm, ...]:
    """The arms that the status asks for, the primary first; none before there is a primary."""
    if status.primary is None:
        return ()
    stable, candidate, weight, beside = status.stable, status.candidate, status.weight or 0, baseline_share(status)
    found: list[Arm] = []
    if stable is not None:
        found.append(Arm(stable.revision, stable.version, 100 - weight - beside))
    if status.baseline is not None and beside:
        found.append(Arm(status.baseline.revision, status.baseline.version, beside))
    if candidate is not None and status.mirror:
        found.append(Arm(candidate.revision, candidate.version, status.mirror, "Mirror"))
    elif candidate is not None and (weight > 0 or status.phase == "RollingBack"):
        found.append(Arm(candidate.revision, candidate.version, weight))
    known = {arm.revision for arm in found}
    found += [Arm(one.revision, one.version, 0) for one in status.retiring if one.revision not in known]
    return tuple(sorted(found, key=lambda arm: arm.revision != status.primary))


def baseline_share(status: InferenceServiceStatus) -> int:
    """Percent of the requests that the baseline answers: as many as the candidate, as far as there are. It is no
    primary, so that nobody falls back to it."""
    weight = status.weight or 0
    return min(weight, 100 - weight) if status.baseline is not None and not status.mirror else 0


def compared(status: InferenceServiceStatus) -> RevisionRef | None:
    """The arm that the candidate is compared with: the baseline while it has a share, else the stable revision."""
    return status.baseline if baseline_share(status) else status.stable


def name(service: str) -> str:
    """The ConfigMap's name."""
    return f"{service}-route"


def document(observed: Observed, status: InferenceServiceStatus) -> dict[str, Any]:
    """`route.json` for the status, as docs/contracts.md has it; two arms are valid for ten minutes."""
    named = arms(status)
    shared = sum(arm.weight > 0 for arm in named) > 1
    return {
        "formatVersion": 1,
        "epoch": status.epoch,
        "primary": status.primary,
        "arms": [_arm(arm, observed.namespace if observed.pool is None else None) for arm in named],
        "sticky": _sticky(observed.spec),
        "delegateTimeoutSeconds": _timeout(observed, status),
        "validUntil": timestamp(observed.now + VALID_SECONDS) if shared else None,
        "maxBlindSeconds": MAX_BLIND_SECONDS,
        **_tolerance(observed.spec, status),
    }


def _arm(arm: Arm, namespace: str | None) -> dict[str, Any]:
    """Without an address in a pool: every arm is in the pod that splits."""
    address = {"address": f"{arm.revision}.{namespace}.svc:{names.PORT_DIRECT}"} if namespace else {}
    return {"revision": arm.revision, "version": arm.version, "weight": arm.weight, "mode": arm.mode, **address}


def _sticky(spec: InferenceServiceSpec) -> dict[str, str] | None:
    return {"header": spec.traffic.sticky_header} if spec.traffic.sticky_header else None


def _tolerance(spec: InferenceServiceSpec, status: InferenceServiceStatus) -> dict[str, Any]:
    """By how much answers to copies may differ and agree, while there are copies; nothing leaves it to the servers."""
    asked = spec.release.analysis.shadow if status.mirror else None
    if asked is None or asked.tolerance is None:
        return {}
    return {"tolerance": {"relative": asked.tolerance.relative, "absolute": asked.tolerance.absolute}}


def config_map(observed: Observed, content: Mapping[str, Any]) -> dict[str, Any]:
    """The ConfigMap that every pod of the service mounts."""
    labels = names.labels("route", model=observed.spec.model.name, inferenceservice=observed.name)
    meta = {"name": name(observed.name), "namespace": observed.namespace, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta,
        "data": {names.ROUTE_KEY: json.dumps(content, sort_keys=True)},
    }


def read(manifest: Manifest | None) -> dict[str, Any] | None:
    """The document in a ConfigMap; None when there is none or somebody broke it."""
    try:
        content = json.loads((manifest or {})["data"][names.ROUTE_KEY])
        return content if isinstance(content, dict) and isinstance(content["epoch"], int) else None
    except (KeyError, TypeError, ValueError):
        return None


def wanted(observed: Observed, status: InferenceServiceStatus) -> dict[str, Any] | None:
    """The document to write now, or None when the one in the cluster does.

    A higher epoch in the cluster means that our status is old: it is never written over.
    """
    if status.primary is None:
        return None
    return newer(observed, status, document(observed, status))


def newer(observed: Observed, status: InferenceServiceStatus, want: dict[str, Any]) -> dict[str, Any] | None:
    """`want`, unless what the cluster has says the same, or is of a later epoch."""
    have = read(observed.config_maps.get(name(observed.name)))
    if have is None or have["epoch"] < status.epoch:
        return want
    if have["epoch"] > status.epoch:
        return None
    return None if _meaning(have) == _meaning(want) and not _needs_renewal(have, observed.now) else want


def _meaning(content: Mapping[str, Any]) -> tuple[object, ...]:
    weights = {
        (arm.get("revision"), arm.get("weight"), arm.get("mode"), arm.get("address"))
        for arm in content.get("arms") or ()
        if arm.get("weight")
    }
    more = json.dumps([content.get(key) for key in ("sticky", "revisions", "tolerance")], sort_keys=True)
    return content.get("primary"), weights, more, content.get("validUntil") is None


def _needs_renewal(content: Mapping[str, Any], now: float) -> bool:
    return content["validUntil"] is not None and unix(content["validUntil"]) - now <= RENEW_SECONDS


def renewal_due(observed: Observed) -> float | None:
    """When the document has to be renewed, in Unix seconds."""
    have = read(observed.config_maps.get(name(observed.name)))
    return unix(have["validUntil"]) - RENEW_SECONDS if have and have.get("validUntil") else None


def _timeout(observed: Observed, status: InferenceServiceStatus) -> float:
    """By the stable version's times; as long as nobody knows them, what the document in the cluster says."""
    found = delegate_timeout(observed.sample, status.stable.revision if status.stable else "")
    if found is not None:
        return found
    said = (read(observed.config_maps.get(name(observed.name))) or {}).get("delegateTimeoutSeconds")
    if isinstance(said, float) and _LEAST_TIMEOUT <= said <= 2 * names.LATENCY_EDGES[-1]:
        return said
    return _LEAST_TIMEOUT


def delegate_timeout(sample: Sample | None, stable: str) -> float | None:
    """Twice the stable p99 in seconds, at least 2; p99 is the lowest bucket edge that 99 of 100 requests kept. None
    where none is known."""
    counts = [pod.latency for pod in (sample.pods if sample else ()) if pod.revision == stable and pod.latency]
    total = [sum(column) for column in zip(*counts, strict=True)]
    if not total or total[-1] == 0:
        return None
    under = [edge for edge, count in zip(names.LATENCY_EDGES, total, strict=False) if count >= 0.99 * total[-1]]
    return max(_LEAST_TIMEOUT, 2 * (under[0] if under else names.LATENCY_EDGES[-1]))
