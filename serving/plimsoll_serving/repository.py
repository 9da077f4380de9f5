"""The model repository extension of the V2 protocol: what is there, and loading and unloading where it is allowed.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec

from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import (
    Request,
    Respond,
    Response,
    error_response,
    json_response,
    method_not_allowed,
)
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.settings import Identity

PREFIX = "/v2/repository/"
INDEX = "/v2/repository/index"
READY = "READY"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the repository; ``state`` is READY, LOADING, UNLOADING or UNAVAILABLE."""

    name: str
    version: str
    state: str
    reason: str = ""


class Repository(Protocol):
    """Models that a server can hold. ``load`` and ``unload`` raise RequestError when they cannot be done."""

    def index(self) -> Sequence[Entry]: ...

    def load(self, name: str) -> None: ...

    def unload(self, name: str) -> None: ...


class LoneModel:
    """The repository of a server of one model, which is there as long as the server is."""

    def __init__(self, identity: Identity, readiness: Readiness) -> None:
        self._identity = identity
        self._readiness = readiness

    def index(self) -> list[Entry]:
        loaded = self._readiness.loaded
        reason = "" if loaded else self._readiness.reason
        return [Entry(self._identity.model, self._identity.version, READY if loaded else "LOADING", reason)]

    def load(self, name: str) -> None:
        self._check(name)

    def unload(self, name: str) -> None:
        self._check(name)
        raise RequestError(f"{name!r} is the only model of this server: stop the server instead")

    def _check(self, name: str) -> None:
        if name != self._identity.model:
            raise RequestError(
                f"model {name[:100]!r} is not known here; this server serves {self._identity.model!r}", 404
            )


class RepositoryEndpoints:
    """``/v2/repository/index`` and ``/v2/repository/models/{model}/load|unload``.

    Args:
        control: whether models may be loaded and unloaded.
    """

    def __init__(self, repository: Repository, control: bool) -> None:
        self._repository = repository
        self._control = control

    @staticmethod
    def owns(path: str) -> bool:
        return path.startswith(PREFIX)

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer a request to one of the paths."""
        try:
            respond(self._answer(request))
        except RequestError as error:
            respond(error_response(error.status, error.message))

    def _answer(self, request: Request) -> Response:
        parts = request.path.removeprefix(PREFIX).rstrip("/").split("/")
        change = len(parts) == 3 and parts[0] == "models" and parts[2] in ("load", "unload")
        if parts != ["index"] and not change:
            return error_response(404, f"nothing is served at {request.path[:200]}; the index is POST {INDEX}")
        if request.method != "POST":
            return method_not_allowed(request.method, request.path, "POST")
        document = _read(request.body)
        if parts == ["index"]:
            return json_response(200, self._index(document))
        if not self._control:
            return error_response(403, "loading and unloading is off; PLIMSOLL_MODEL_CONTROL=explicit turns it on")
        if document.get("parameters"):
            raise RequestError("parameters: a model is loaded as it lies in the repository; send none")
        change_model = self._repository.load if parts[2] == "load" else self._repository.unload
        change_model(unquote(parts[1]))
        return json_response(200, {})

    def _index(self, document: dict[str, Any]) -> list[dict[str, str]]:
        only_ready = document.get("ready", False)
        if type(only_ready) is not bool:
            raise RequestError("ready is not true or false")
        return [
            {"name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason}
            for entry in self._repository.index()
            if entry.state == READY or not only_ready
        ]


def _read(body: bytes) -> dict[str, Any]:
    """The body, which may be empty."""
    if not body.strip():
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RequestError("the body is not a JSON object") from None
