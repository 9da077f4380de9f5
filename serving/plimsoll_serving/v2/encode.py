"""An inference answer: named arrays to bytes."""

from typing import Any

import msgspec
from numpy.typing import NDArray

from plimsoll_serving.v2.signature import Tensor
from plimsoll_serving.v2.values import from_array


def encode(model: str, version: str, identifier: str | None, outputs: list[tuple[Tensor, NDArray[Any]]]) -> bytes:
    """The V2 answer as JSON; data are flat, in row-major order."""
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if identifier is not None:
        answer["id"] = identifier
    answer["outputs"] = [
        {"name": tensor.name, "datatype": tensor.datatype.name, "shape": list(array.shape), "data": from_array(array)}
        for tensor, array in outputs
    ]
    return msgspec.json.encode(answer)
