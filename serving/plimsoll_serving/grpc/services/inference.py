"""``inference.GRPCInferenceService``: each method asks the endpoints of HTTP."""

from collections.abc import Callable
from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from plimsoll_serving.errors import RequestError
from plimsoll_serving.grpc.call import Call
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.grpc.services.bridge import JSON, ask, failure, model_path, request_of
from plimsoll_serving.grpc.services.stream import StreamInfer
from plimsoll_serving.grpc.services.unary import Run, Unary
from plimsoll_serving.grpc.status import Code, StatusError
from plimsoll_serving.http.message import Handler, Request, Response
from plimsoll_serving.v2.protobuf import model_of

SERVICE = "inference.GRPCInferenceService"


class InferenceService:
    """The methods over one handler of HTTP requests.

    Args:
        handle: answers requests of HTTP, as on the port of the same kind (public or direct).
    """

    def __init__(self, handle: Handler) -> None:
        self._handle = handle

    def methods(self) -> dict[bytes, Callable[[Call], Any]]:
        """Makers of handlers, by path."""
        unary: dict[str, Run] = {
            "ServerLive": self._simple("ServerLive", "/v2/health/live", "live"),
            "ServerReady": self._simple("ServerReady", "/v2/health/ready", "ready"),
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._repository("load", "RepositoryModelLoad"),
            "RepositoryModelUnload": self._repository("unload", "RepositoryModelUnload"),
        }
        made: dict[bytes, Callable[[Call], Any]] = {_path(name): _maker(run) for name, run in unary.items()}
        made[_path("ModelStreamInfer")] = lambda call: StreamInfer(call, self._handle)
        return made

    def _infer(self, call: Call, body: bytes) -> Request:
        name, version = _model_of(body)
        request = request_of(call, model_path(name, version) + "/infer", body)

        def respond(response: Response) -> None:
            if response.status == 200:
                call.answer(response.body, response.headers)
            else:
                error = failure(response)
                call.finish(error.code, error.message, response.headers)

        self._handle(request, respond)
        return request

    def _simple(self, method: str, path: str, field: str) -> Run:
        answer = message(f"inference.{method}Response")

        def run(call: Call, body: bytes) -> Request:
            _parse(message(f"inference.{method}Request"), body)
            return self._yes_or_no(call, path, answer, field)

        return run

    def _yes_or_no(self, call: Call, path: str, answer: Any, field: str) -> Request:
        """200 is a yes, 503 is a no."""
        request = request_of(call, path, b"", JSON, "GET")

        def respond(response: Response) -> None:
            if response.status in (200, 503):
                call.answer(answer(**{field: response.status == 200}).SerializeToString(), response.headers)
            else:
                error = failure(response)
                call.finish(error.code, error.message, response.headers)

        self._handle(request, respond)
        return request

    def _model_ready(self, call: Call, body: bytes) -> Request:
        asked = _parse(message("inference.ModelReadyRequest"), body)
        path = model_path(asked.name, asked.version) + "/ready"
        return self._yes_or_no(call, path, message("inference.ModelReadyResponse"), "ready")

    def _server_metadata(self, call: Call, body: bytes) -> Request:
        _parse(message("inference.ServerMetadataRequest"), body)
        answer = message("inference.ServerMetadataResponse")
        request = request_of(call, "/v2", b"", JSON, "GET")
        return ask(self._handle, call, request, lambda told: _serialized(answer, told))

    def _model_metadata(self, call: Call, body: bytes) -> Request:
        asked = _parse(message("inference.ModelMetadataRequest"), body)
        answer = message("inference.ModelMetadataResponse")
        request = request_of(call, model_path(asked.name, asked.version), b"", JSON, "GET")
        return ask(self._handle, call, request, lambda told: _serialized(answer, told))

    def _index(self, call: Call, body: bytes) -> Request:
        asked = _parse(message("inference.RepositoryIndexRequest"), body)
        answer = message("inference.RepositoryIndexResponse")
        body = b'{"ready": true}' if asked.ready else b"{}"
        request = request_of(call, "/v2/repository/index", body, JSON)
        return ask(self._handle, call, request, lambda told: _serialized(answer, {"models": told}), _repository_failure)

    def _repository(self, verb: str, method: str) -> Run:
        def run(call: Call, body: bytes) -> Request:
            asked = _parse(message(f"inference.{method}Request"), body)
            path = "/v2/repository" + model_path(asked.model_name, "").removeprefix("/v2") + f"/{verb}"
            # REST says which parameters it takes, if any.
            body = msgspec.json.encode({"parameters": dict.fromkeys(asked.parameters, True)})
            request = request_of(call, path, body, JSON)
            return ask(self._handle, call, request, lambda _: b"", _repository_failure)

        return run


def _repository_failure(response: Response) -> StatusError:
    """Where REST has no such path, gRPC has no such method."""
    error = failure(response)
    if error.message.startswith("nothing is served at"):
        return StatusError(Code.UNIMPLEMENTED, "the model repository is not served here")
    return error


def _path(method: str) -> bytes:
    return f"/{SERVICE}/{method}".encode()


def _maker(run: Run) -> Callable[[Call], Unary]:
    return lambda call: Unary(call, run)


def _model_of(body: bytes) -> tuple[str, str]:
    try:
        return model_of(body)
    except RequestError as error:
        raise StatusError(Code.INVALID_ARGUMENT, error.message) from None


def _parse(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError:
        raise StatusError(Code.INVALID_ARGUMENT, f"the message is not a {kind.DESCRIPTOR.full_name}") from None


def _serialized(kind: Any, told: dict[str, Any]) -> bytes:
    """A message of the fields that it has; what else the JSON says is left out."""
    return _filled(kind(), told).SerializeToString()  # type: ignore[no-any-return]


def _filled(target: Any, told: dict[str, Any]) -> Any:
    for field in target.DESCRIPTOR.fields:
        value = told.get(field.name)
        if value is None:
            continue
        if not field.is_repeated:
            setattr(target, field.name, value)
        elif field.message_type is None:
            getattr(target, field.name).extend(value)
        else:
            for one in value:
                _filled(getattr(target, field.name).add(), one)
    return target
