"""The port of the operator and of kubelet: metrics, probes and the route in force."""

import time
from urllib.parse import parse_qs

from plimsoll_serving.delegate import Delegate
from plimsoll_serving.families import exposition
from plimsoll_serving.http.message import Request, Respond, Response, error_response, json_response, method_not_allowed
from plimsoll_serving.metrics import ServingMetrics
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.routing import Routing
from plimsoll_serving.settings import Identity

TEXT_FORMAT = b"text/plain; version=0.0.4; charset=utf-8"


class Operations:
    """``/metrics``, ``/healthz``, ``/readyz`` and ``/route``."""

    def __init__(
        self, identity: Identity, metrics: ServingMetrics, readiness: Readiness, routing: Routing, delegate: Delegate
    ) -> None:
        self._identity = identity
        self._metrics = metrics
        self._readiness = readiness
        self._routing = routing
        self._delegate = delegate
        self._paths = {
            "/metrics": self._read_metrics,
            "/healthz": self._live,
            "/readyz": self._ready,
            "/route": self._route,
        }

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer one request."""
        answer = self._paths.get(request.path)
        if answer is None:
            respond(
                error_response(404, f"nothing is served at {request.path[:200]}; here are {', '.join(self._paths)}")
            )
        elif request.method not in ("GET", "HEAD"):
            respond(method_not_allowed(request.method, request.path, "GET, HEAD"))
        else:
            respond(answer(request))

    def _read_metrics(self, request: Request) -> Response:
        names = parse_qs(request.query).get("name[]", [])
        return Response(200, exposition(self._metrics, names), TEXT_FORMAT)

    def _live(self, _: Request) -> Response:
        return json_response(200, {"live": True})

    def _ready(self, _: Request) -> Response:
        """For kubelet. A pod that drains says yes: a Service uses it only if it has no other (KEP-1669)."""
        serves = self._readiness.loaded
        return json_response(200 if serves else 503, {"ready": serves, "reason": self._readiness.reason})

    def _route(self, _: Request) -> Response:
        route = self._routing.route
        now = time.time()
        return json_response(
            200,
            {
                "revision": self._identity.revision,
                "role": self._routing.role.value,
                "epoch": route.epoch if route else 0,
                "blind": bool(route and route.blind_after is not None and now > route.blind_after),
                "breakersOpen": self._delegate.open_breakers(),
                "document": route.document if route else None,
            },
        )
