"""What stands around the numbers of JSON requests: clients send the same text again and again, and only new numbers.

A body that begins and ends like one that was read has its numbers between, and means the same but for them.
"""

import struct
from typing import Any

from plimsoll_serving.codec import Layout
from plimsoll_serving.v2.signature import Tensor

KEPT = 256
LONGEST = 1024
_DATA = b'"data"'
# Of the struct module, in standard sizes.
_CODES = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
    "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


class Fit:
    """Fields of an input that fit one another and the model: datatype, shape and number of elements.

    Attributes:
        pack: numbers to bytes. By struct: quicker than numpy for lists, and it refuses those that are too large. None
            for text.
    """

    __slots__ = ("count", "datatype", "layout", "pack", "shape")

    def __init__(self, tensor: Tensor, shape: list[int], count: int, outputs: list[str]) -> None:
        self.datatype = tensor.datatype
        self.shape = shape
        self.count = count
        self.layout = Layout(tensor.name, tensor.datatype.dtype, shape, outputs)
        code = _CODES.get(tensor.datatype.name)
        self.pack: Any = None if code is None else struct.Struct(f"<{count}{code}").pack


class Template:
    """A body but for its numbers: what stands before and after them, with the brackets of their list."""

    __slots__ = ("_after", "_before", "fit")

    def __init__(self, before: bytes, after: bytes, fit: Fit) -> None:
        self._before = before
        self._after = after
        self.fit = fit

    def is_of(self, body: bytes) -> bool:
        return body.startswith(self._before) and body.endswith(self._after)

    def numbers(self, body: bytes) -> bytes:
        """The list in a body that this is of; nobody has looked at it yet."""
        return body[len(self._before) - 1 : len(body) - len(self._after) + 1]


class Templates:
    """Of requests with one input of floats, by the text before the list of their numbers. Bounded: 256 of 1 KiB."""

    def __init__(self) -> None:
        self._known: dict[bytes, Template] = {}
        self._last: Template | None = None

    def match(self, body: bytes) -> Template | None:
        """The one that a body is of; None when it is new."""
        if self._last is not None and self._last.is_of(body):
            return self._last
        known = self._known.get(body[: body.find(b"[", body.find(_DATA)) + 1])
        if known is None or not known.is_of(body):
            return None
        self._last = known
        return known

    def learn(self, body: bytes, fit: Fit) -> None:
        """Remember the text of a request that was read, with an only input that ``fit`` is of.

        Only where its list is the one that the word ``data`` stands before: there is one such word, and no key can be
        another spelling of it.
        """
        at = body.find(_DATA)
        start = body.find(b"[", at)
        end = body.find(b"]", start)
        if body.count(_DATA) != 1 or b"\\" in body or body[at + len(_DATA) : start].strip() != b":":
            return
        if start + len(body) - end > LONGEST:
            return
        if len(self._known) >= KEPT:
            self._known.clear()
        before = body[: start + 1]
        self._known[before] = Template(before, body[end:], fit)
