"""The REST endpoints of the public and the direct port."""

from collections.abc import Sequence
from urllib.parse import unquote

from plimsoll_serving import __version__
from plimsoll_serving.adaptors.endpoints import AdaptorEndpoints
from plimsoll_serving.codec import Codec
from plimsoll_serving.description.about import Description
from plimsoll_serving.description.example import Described, describe
from plimsoll_serving.feedback.endpoint import FeedbackEndpoint
from plimsoll_serving.http.message import (
    Request,
    Respond,
    Response,
    error_response,
    json_response,
    method_not_allowed,
    only_get,
    whole_server,
)
from plimsoll_serving.inference import Inference
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.repository import LoneModel, RepositoryEndpoints
from plimsoll_serving.settings import Identity
from plimsoll_serving.v2.protobuf import CONTENT_TYPE, ProtobufCodec
from plimsoll_serving.v2.signature import Tensor

PLATFORM = "onnx_onnxv1"
# More are left out of the metadata, which are written anew for each who asks.
TOLD_CLASSES = 1000


class Endpoints:
    """The V2 protocol of one model, and what stands beside it.

    Args:
        delegates: whether the route is followed (public port) or every request is answered here (direct port).
        feedback: counts labels, here whatever the route says: its counters are of versions, not of pods.
        control: whether models may be loaded and unloaded by requests.
    """

    def __init__(
        self,
        identity: Identity,
        inference: Inference,
        readiness: Readiness,
        delegates: bool,
        feedback: FeedbackEndpoint,
        control: bool = False,
    ) -> None:
        self._identity = identity
        self._inference = inference
        self._readiness = readiness
        self._delegates = delegates
        self._feedback = feedback
        self._infer = inference.public if delegates else inference.own
        self._protobuf = ProtobufCodec()
        self._infer_path = f"/v2/models/{identity.model}/infer"
        self._adaptors = AdaptorEndpoints(identity, inference, readiness, delegates)
        self._repository = RepositoryEndpoints(LoneModel(identity, readiness), control)
        self._description = Description(self._described, sagemaker=True)

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer one request."""
        if request.path == self._infer_path and request.method == "POST":
            self._infer(request, respond, self._codec(request))
            return
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            self._model(request, [unquote(part) for part in parts[2:]], respond)
        elif request.path.rstrip("/") in ("/v2", "/v2/models", "/v2/health/live", "/v2/health/ready"):
            respond(only_get(request) or self._server(request.path.rstrip("/")))
        else:
            self._beside(request, respond)

    def _beside(self, request: Request, respond: Respond) -> None:
        """What is not V2's core."""
        if self._adaptors.owns(request.path):
            self._adaptors.handle(request, respond)
        elif self._repository.owns(request.path):
            self._repository.handle(request, respond)
        elif self._description.owns(request.path):
            self._tell(request, only_get(request) or self._description.answer(request), respond)
        else:
            respond(
                whole_server(request)
                or error_response(
                    404,
                    f"nothing is served at {request.path[:200]}; inference is POST {self._infer_path}, "
                    "and /docs tells everything else",
                )
            )

    def _tell(self, request: Request, response: Response, respond: Respond) -> None:
        """What a model is like: of the primary, where this pod only forwards."""
        if self._delegates and response.status != 405:
            self._inference.forward_or(response, request, respond)
        else:
            respond(response)

    def _described(self) -> list[Described]:
        engine = self._inference.engine
        if engine is None:
            return []
        return [describe(engine.name, engine.version, engine.signature, engine.columns, engine.sample)]

    def _server(self, path: str) -> Response:
        if path == "/v2":
            return json_response(
                200,
                {"name": "plimsoll", "version": __version__, "extensions": ["binary_tensor_data", "model_repository"]},
            )
        if path == "/v2/models":
            return json_response(200, {"models": [self._identity.model]})
        if path == "/v2/health/live":
            return json_response(200, {"live": True})
        return self._ready({"ready": self._readiness.ready})

    def _ready(self, answer: dict[str, object]) -> Response:
        if self._readiness.ready:
            return json_response(200, answer)
        return json_response(503, answer | {"error": self._readiness.reason})

    def _model(self, request: Request, parts: list[str], respond: Respond) -> None:
        """``{model}[/versions/{version}][/ready|/infer|/feedback]``"""
        identity = self._identity
        name, rest = parts[0], parts[1:]
        pinned = rest[:1] == ["versions"] and len(rest) > 1
        if name != identity.model:
            respond(
                error_response(404, f"model {name[:100]!r} is not served here; this server serves {identity.model!r}")
            )
            return
        if pinned and rest[1] != identity.version:
            respond(
                error_response(
                    404,
                    f"version {rest[1][:100]!r} of model {name!r} is not served here; "
                    f"this server serves version {identity.version!r}",
                )
            )
            return
        verb = "/".join(rest[2:] if pinned else rest)
        if verb == "infer":
            self._infer_or_refuse(request, pinned, respond)
        elif verb == "ready":
            respond(only_get(request) or self._ready({"name": name, "ready": self._readiness.ready}))
        elif verb == "feedback":
            respond(_only_post(request) or self._feedback.answer(request))
        elif verb == "":
            self._describe(request, pinned, respond)
        else:
            respond(
                error_response(404, f"nothing is served at {request.path[:200]}; inference is POST {self._infer_path}")
            )

    def _infer_or_refuse(self, request: Request, pinned: bool, respond: Respond) -> None:
        refusal = _only_post(request)
        if refusal is not None:
            respond(refusal)
        elif pinned:
            # A version asked for by name is answered by it and belongs to no arm: it was not chosen by the route.
            self._inference.own(request, respond, self._codec(request))
        else:
            self._infer(request, respond, self._codec(request))

    def _codec(self, request: Request) -> Codec | None:
        """None is REST's."""
        return self._protobuf if request.header(b"content-type") == CONTENT_TYPE else None

    def _describe(self, request: Request, pinned: bool, respond: Respond) -> None:
        response = only_get(request) or self._metadata()
        if pinned:
            respond(response)
        else:
            self._tell(request, response, respond)

    def _metadata(self) -> Response:
        engine = self._inference.engine
        if engine is None:
            return error_response(503, self._readiness.reason)
        signature = engine.signature
        response = json_response(
            200,
            {
                "name": self._identity.model,
                "versions": [self._identity.version],
                "platform": PLATFORM,
                "inputs": [tensor.describe() for tensor in signature.inputs.values()],
                "outputs": [_output(one, engine.classes.get(name, ())) for name, one in signature.outputs.items()],
                "parameters": {"execution_providers": ",".join(engine.providers)},
            },
        )
        response.shared = engine.shared
        return response


def _output(tensor: Tensor, classes: Sequence[int | str]) -> dict[str, object]:
    told = tensor.describe()
    return told | {"parameters": {"classes": classes}} if 0 < len(classes) <= TOLD_CLASSES else told


def _only_post(request: Request) -> Response | None:
    return None if request.method == "POST" else method_not_allowed(request.method, request.path, "POST")
