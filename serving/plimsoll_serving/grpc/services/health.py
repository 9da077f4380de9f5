"""``grpc.health.v1.Health`` (grpc's doc/health-checking.md)."""

from collections.abc import Callable, Collection
from typing import Any

from google.protobuf.message import DecodeError

from plimsoll_serving.grpc.call import Call
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.grpc.services.unary import Unary
from plimsoll_serving.grpc.status import Code, StatusError
from plimsoll_serving.readiness import Readiness

SERVICE = "grpc.health.v1.Health"
_Request = message(f"{SERVICE.rpartition('.')[0]}.HealthCheckRequest")
_Response = message(f"{SERVICE.rpartition('.')[0]}.HealthCheckResponse")


class HealthService:
    """Tells whether the server takes requests: for itself (an empty name) and for each of its services."""

    def __init__(self, readiness: Readiness, services: Collection[str]) -> None:
        self._readiness = readiness
        self._services = {"", *services}

    def methods(self) -> dict[bytes, Callable[[Call], Any]]:
        """Makers of handlers, by path."""
        return {
            f"/{SERVICE}/Check".encode(): lambda call: Unary(call, self._check),
            f"/{SERVICE}/Watch".encode(): lambda call: Watch(call, self),
        }

    def _check(self, call: Call, body: bytes) -> None:
        service = asked_service(body)
        if service not in self._services:
            raise StatusError(Code.NOT_FOUND, f"service {service[:100]!r} is not served here")
        call.answer(self.answer(service), [])

    def answer(self, service: str) -> bytes:
        """The status of a service as a message."""
        if service not in self._services:
            status = _Response.SERVICE_UNKNOWN
        else:
            status = _Response.SERVING if self._readiness.ready else _Response.NOT_SERVING
        encoded: bytes = _Response(status=status).SerializeToString()
        return encoded


class Watch:
    """Sends the status, and again at each change."""

    streaming = True
    full = False
    busy = False

    def __init__(self, call: Call, health: HealthService) -> None:
        self._call = call
        self._health = health
        self._service: str | None = None
        self._told = b""

    def received(self, message: bytes) -> None:
        if self._service is not None:
            raise StatusError(Code.INVALID_ARGUMENT, "the call has more than one message; this method takes one")
        self._service = asked_service(message)
        self.tick()
        self._call.release()

    def finished(self) -> None:
        if self._service is None:
            raise StatusError(Code.INVALID_ARGUMENT, "the call has no message; this method takes one")

    def cancelled(self) -> None:
        pass

    def tick(self) -> None:
        if self._service is not None:
            answer = self._health.answer(self._service)
            if answer != self._told:
                self._told = answer
                self._call.send(answer)


def asked_service(body: bytes) -> str:
    """The service that a HealthCheckRequest names. Raises StatusError."""
    try:
        return str(_Request.FromString(body).service)
    except DecodeError:
        raise StatusError(Code.INVALID_ARGUMENT, "the message is not a HealthCheckRequest") from None
