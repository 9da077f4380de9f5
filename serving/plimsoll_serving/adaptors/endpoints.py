"""The paths of the protocols that people migrate from, beside those of V2."""

import re
from urllib.parse import unquote

from plimsoll_serving.adaptors.invocations import InvocationsCodec
from plimsoll_serving.adaptors.table import Table
from plimsoll_serving.adaptors.v1 import V1Codec
from plimsoll_serving.codec import Codec
from plimsoll_serving.http.message import (
    Request,
    Respond,
    Response,
    error_response,
    json_response,
    method_not_allowed,
    only_get,
)
from plimsoll_serving.inference import Inference
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.settings import Identity
from plimsoll_serving.v2.signature import Signature

PREDICT = ":predict"
V1_MODEL = re.compile(r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>[^/:]+))?(?P<verb>:[a-z]+)?/?")


class AdaptorEndpoints:
    """``/v1/models…``, ``/ping``, ``/health`` and ``/invocations`` of one model.

    Args:
        delegates: whether the route is followed (public port) or every request is answered here (direct port).
    """

    def __init__(self, identity: Identity, inference: Inference, readiness: Readiness, delegates: bool) -> None:
        self._identity = identity
        self._inference = inference
        self._readiness = readiness
        self._infer = inference.public if delegates else inference.own
        # By the signature, not the model: what is remembered here must not keep a model in memory.
        self._codecs: tuple[Signature, Codec, Codec] | None = None

    @staticmethod
    def owns(path: str) -> bool:
        return path in ("/ping", "/health", "/invocations") or path.startswith("/v1/models")

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer a request to one of the paths."""
        path = request.path
        if path == "/invocations":
            if request.method == "POST":
                self._infer(request, respond, self._codec(2))
            else:
                respond(method_not_allowed(request.method, path, "POST"))
        elif path in ("/ping", "/health"):
            respond(only_get(request) or self._ping())
        elif path.rstrip("/") == "/v1/models":
            respond(only_get(request) or json_response(200, {"models": [self._identity.model]}))
        else:
            self._v1(request, respond)

    def _v1(self, request: Request, respond: Respond) -> None:
        """``{model}[/versions/{version}][:predict]``"""
        found = V1_MODEL.fullmatch(request.path)
        refusal = self._refusal(found, request)
        if refusal is not None or found is None:
            respond(refusal or error_response(404, f"nothing is served at {request.path[:200]}"))
        elif found["verb"] is None:
            respond(only_get(request) or self._ready())
        elif request.method != "POST":
            respond(method_not_allowed(request.method, request.path, "POST"))
        elif found["version"] is not None:
            # A version asked for by name is answered by it and belongs to no arm: it was not chosen by the route.
            self._inference.own(request, respond, self._codec(1))
        else:
            self._infer(request, respond, self._codec(1))

    def _refusal(self, found: re.Match[str] | None, request: Request) -> Response | None:
        own = self._identity
        if found is None or found["verb"] not in (None, PREDICT):
            told = f"inference is POST /v1/models/{own.model}{PREDICT}"
            return error_response(404, f"nothing is served at {request.path[:200]}; {told}")
        name = unquote(found["name"])
        if name != own.model:
            return error_response(404, f"model {name[:100]!r} is not served here; this server serves {own.model!r}")
        if found["version"] not in (None, own.version):
            told = f"this server serves version {own.version!r}"
            return error_response(404, f"version {found['version'][:100]!r} of {name!r} is not served here; {told}")
        return None

    def _ready(self) -> Response:
        answer: dict[str, object] = {"name": self._identity.model, "ready": self._readiness.ready}
        if self._readiness.ready:
            return json_response(200, answer)
        return json_response(503, answer | {"error": self._readiness.reason})

    def _ping(self) -> Response:
        return Response(200) if self._readiness.ready else error_response(503, self._readiness.reason)

    def _codec(self, which: int) -> Codec | None:
        """1 for V1, 2 for invocations; None before the model is loaded, which any codec refuses alike."""
        engine = self._inference.engine
        if engine is None:
            return None
        if self._codecs is None or self._codecs[0] is not engine.signature:
            table = Table(engine.signature, engine.columns)
            self._codecs = (engine.signature, V1Codec(table), InvocationsCodec(table))
        return self._codecs[1] if which == 1 else self._codecs[2]
