"""The messages and services of the .proto files beside this module.

They live in a descriptor pool of their own: a process that also imports another package's ``inference`` messages (a
client library, say) can do so.
"""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_COMPILED = Path(__file__).with_name("descriptors.binpb")

FILES = descriptor_pb2.FileDescriptorSet.FromString(_COMPILED.read_bytes())
POOL = descriptor_pool.DescriptorPool()
for _file in FILES.file:
    POOL.Add(_file)


def message(name: str) -> Any:
    """The class of a message, by its full name. Raises KeyError for one that no file defines."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def services() -> list[str]:
    """Full names of every service."""
    return [f"{file.package}.{service.name}" for file in FILES.file for service in file.service]
