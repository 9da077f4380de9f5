"""From a call to the same request over HTTP, and from its answer back."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from plimsoll_serving.grpc.call import Call
from plimsoll_serving.grpc.status import Code, StatusError, of_http
from plimsoll_serving.http.message import Handler, Header, Request, Response

PROTOBUF: Header = (b"content-type", b"application/x-protobuf")
JSON: Header = (b"content-type", b"application/json")


def request_of(call: Call, path: str, body: bytes, kind: Header = PROTOBUF, method: str = "POST") -> Request:
    """The request over HTTP that asks the same, with the call's metadata and deadline."""
    request = Request(method, path, "", [kind, *call.head.metadata], body, True)
    request.deadline = call.deadline
    return request


def failure(response: Response) -> StatusError:
    """The status of an answer other than 200: its code, and its sentence as the message."""
    try:
        message = msgspec.json.decode(response.body)["error"]
    except (msgspec.MsgspecError, KeyError, TypeError, UnicodeDecodeError):
        message = response.body[:500].decode("utf-8", "replace")
    return StatusError(of_http(response.status), str(message))


def ask(
    handle: Handler,
    call: Call,
    request: Request,
    answer: Callable[[Any], bytes],
    refused: Callable[[Response], StatusError] = failure,
) -> Request:
    """Ask for JSON and answer the call with what ``answer`` makes of it, or with the status that ``refused`` gives."""

    def respond(response: Response) -> None:
        if response.status != 200:
            error = refused(response)
            call.finish(error.code, error.message, response.headers)
            return
        call.answer(answer(msgspec.json.decode(response.body)), response.headers)

    handle(request, respond)
    return request


_paths: dict[tuple[str, str], str] = {}


def model_path(name: str, version: str) -> str:
    """``/v2/models/{name}[/versions/{version}]``. Raises StatusError without a name."""
    known = _paths.get((name, version))
    if known is None:
        if not name:
            raise StatusError(Code.INVALID_ARGUMENT, "the model's name is missing")
        known = f"/v2/models/{quote(name, safe='')}"
        if version:
            known += f"/versions/{quote(version, safe='')}"
        if len(_paths) < 64 and len(known) < 200:
            _paths[name, version] = known
    return known
