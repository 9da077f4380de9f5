"""JSON bodies as the clients of older protocols write them."""

import json
from typing import Any

import msgspec

from plimsoll_serving.errors import RequestError
from plimsoll_serving.v2 import unread
from plimsoll_serving.v2.values import json_name


def read_object(body: bytes, expected: str) -> dict[str, Any]:
    """The body, an object. Raises RequestError.

    The words NaN, Infinity and -Infinity are read too: Python's ``json`` writes them, TensorFlow Serving takes them.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        document = _read_loosely(body, error)
    if type(document) is not dict:
        raise RequestError(f"the body is {json_name(document)}, not an object with {expected}")
    return document


def _read_loosely(body: bytes, refusal: Exception) -> Any:
    if b"NaN" in body or b"Infinity" in body:
        try:
            document = json.loads(body, parse_constant=str)
            json.dumps(document, ensure_ascii=False).encode()
            return document
        except UnicodeEncodeError:
            raise RequestError("the body is not JSON: a text has half of a surrogate pair, which is no UTF-8") from None
        except (ValueError, RecursionError):
            pass  # told below in the words of the strict reader
    raise RequestError(unread.told(body, refusal)) from None


def one_of(document: dict[str, Any], keys: tuple[str, ...]) -> str:
    """The one key of several that an object has. Raises RequestError."""
    found = [key for key in keys if key in document]
    if len(found) != 1:
        told = f"has {' and '.join(found)}" if found else "has none of them"
        raise RequestError(f"the body takes exactly one of {', '.join(keys)}; it {told}")
    return found[0]
