"""The files of a released model and their digests."""

import hashlib
from pathlib import Path

from plimsoll_serving.errors import ArtifactError

MODEL_FILE = "model.onnx"
PROFILE_FILE = "profile.json"


def read_verified(path: Path, sha256: str) -> bytes:
    """The bytes of a file whose SHA-256 is the expected one. Raises ArtifactError otherwise."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist; has the init container `fetch` run?") from None
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise ArtifactError(f"{path} has SHA-256 {actual}, expected {sha256}: it is not the artifact that was released")
    return data


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
