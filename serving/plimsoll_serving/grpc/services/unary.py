"""Methods of one message and one answer."""

from collections.abc import Callable

from plimsoll_serving.grpc.call import Call
from plimsoll_serving.grpc.status import Code, StatusError


class Unary:
    """Waits for the one message and the end of the request, then runs.

    Args:
        run: answers the call; may raise StatusError. It returns what to do when the call is cancelled, if anything.
    """

    __slots__ = ("_call", "_cancel", "_message", "_run")

    streaming = False
    full = False

    def __init__(self, call: Call, run: Callable[[Call, bytes], Callable[[], None] | None]) -> None:
        self._call = call
        self._run = run
        self._message: bytes | None = None
        self._cancel: Callable[[], None] | None = None

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
        self._cancel = self._run(self._call, message)

    def cancelled(self) -> None:
        if self._cancel is not None:
            self._cancel()

    def tick(self) -> None:
        pass
