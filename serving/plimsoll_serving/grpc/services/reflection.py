"""``grpc.reflection.v1.ServerReflection`` and its v1alpha twin: what is served, told to grpcurl and its like."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from plimsoll_serving.grpc.call import Call
from plimsoll_serving.grpc.proto.messages import FILES, POOL, message, services
from plimsoll_serving.grpc.status import Code, StatusError

PACKAGES = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
_FILES = {file.name: file.serialized_pb for file in FILES}


def methods() -> dict[bytes, Callable[[Call], Any]]:
    """Makers of handlers, by path."""
    return {f"/{package}.ServerReflection/ServerReflectionInfo".encode(): _maker(package) for package in PACKAGES}


def _maker(package: str) -> Callable[[Call], "Reflection"]:
    return lambda call: Reflection(call, package)


class Reflection:
    """Answers each message at once."""

    streaming = True
    full = False
    busy = False

    def __init__(self, call: Call, package: str) -> None:
        self._call = call
        self._request = message(f"{package}.ServerReflectionRequest")
        self._response = message(f"{package}.ServerReflectionResponse")

    def received(self, body: bytes) -> None:
        try:
            asked = self._request.FromString(body)
        except DecodeError:
            raise StatusError(Code.INVALID_ARGUMENT, "the message is not a ServerReflectionRequest") from None
        answer = self._response(valid_host=asked.host, original_request=asked)
        self._fill(answer, asked)
        self._call.send(answer.SerializeToString())
        self._call.release()

    def _fill(self, answer: Any, asked: Any) -> None:
        kind = asked.WhichOneof("message_request")
        if kind == "list_services":
            for name in services():
                answer.list_services_response.service.add(name=name)
        elif kind == "file_by_filename":
            self._file(answer, asked.file_by_filename, asked.file_by_filename)
        elif kind == "file_containing_symbol":
            self._file(answer, _file_of(asked.file_containing_symbol), asked.file_containing_symbol)
        elif kind == "all_extension_numbers_of_type" and _is_message(asked.all_extension_numbers_of_type):
            answer.all_extension_numbers_response.base_type_name = asked.all_extension_numbers_of_type
        elif kind is None:
            self._refuse(answer, Code.INVALID_ARGUMENT, "the request asks nothing")
        else:
            self._refuse(answer, Code.NOT_FOUND, "no such extension or type")

    def _file(self, answer: Any, name: str | None, asked: str) -> None:
        if name is None or name not in _FILES:
            self._refuse(answer, Code.NOT_FOUND, f"{asked[:200]!r} is not known here")
        else:
            answer.file_descriptor_response.file_descriptor_proto.append(_FILES[name])

    @staticmethod
    def _refuse(answer: Any, code: Code, text: str) -> None:
        answer.error_response.error_code = int(code)
        answer.error_response.error_message = text

    def finished(self) -> None:
        self._call.finish()

    def cancelled(self) -> None:
        pass

    def tick(self) -> None:
        pass


def _file_of(symbol: str) -> str | None:
    try:
        return str(POOL.FindFileContainingSymbol(symbol).name)
    except KeyError:
        return None


def _is_message(name: str) -> bool:
    try:
        return POOL.FindMessageTypeByName(name) is not None
    except KeyError:
        return False
