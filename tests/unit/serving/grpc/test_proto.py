"""What protoc makes of the .proto files is what is committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2
from plimsoll_serving.grpc.proto import messages
from plimsoll_serving.grpc.proto.messages import FILES, services

FOLDER = Path(messages.__file__).parent


def test_the_compiled_descriptors_are_those_of_the_files(tmp_path: Path) -> None:
    compiled = tmp_path / "descriptors.binpb"
    files = sorted(path.name for path in FOLDER.glob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(FOLDER), f"--descriptor_set_out={compiled}"]
    subprocess.run([*command, *files], check=True)
    assert compiled.read_bytes() == (FOLDER / "descriptors.binpb").read_bytes(), "run `make generate`"


def test_every_file_of_the_set_is_known_as_it_is() -> None:
    written = descriptor_pb2.FileDescriptorSet.FromString((FOLDER / "descriptors.binpb").read_bytes())
    assert {file.name: file.serialized_pb for file in FILES} == {
        file.name: file.SerializeToString() for file in written.file
    }
    assert services() == [f"{file.package}.{service.name}" for file in written.file for service in file.service]
