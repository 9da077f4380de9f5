"""``ModelStreamInfer``: each request of the stream is answered in its turn."""

from collections import deque

from plimsoll_serving.errors import RequestError
from plimsoll_serving.grpc.call import Call
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.grpc.services.bridge import failure, model_path, request_of
from plimsoll_serving.grpc.status import StatusError
from plimsoll_serving.http.message import Handler, Request, Response, error_response
from plimsoll_serving.v2.protobuf import model_of

# Requests of one stream that are answered at once; further ones wait.
DEPTH = 16
# Bytes of answers that the peer does not take yet, and of those to come, beyond which further requests wait.
UNSENT_BYTES = 4 << 20
_StreamResponse = message("inference.ModelStreamInferResponse")
_TAG = b"\x12"  # field 2 of ModelStreamInferResponse, infer_response


class StreamInfer:
    """Answers in the order of the requests. An error is told in its answer and does not end the stream."""

    streaming = True

    def __init__(self, call: Call, handle: Handler) -> None:
        self._call = call
        self._handle = handle
        self._turns: deque[list[Response | None]] = deque()
        self._requests: dict[int, Request] = {}
        self._number = self._under_way = self._largest = 0
        self._bound = min(UNSENT_BYTES, call.body_bytes)
        self._ended = False

    @property
    def busy(self) -> bool:
        return bool(self._turns)

    @property
    def full(self) -> bool:
        """A peer that is slower than the model is held back by the window that its requests leave closed."""
        turns = len(self._turns)
        return turns >= DEPTH or self._call.unsent + turns * self._largest >= self._bound

    def received(self, body: bytes) -> None:
        turn: list[Response | None] = [None]
        self._turns.append(turn)
        self._number += 1
        self._under_way += len(body)
        self._largest = max(self._largest, len(body))
        number = self._number

        def respond(response: Response) -> None:
            self._requests.pop(number, None)
            self._under_way -= len(body)
            self._largest = max(self._largest, len(response.body))
            turn[0] = response
            self._answer()

        try:
            path = model_path(*model_of(body)) + "/infer"
        except (StatusError, RequestError) as error:
            respond(error_response(400, error.message))
            return
        request = self._requests[number] = request_of(self._call, path, body)
        self._handle(request, respond)

    def _answer(self) -> None:
        """Send what has come, as far as no earlier answer is missing."""
        was_full = self.full
        while self._turns and (response := self._turns[0][0]) is not None:
            self._turns.popleft()
            self._call.send(_stream_response(response), response.headers)
        self._call.release(self._under_way)
        if self._ended and not self._turns:
            self._call.finish()
        if was_full and not self.full:
            self._call.resume()

    def finished(self) -> None:
        self._ended = True
        if not self._turns:
            self._call.finish()

    def cancelled(self) -> None:
        for request in self._requests.values():
            request.cancelled = True

    def tick(self) -> None:
        pass


def _stream_response(response: Response) -> bytes:
    if response.status != 200:
        encoded: bytes = _StreamResponse(error_message=failure(response).message).SerializeToString()
        return encoded
    return _TAG + _varint(len(response.body)) + response.body


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
