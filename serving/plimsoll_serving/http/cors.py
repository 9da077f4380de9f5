"""Cross-origin requests of browsers (the Fetch standard, section 3.2), for the origins that a setting names."""

from functools import partial

from plimsoll_serving.http.message import METHODS, Handler, Header, Request, Respond, Response

EXPOSED = b"plimsoll-model-version, plimsoll-revision, plimsoll-prediction-id, inference-header-content-length"
PREFLIGHT_SECONDS = b"600"


class Cors:
    """Answers preflights and names the origins that may read answers.

    Args:
        origins: such as ``https://app.example.com``, or ``*`` for all. Credentials are never allowed.
    """

    def __init__(self, handler: Handler, origins: tuple[str, ...]) -> None:
        self._handler = handler
        self._origins = frozenset(origin.encode() for origin in origins)

    def handle(self, request: Request, respond: Respond) -> None:
        origin = request.header(b"origin")
        if origin is None or not (b"*" in self._origins or origin in self._origins):
            self._handler(request, respond)
            return
        allowed: list[Header] = [(b"access-control-allow-origin", b"*" if b"*" in self._origins else origin)]
        if b"*" not in self._origins:
            allowed.append((b"vary", b"origin"))
        if request.method == "OPTIONS" and request.header(b"access-control-request-method") is not None:
            respond(_preflight(request, allowed))
        else:
            allowed.append((b"access-control-expose-headers", EXPOSED))
            self._handler(request, partial(_with, allowed, respond))


def _preflight(request: Request, allowed: list[Header]) -> Response:
    headers = [*allowed, (b"access-control-allow-methods", METHODS), (b"access-control-max-age", PREFLIGHT_SECONDS)]
    asked = request.header(b"access-control-request-headers")
    if asked:
        headers.append((b"access-control-allow-headers", asked))
    return Response(204, headers=headers)


def _with(headers: list[Header], respond: Respond, response: Response) -> None:
    # Lists of headers may be shared between answers.
    response.headers = [*response.headers, *headers]
    respond(response)
