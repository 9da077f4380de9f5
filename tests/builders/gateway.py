"""A service behind a Gateway: its controller takes the HTTPRoute, refuses it or is silent, and splits what users send.

life = GatewayLife(version(1), behind())
life.until("Idle")
life.no = ("Accepted", "NotAllowedByListeners", "no listener takes it")
"""

from __future__ import annotations

from typing import Any

from plimsoll import names
from plimsoll.facts import Manifest, Ref

from tests.builders.release import NAMESPACE, Life, Server, service

ROUTE = Ref(names.GATEWAY_API_VERSION, "HTTPRoute", NAMESPACE, "digits")
CONTROLLER = "example.org/gateway"
REF: dict[str, Any] = {"name": "public", "namespace": "infra"}


def behind(gateway: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The InferenceService `digits` behind the Gateway infra/public; `more` as for `service`."""
    made = service(**more)
    made["spec"]["traffic"] = {"provider": "GatewayAPI", "gatewayRef": REF | (gateway or {})}
    return made


class GatewayLife(Life):
    """`through` is requests a second through the gateway; `no` is the condition that it says no by."""

    def __init__(self, *manifests: Manifest, rate: float = 0.0, through: float = 200.0) -> None:
        super().__init__(*manifests, rate=rate)
        self.through = through
        self.silent = False
        self.no: tuple[str, str, str] | None = None
        self.unanswered = 0.0
        self.splits: list[dict[str, int]] = []
        self._in_force: list[Any] = []

    @property
    def http_route(self) -> dict[str, Any] | None:
        """As it is stored."""
        return self.cluster.objects.get(ROUTE)

    @property
    def split(self) -> dict[str, int]:
        """Shares by version number, as the gateway has them."""
        numbers = {one["metadata"]["name"]: one["metadata"]["labels"][names.LABEL_VERSION] for one in self._services()}
        return {numbers.get(one["name"], one["name"]): one["weight"] for one in self._in_force if one["weight"]}

    def _services(self) -> list[dict[str, Any]]:
        return [one for one in self._there("Service") if names.LABEL_VERSION in one["metadata"]["labels"]]

    def live(self, seconds: float) -> None:
        super().live(seconds)
        self._program()
        self._split(seconds)

    def _program(self) -> None:
        """The controller says what it makes of the route as it is now, and takes it unless it says no."""
        route = self.http_route
        if route is None or self.silent:
            return
        parents = [_parent(route, self.no)]
        if (route.get("status") or {}).get("parents") != parents:
            self.cluster.edit(ROUTE, lambda body: body.update(status={"parents": parents}), spec=False)
            self.ring()
        if self.no is None:
            self._in_force = route["spec"]["rules"][0]["backendRefs"]
            if not self.splits or self.splits[-1] != self.split:
                self.splits.append(self.split)

    def _split(self, seconds: float) -> None:
        for backend in self._in_force:
            requests = self.through * seconds * backend["weight"] / 100
            serving = self.ready(backend["name"])
            if not serving:
                self.unanswered += requests
                continue
            self._serve_directly(serving[0], requests)

    def _serve_directly(self, server: Server, requests: float) -> None:
        """A direct port counts what it answers; no arm is chosen."""
        chosen = dict(server.counts)
        self._answer(server, server.revision, requests)
        server.counts = chosen


def _parent(route: Manifest, no: tuple[str, str, str] | None) -> dict[str, Any]:
    generation = route["metadata"]["generation"]
    conditions = [
        {"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    if no is not None:
        kind, reason, message = no
        conditions = [one for one in conditions if one["type"] != kind]
        conditions.append(
            {"type": kind, "status": "False", "reason": reason, "message": message, "observedGeneration": generation}
        )
    ref = route["spec"]["parentRefs"][0]
    return {"parentRef": dict(ref), "controllerName": CONTROLLER, "conditions": conditions}
