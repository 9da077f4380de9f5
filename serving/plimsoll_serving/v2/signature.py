"""What a model takes and answers."""

from dataclasses import dataclass

from plimsoll_serving.v2.datatypes import Datatype


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output. ``shape`` has -1 where the size is free; ``symbols`` has the names of such sizes."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    symbols: tuple[str | None, ...]

    @property
    def one_value(self) -> bool:
        """Whether a row is one value: shape ``[rows]`` or ``[rows, 1]``."""
        return len(self.shape) == 1 or (len(self.shape) == 2 and self.shape[1] == 1)

    def describe(self) -> dict[str, object]:
        """The tensor's metadata as the protocol writes it."""
        return {"name": self.name, "datatype": self.datatype.name, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a model, by name and in order."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
