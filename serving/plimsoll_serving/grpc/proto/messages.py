"""The messages and services of the .proto files beside this module.

They live in a descriptor pool of their own: a process that also imports another package's ``inference`` messages (a
client library, say) can do so.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory

_COMPILED = Path(__file__).with_name("descriptors.binpb")


def _files(data: bytes) -> Iterator[bytes]:
    """Each FileDescriptorProto of a FileDescriptorSet, which has no other field: a tag, a varint of the size, a file.

    The library's own classes for descriptors would read it too: 0.6 MB, and 20 ms of every start.
    """
    at = 0
    while at < len(data):
        at += 1
        size = shift = 0
        while data[at] >= 0x80:
            size |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
        size |= data[at] << shift
        at += 1
        yield data[at : at + size]
        at += size


POOL = descriptor_pool.DescriptorPool()
FILES = [POOL.AddSerializedFile(file) for file in _files(_COMPILED.read_bytes())]


def message(name: str) -> Any:
    """The class of a message, by its full name. Raises KeyError for one that no file defines."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def services() -> list[str]:
    """Full names of every service."""
    return [service.full_name for file in FILES for service in file.services_by_name.values()]
