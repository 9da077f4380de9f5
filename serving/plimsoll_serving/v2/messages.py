"""Messages whose like was seen before: only their tensors are read or written anew.

Clients send message after message that differs in nothing but the raw bytes of its tensors, and so do answers. What a
message of the protocol buffers means outside those bytes depends on the other bytes alone, so it is read once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from plimsoll_serving.codec import Answer, InferRequest, Layout, layout
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.v2.binary import unpack
from plimsoll_serving.v2.signature import Signature, Tensor

_Request = message("inference.ModelInferRequest")
_KNOWN = 64
_HEAD_BYTES = 1024
_RAW_OUTPUT = b"\x32"  # field 6 of ModelInferResponse, raw_output_contents
_ID = b"\x1a"  # field 3 of ModelInferResponse, id


@dataclass(slots=True, frozen=True)
class _Form:
    """Where the raw tensors are in messages of one length, and what the bytes around them say.

    ``only`` is what the bytes of the one tensor mean, where there is one of numbers.
    """

    signature: Signature
    frame: bytes
    places: list[tuple[int, int, Tensor, list[int]]]
    outputs: list[str]
    encoding: Any
    only: Layout | None


class KnownRequests:
    """Forms by the length of their messages."""

    def __init__(self) -> None:
        self._forms: dict[int, _Form] = {}

    def read(self, body: bytes, signature: Signature) -> InferRequest | None:
        """The request, when its form is known for this signature. Raises RequestError for the tensors' bytes."""
        form = self._forms.get(len(body))
        if form is None or form.signature is not signature or _around(body, form.places) != form.frame:
            return None
        if form.only is not None:
            request = InferRequest(None, None, form.outputs, {}, form.encoding)
            request.layout, request.data = form.only, body[form.places[0][0] :]
            return request
        inputs = {}
        for start, size, tensor, shape in form.places:
            where = f"the raw contents of {tensor.name!r}"
            inputs[tensor.name] = unpack(body, start, size, tensor.datatype, where).reshape(shape)
        return InferRequest(None, inputs, form.outputs, {}, form.encoding)

    def learn(self, body: bytes, raw: Sequence[bytes], request: InferRequest, signature: Signature) -> None:
        """Remember the form of a message that was read; ``raw`` are its tensors in the order of the inputs.

        Only what every like message has: no id, no parameters, datatypes of one size, the tensors at the end.
        """
        tensors = [signature.inputs[name] for name in request.inputs]
        plain = all(tensor.datatype.kind != "bytes" for tensor in tensors) and all(raw)
        if request.id is not None or request.parameters or not plain or len(raw) != len(tensors):
            return
        places: list[tuple[int, int, Tensor, list[int]]] = []
        end = len(body)
        for tensor, data in zip(reversed(tensors), reversed(raw), strict=True):
            start = end - len(data)
            if start < 0 or body[start:end] != data:
                return
            places.insert(0, (start, len(data), tensor, list(request.inputs[tensor.name].shape)))
            end = start - len(_field(b"\x3a", len(data)))
            if body[max(end, 0) : start] != _field(b"\x3a", len(data)):
                return
        frame = _around(body, places)
        # What is before the tensors must be whole fields: then the rest is the tensors' fields, and nothing else.
        if len(frame) <= _HEAD_BYTES and _is_whole(body[:end]):
            if len(self._forms) >= _KNOWN:
                self._forms.clear()
            only = layout(tensors[0], places[0][3], request.outputs) if len(places) == 1 else None
            self._forms[len(body)] = _Form(signature, frame, places, request.outputs, request.encoding, only)


def _is_whole(head: bytes) -> bool:
    try:
        return not _Request.FromString(head).raw_input_contents
    except DecodeError:
        return False


def _around(body: bytes, places: list[tuple[int, int, Tensor, list[int]]]) -> bytes:
    """The bytes of a message without those of its tensors."""
    if len(places) == 1:
        return body[: places[0][0]]
    parts, position = [], 0
    for start, size, _, _ in places:
        parts.append(body[position:start])
        position = start + size
    return b"".join(parts)


class KnownAnswers:
    """The bytes of raw answers before their tensors, by the shapes of the outputs."""

    def __init__(self) -> None:
        self._heads: dict[tuple[Any, ...], tuple[Signature, bytes]] = {}

    def write(self, answer: Answer, tensors: list[bytes]) -> bytes | None:
        """The message of an answer whose like is known."""
        known = self._heads.get(_key(answer))
        if known is None or known[0] is not answer.signature:
            return None
        parts = [known[1]]
        if answer.request.id is not None:
            identifier = answer.request.id.encode()
            parts += (_field(_ID, len(identifier)), identifier)
        for tensor in tensors:
            parts += (_field(_RAW_OUTPUT, len(tensor)), tensor)
        return b"".join(parts)

    def learn(self, answer: Answer, head: bytes) -> None:
        """Remember a message without id and tensors."""
        if len(self._heads) >= _KNOWN:
            self._heads.clear()
        self._heads[_key(answer)] = (answer.signature, head)


def _key(answer: Answer) -> tuple[Any, ...]:
    outputs = answer.outputs
    return (answer.model, answer.version, *outputs, *[array.shape for array in outputs.values()])


def _field(tag: bytes, size: int) -> bytes:
    """Tag and length of a field of bytes."""
    if size < 0x80:
        return tag + bytes((size,))
    out = bytearray(tag)
    while size >= 0x80:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)
