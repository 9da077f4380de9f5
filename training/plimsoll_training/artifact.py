"""A model's bytes from a store: never more than the limit, known by their digest."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from plimsoll_training.errors import ModelRejectedError, StoreError
from plimsoll_training.inference import LoadedModel
from plimsoll_training.run import ArtifactReference
from plimsoll_training.transfer import chunks_of
from plimsoll_training.zipmap import without_zipmap


@dataclass(frozen=True)
class ModelBytes:
    content: bytes
    sha256: str


def read_model(chunks: Iterator[bytes], limit: int) -> ModelBytes:
    """Everything from `chunks`. ModelRejectedError as soon as it is more than `limit` bytes."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise ModelRejectedError(f"the model has more than {limit} bytes (limits.modelBytes)")
    return ModelBytes(bytes(content), hashlib.sha256(content).hexdigest())


def load_champion(reference: ArtifactReference, limit: int) -> LoadedModel:
    """A model that serves already. StoreError when its bytes are not those of its digest."""
    model = read_model(chunks_of(reference.uri), limit)
    if model.sha256 != reference.sha256:
        raise StoreError(f"{reference.uri} has digest {model.sha256}, not {reference.sha256}: the store is damaged")
    return LoadedModel(without_zipmap(model.content) or model.content)
