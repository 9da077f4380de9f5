"""KServe's V1 protocol, which is TensorFlow Serving's REST: ``POST /v1/models/{model}:predict``.

Both forms of a request are answered with ``predictions``, as KServe does.
"""

from plimsoll_serving.adaptors.body import one_of, read_object
from plimsoll_serving.adaptors.predictions import as_json, wanted_outputs
from plimsoll_serving.adaptors.table import Arrays, Table
from plimsoll_serving.codec import Answer, InferRequest
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Request, Response, error_response
from plimsoll_serving.v2.signature import Signature

FORMS = ("instances", "inputs")
DEFAULT_SIGNATURE = "serving_default"


class V1Codec:
    """``{"instances": [row, …]}`` or ``{"inputs": {column: [cell, …]}}`` to ``{"predictions": [prediction, …]}``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def decode(self, request: Request, signature: Signature) -> InferRequest:
        document = read_object(request.body, "instances or inputs")
        chosen = document.get("signature_name", DEFAULT_SIGNATURE)
        if chosen != DEFAULT_SIGNATURE:
            raise RequestError(f"signature_name is {chosen!r}; an ONNX model has only {DEFAULT_SIGNATURE!r}")
        form = one_of(document, FORMS)
        arrays = rows_or_columns(document[form], form, self._table)
        return InferRequest(None, arrays, wanted_outputs(request, signature))

    def encode(self, answer: Answer) -> Response:
        return as_json(answer)

    def refuse(self, status: int, message: str) -> Response:
        return error_response(status, message)


def rows_or_columns(value: object, form: str, table: Table) -> Arrays:
    """``inputs`` may be an object of columns, or rows as in ``instances``."""
    if form == "inputs" and isinstance(value, dict):
        return table.of_columns(value, form)
    return table.of_instances(value, form)
