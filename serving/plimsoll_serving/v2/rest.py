"""The Open Inference Protocol V2 over REST: JSON, with the binary tensor data extension."""

import math

import orjson

from plimsoll_serving.codec import Answer, InferRequest
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.message import Request, Response, error_response
from plimsoll_serving.v2.decode import decode
from plimsoll_serving.v2.encode import HEADER_LENGTH, Descriptions, encode
from plimsoll_serving.v2.heads import KnownHeads
from plimsoll_serving.v2.signature import Signature
from plimsoll_serving.v2.typed import TypedReader

# Of a length: more are no number of bytes, and reading them takes time.
_MAX_DIGITS = 19


class RestCodec:
    """Reads and writes the requests of one model."""

    def __init__(self, signature: Signature) -> None:
        self._typed = TypedReader(signature)
        self._heads = KnownHeads()
        self._descriptions: Descriptions = {}

    def decode(self, request: Request, signature: Signature) -> InferRequest:
        body, kept = request.body, request.kept
        if kept is not None and kept.json_bytes >= 0:
            return self._binary(body, kept.json_bytes, signature)
        length = request.header(HEADER_LENGTH)
        if length is None:
            return self._typed.read(body) or decode(body, signature)
        if not length.isdigit() or len(length) > _MAX_DIGITS or int(length) > len(body):
            told = length.decode("latin-1")[:20]
            raise RequestError(
                f"{HEADER_LENGTH.decode()} is {told!r}, not the number of bytes of the JSON in a body of {len(body)}"
            )
        size = int(length)
        if kept is not None:
            kept.json_bytes = size
        return self._binary(body, size, signature)

    def _binary(self, body: bytes, size: int, signature: Signature) -> InferRequest:
        """Tensors behind ``size`` bytes of JSON."""
        if size == 0:
            return decode(_lone_tensor(body, signature), signature, body)
        known = self._heads.read(body, size)
        if known is not None:
            return known
        decoded = decode(body[:size], signature, body[size:])
        self._heads.learn(body[:size], decoded, signature)
        return decoded

    def encode(self, answer: Answer) -> Response:
        return encode(answer, self._descriptions)

    def refuse(self, status: int, message: str) -> Response:
        return error_response(status, message)


def _lone_tensor(body: bytes, signature: Signature) -> bytes:
    """The JSON that a raw binary request leaves out: the body is the one input, its shape follows from its size."""
    tensors = list(signature.inputs.values())
    if len(tensors) != 1 or tensors[0].datatype.kind == "bytes" or tensors[0].shape[1:].count(-1):
        raise RequestError(
            f"{HEADER_LENGTH.decode()} is 0, but the shapes of this model's inputs cannot be told from the size of the "
            "body; send the JSON with name, datatype and shape before it"
        )
    (tensor,) = tensors
    shape = list(tensor.shape)
    if shape and shape[0] == -1:
        row = math.prod(shape[1:]) * tensor.datatype.dtype.itemsize
        if row == 0 or len(body) % row:
            raise RequestError(f"the body has {len(body)} bytes, not a multiple of the {row} of one row")
        shape[0] = len(body) // row
    item = {"name": tensor.name, "datatype": tensor.datatype.name, "shape": shape}
    return orjson.dumps({"inputs": [item | {"parameters": {"binary_data_size": len(body)}}]})
