"""SageMaker's container contract, with the bodies that MLflow's scoring server takes: ``/ping``, ``/invocations``."""

from typing import Any

from plimsoll_serving.adaptors.body import one_of, read_object
from plimsoll_serving.adaptors.predictions import as_csv, as_json, wanted_outputs
from plimsoll_serving.adaptors.table import Arrays, Table
from plimsoll_serving.adaptors.text_csv import read_csv
from plimsoll_serving.adaptors.v1 import rows_or_columns
from plimsoll_serving.codec import Answer, InferRequest
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.media import accepts, parse_media_type
from plimsoll_serving.http.message import Request, Response, error_response
from plimsoll_serving.v2.signature import Signature
from plimsoll_serving.v2.values import json_name

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
JSON = "application/json"
CSV = "text/csv"


class InvocationsCodec:
    """JSON or CSV in, JSON or CSV out as ``Accept`` asks."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def decode(self, request: Request, signature: Signature) -> InferRequest:
        kind, parameters = parse_media_type(request.header(b"content-type") or JSON.encode())
        if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
            raise RequestError(f"content-type: charset {parameters['charset']!r} is not served; send UTF-8", 415)
        if kind == CSV:
            arrays = read_csv(request.body, parameters.get("header"), self._table)
        elif kind == JSON:
            arrays = self._read_json(request.body)
        else:
            raise RequestError(f"content-type: {kind[:50]!r} is not served; send {JSON} or {CSV}", 415)
        answered = accepts(request.header(b"accept"), (JSON, CSV))
        if answered is None:
            raise RequestError(f"accept: the answer can be {JSON} or {CSV}", 406)
        return InferRequest(None, arrays, wanted_outputs(request, signature), encoding=answered)

    def _read_json(self, body: bytes) -> Arrays:
        document = read_object(body, f"one of {', '.join(FORMS)}")
        form = one_of(document, FORMS)
        if document.get("params"):
            raise RequestError("params: an ONNX model takes none")
        value = document[form]
        if form == "dataframe_split":
            return self._split(value)
        if form == "dataframe_records":
            return self._table.of_instances(value, form)
        return rows_or_columns(value, form, self._table)

    def _split(self, frame: Any) -> Arrays:
        """``{"columns": […], "data": [[…], …]}``; an ``index`` is of no use to a model."""
        field = "dataframe_split"
        if type(frame) is not dict:
            raise RequestError(f"{field} is {json_name(frame)}, not an object with columns and data")
        names = frame.get("columns")
        if names is not None and (type(names) is not list or not all(type(name) in (str, int) for name in names)):
            raise RequestError(f"{field}.columns is not a list of names")
        if "data" not in frame:
            raise RequestError(f"{field}.data is missing")
        # pandas numbers the columns of a frame that has no names.
        if names is not None and names == list(range(len(names))):
            names = None
        return self._table.of_frame(None if names is None else list(map(str, names)), frame["data"], f"{field}.data")

    def encode(self, answer: Answer) -> Response:
        return as_csv(answer) if answer.request.encoding == CSV else as_json(answer)

    def refuse(self, status: int, message: str) -> Response:
        return error_response(status, message)
