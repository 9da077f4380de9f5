"""A service behind a Gateway: what the gateway says of its HTTPRoute, and what counts there.

Specification: Gateway API v1, RouteParentStatus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from plimsoll.api.inferenceservice import InferenceServiceStatus
from plimsoll.api.traffic import GatewayRef
from plimsoll.core import http_route
from plimsoll.core.conditions import Finding, shortened, unix
from plimsoll.core.release.observed import Observed
from plimsoll.facts import Manifest, Sample

#: A gateway answers within a second; one that is silent for so long does not know of the route.
SILENCE_SECONDS = 30.0
#: How often the API server is asked again whether it serves HTTPRoutes, while a service waits for them.
MISSING_SECONDS = 30.0
#: What every gateway says of a route, and what some say besides; see the types of RouteConditionType.
_NEEDED = ("Accepted", "ResolvedRefs")
_MORE = ("Programmed",)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the gateway does not take the weights, for a hold and for a condition."""

    reason: str
    message: str


def reference(observed: Observed) -> GatewayRef | None:
    """The Gateway that the service is behind; None with another provider."""
    traffic = observed.spec.traffic
    return traffic.gateway_ref if traffic.provider == "GatewayAPI" else None


def wanted(observed: Observed, status: InferenceServiceStatus) -> Manifest | None:
    """The HTTPRoute to write now; None when the one in the cluster does, or when there can be none."""
    gateway = reference(observed)
    if gateway is None or status.primary is None or observed.gateway.problem is not None:
        return None
    manifest = http_route.manifest(observed, status, gateway)
    have = observed.gateway.http_route
    return None if have is not None and http_route.is_current(have, manifest) else manifest


def missing(observed: Observed) -> Refusal | None:
    """What the cluster's Gateway API lacks of what the service asks of it."""
    gateway = reference(observed)
    if gateway is None:
        return None
    if observed.gateway.problem is not None:
        return Refusal("GatewayAPIMissing", observed.gateway.problem)
    if gateway.session is not None and observed.gateway.no_sessions is not None:
        return Refusal("SessionPersistenceMissing", observed.gateway.no_sessions)
    return None


# --- what the gateway says ------------------------------------------------------------------------------------------


def followed(observed: Observed, status: InferenceServiceStatus) -> bool:
    """Whether the gateway has taken the weights of the status; true where there is no gateway. Silence is a no."""
    gateway = reference(observed)
    if gateway is None:
        return True
    if wanted(observed, status) is not None or missing(observed) is not None:
        return False
    said = list(_said(observed, gateway))
    return bool(said) and all(_accepts(conditions) for _, conditions in said)


def _said(observed: Observed, gateway: GatewayRef) -> Iterator[tuple[str, Mapping[str, Manifest]]]:
    """What each controller of the Gateway says of the route as it is now: its name, and its conditions by type."""
    have = observed.gateway.http_route
    if have is None:
        return
    generation = have["metadata"].get("generation")
    for parent in (have.get("status") or {}).get("parents") or ():
        ref = parent.get("parentRef") or {}
        if (ref.get("name"), ref.get("namespace", observed.namespace)) != (
            gateway.name,
            gateway.namespace or observed.namespace,
        ):
            continue
        found = {one["type"]: one for one in parent.get("conditions") or ()}
        if all(one.get("observedGeneration") == generation for one in found.values() if one["type"] in _NEEDED):
            yield str(parent.get("controllerName", "")), found


def _accepts(conditions: Mapping[str, Manifest]) -> bool:
    return all(kind in conditions for kind in _NEEDED) and _no(conditions) is None


def _no(conditions: Mapping[str, Manifest]) -> Manifest | None:
    """The first condition that is not True."""
    return next(
        (
            conditions[kind]
            for kind in (*_NEEDED, *_MORE)
            if kind in conditions and conditions[kind]["status"] != "True"
        ),
        None,
    )


def refusal(observed: Observed, status: InferenceServiceStatus) -> Refusal | None:
    """Why the weights cannot come into force: no HTTPRoutes here, the gateway says no, or nobody says anything."""
    gateway = reference(observed)
    if gateway is None:
        return None
    if (lack := missing(observed)) is not None:
        return lack
    if observed.gateway.http_route is None:
        return None
    said = list(_said(observed, gateway))
    for controller, conditions in said:
        if (condition := _no(conditions)) is not None:
            why = f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")
            return Refusal("RouteNotAccepted", shortened(f"{controller} says of HTTPRoute {observed.name}: {why}", 700))
    waited = observed.now - unix(status.routed_at) if status.routed_at and status.followed_epoch < status.epoch else 0.0
    if not said and waited >= SILENCE_SECONDS:
        return Refusal("RouteNotAccepted", _nobody(observed, gateway))
    return None


def _nobody(observed: Observed, gateway: GatewayRef) -> str:
    where = f"{gateway.namespace or observed.namespace}/{gateway.name}"
    return (
        f"no controller of Gateway {where} says anything of HTTPRoute {observed.name} as it is now:"
        " check spec.traffic.gatewayRef, that the Gateway is there and that its controller runs"
    )


def finding(observed: Observed, status: InferenceServiceStatus) -> Finding | None:
    """The condition RouteAccepted; none without a gateway, or before there is anything to route."""
    gateway = reference(observed)
    if gateway is None or (status.primary is None and observed.gateway.problem is None):
        return None
    refused = refusal(observed, status)
    if refused is not None:
        return Finding("RouteAccepted", "False", refused.reason, refused.message)
    where = f"{gateway.namespace or observed.namespace}/{gateway.name}"
    if followed(observed, status):
        return Finding(
            "RouteAccepted", "True", "Accepted", f"Gateway {where} splits requests by HTTPRoute {observed.name}"
        )
    return Finding(
        "RouteAccepted", "Unknown", "RoutePending", f"Gateway {where} has not taken HTTPRoute {observed.name} yet"
    )


# --- what counts ----------------------------------------------------------------------------------------------------


def counted(sample: Sample) -> Sample:
    """The sample with what each pod answered in place of what it chose: behind a gateway, pods do not choose.

    A pod counts for its own revision alone. Requests that never reached a pod are in nobody's counts.
    """
    return replace(
        sample,
        pods=tuple(
            replace(
                pod,
                arm_requests={(pod.revision, outcome): count for outcome, count in pod.served.items()},
                served={},
            )
            for pod in sample.pods
        ),
    )
