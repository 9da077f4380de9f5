"""``POST /v2/models/{model}/feedback``: one piece of feedback, or a list of them."""

from typing import Any

import msgspec

from plimsoll_serving.errors import RequestError
from plimsoll_serving.feedback.book import FeedbackBook, Refusal
from plimsoll_serving.http.message import Request, Response, error_response, json_response
from plimsoll_serving.v2 import unread

MAX_ITEMS = 1000
MAX_BODY_BYTES = 4 << 20
TOLD_REFUSALS = 20


class FeedbackEndpoint:
    """Answers ``{"counted": rows, "repeated": ids, "refused": [{"index", "error"}]}``.

    One piece that is refused is a 400. Of a list the good ones are counted, and it is a 400 when none was good.
    """

    def __init__(self, book: FeedbackBook) -> None:
        self._book = book

    def answer(self, request: Request) -> Response:
        try:
            document = _parse(request.body)
            if isinstance(document, list):
                return self._many(document)
            counted = self._book.take(document, "")
        except RequestError as error:
            return error_response(error.status, error.message)
        return json_response(200, {"counted": counted.rows, "repeated": int(counted.repeated), "refused": []})

    def _many(self, items: list[Any]) -> Response:
        if not 1 <= len(items) <= MAX_ITEMS:
            raise RequestError(f"the list has {len(items)} items; send 1 to {MAX_ITEMS} at a time")
        rows = repeated = 0
        refused: list[dict[str, object]] = []
        for index, item in enumerate(items):
            try:
                counted = self._book.take(item, f"[{index}].")
            except Refusal as refusal:
                refused.append({"index": index, "error": refusal.message})
                continue
            rows += counted.rows
            repeated += counted.repeated
        if len(refused) == len(items):
            raise RequestError(str(refused[0]["error"]))
        # All indices are told: whoever sent them must know which to send again. The sentences are cut.
        told = [one if place < TOLD_REFUSALS else {"index": one["index"]} for place, one in enumerate(refused)]
        return json_response(200, {"counted": rows, "repeated": repeated, "refused": told})


def _parse(body: bytes) -> Any:
    if len(body) > MAX_BODY_BYTES:
        raise RequestError(f"the body has {len(body)} bytes; send at most {MAX_BODY_BYTES} at a time", 413)
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(unread.told(body, error)) from None
