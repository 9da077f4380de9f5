"""The HTTPRoute of a service behind a Gateway: a function of the status, as the route document is.

Specification: Gateway API v1, HTTPRoute; its sessionPersistence is of the experimental channel (GEP-1619).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceStatus
from plimsoll.api.traffic import GatewayRef
from plimsoll.core import route
from plimsoll.core.drift import covers
from plimsoll.core.release.observed import Observed
from plimsoll.facts import Manifest

# Of requests between pods. With them a user's request would pass for a copy that was counted elsewhere.
BETWEEN_PODS = ("plimsoll-delegated", "plimsoll-mirrored")


def manifest(observed: Observed, status: InferenceServiceStatus, gateway: GatewayRef) -> dict[str, Any]:
    """The HTTPRoute for the status: weights onto the direct Services, whose pods never delegate."""
    labels = names.labels("route", model=observed.spec.model.name, inferenceservice=observed.name)
    parent = {"group": names.GATEWAY_GROUP, "kind": "Gateway", "name": gateway.name}
    parent["namespace"] = gateway.namespace or observed.namespace
    if gateway.section_name:
        parent["sectionName"] = gateway.section_name
    return {
        "apiVersion": names.GATEWAY_API_VERSION,
        "kind": "HTTPRoute",
        "metadata": {"name": observed.name, "namespace": observed.namespace, "labels": labels},
        "spec": {
            "parentRefs": [parent],
            "hostnames": list(gateway.hostnames),
            "rules": list(_rules(observed, status, gateway)),
        },
    }


def is_current(have: Manifest, wanted: Manifest) -> bool:
    """Whether the route in the cluster is the one that is wanted, also in what is left out of it."""
    return covers(have, wanted) and _options(have) == _options(wanted)


def _options(route: Manifest) -> tuple[list[str | None], list[bool]]:
    """What a route may have or lack: the listener of each parent, and whether each rule keeps sessions."""
    spec = route["spec"]
    return (
        [parent.get("sectionName") for parent in spec["parentRefs"]],
        [names.SESSION_FIELD in rule for rule in spec["rules"]],
    )


def arms(status: InferenceServiceStatus) -> tuple[route.Arm, ...]:
    """Those of the route that answer users, and a candidate that has just lost its share; copies are no share."""
    candidate = status.candidate.revision if status.candidate else None
    serving = (arm for arm in route.arms(status) if arm.mode == "Serve")
    return tuple(arm for arm in serving if arm.weight or arm.revision == candidate)


def _rules(observed: Observed, status: InferenceServiceStatus, gateway: GatewayRef) -> Iterator[dict[str, Any]]:
    """The rule for all requests, then those for chosen ones, which the Gateway API prefers wherever they stand.

    There are as many rules at all times, and each means the same: Envoy Gateway names an upstream after its rule's
    place, and Envoy answers 503 where an upstream goes before the routes to it do.
    """
    found = arms(status)
    path = {"type": "PathPrefix", "value": gateway.path_prefix or f"/v2/models/{observed.spec.model.name}"}
    stripped = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": list(BETWEEN_PODS)}}
    everybody: dict[str, Any] = {"matches": [{"path": path}], "filters": [stripped]}
    if gateway.session is not None and observed.gateway.no_sessions is None:
        # A session may outlive a weight of 0 (GEP-1619): who has lost its share is named no more.
        found = tuple(arm for arm in found if arm.weight)
        everybody[names.SESSION_FIELD] = {"type": gateway.session.type, "sessionName": gateway.session.name}
    yield everybody | {"backendRefs": [_backend(arm) for arm in found]}
    if gateway.arm_header:
        stable = status.stable.revision if status.stable else ""
        for value in ("stable", "candidate"):
            header = {"type": "Exact", "name": gateway.arm_header, "value": value}
            backends = [_backend(arm) for arm in _chosen(found, stable, value)]
            matches = [{"path": path, "headers": [header]}]
            yield {"matches": matches, "filters": [stripped], "backendRefs": backends}


def _chosen(found: Sequence[route.Arm], stable: str, value: str) -> Sequence[route.Arm]:
    """The arm that the header asks for, while two answer users; else all, for there is nothing to choose."""
    if sum(arm.weight > 0 for arm in found) < 2:
        return found
    return [replace(arm, weight=1) for arm in found if (arm.revision == stable) == (value == "stable")]


def _backend(arm: route.Arm) -> dict[str, Any]:
    return {"group": "", "kind": "Service", "name": arm.revision, "port": names.PORT_DIRECT, "weight": arm.weight}
