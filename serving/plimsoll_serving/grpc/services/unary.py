"""Methods of one message and one answer."""

from collections.abc import Callable

from plimsoll_serving.grpc.call import Call
from plimsoll_serving.grpc.status import Code, StatusError
from plimsoll_serving.http.message import Request

Run = Callable[[Call, bytes], Request | None]


class Unary:
    """Waits for the one message and the end of the request, then runs.

    Args:
        run: answers the call; may raise StatusError. It returns the request that it asks, if it asks one: when the call
            is cancelled, so is the request, and work on it that has not begun is not done.
    """

    __slots__ = ("_call", "_message", "_request", "_run")

    streaming = False
    full = False

    def __init__(self, call: Call, run: Run) -> None:
        self._call = call
        self._run = run
        self._message: bytes | None = None
        self._request: Request | None = None

    @property
    def busy(self) -> bool:
        return True

    def received(self, message: bytes) -> None:
        if self._message is not None:
            raise StatusError(Code.INVALID_ARGUMENT, "the call has more than one message; this method takes one")
        self._message = message

    def finished(self) -> None:
        if self._message is None:
            raise StatusError(Code.INVALID_ARGUMENT, "the call has no message; this method takes one")
        message, self._message = self._message, b""
        self._request = self._run(self._call, message)

    def cancelled(self) -> None:
        if self._request is not None:
            self._request.cancelled = True

    def tick(self) -> None:
        pass
