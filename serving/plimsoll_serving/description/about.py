"""The paths of the description: ``/docs``, ``/docs/examples/{model}.json``, ``/openapi.json``."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from plimsoll_serving.description.example import Described, v2_request
from plimsoll_serving.http.message import Request, Response, error_response, json_response

PATHS = ("/docs", "/openapi.json")
EXAMPLES = "/docs/examples/"
HOST = re.compile(rb"[A-Za-z0-9.\-_:\[\]]{1,255}")
DEFAULT_HOST = "localhost:8080"


class Description:
    """Answers what the server is.

    Args:
        models: what is served at the moment; empty while it is being loaded.
        sagemaker: whether ``/invocations`` is served.
    """

    def __init__(self, models: Callable[[], Sequence[Described]], sagemaker: bool) -> None:
        self._models = models
        self._sagemaker = sagemaker

    @staticmethod
    def owns(path: str) -> bool:
        return path.rstrip("/") in PATHS or path.startswith(EXAMPLES)

    def answer(self, request: Request) -> Response:
        """The answer to a GET or HEAD of one of the paths."""
        # Loaded for who asks: no pod starts later for a page that nobody reads.
        from plimsoll_serving.description.openapi import document
        from plimsoll_serving.description.page import page

        models = self._models()
        if not models:
            return error_response(503, "the model is being loaded")
        path = request.path.rstrip("/")
        if path == "/docs":
            return page(models, document(models, self._sagemaker), base_of(request))
        if path == "/openapi.json":
            return json_response(200, document(models, self._sagemaker))
        file = unquote(path.removeprefix(EXAMPLES))
        for model in models:
            if f"{model.name}.json" == file:
                return json_response(200, v2_request(model))
        return error_response(404, f"there is no {file[:100]!r}: an example is a model's name and .json")


def base_of(request: Request) -> str:
    """The address at which the reader reached this server."""
    host = request.header(b"host") or b""
    name = host.decode() if HOST.fullmatch(host) else DEFAULT_HOST
    scheme = "https" if request.header(b"x-forwarded-proto") == b"https" else "http"
    return f"{scheme}://{name}"
