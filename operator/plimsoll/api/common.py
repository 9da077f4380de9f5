"""What all kinds share: the base model, bounded field types, conditions, and how a CEL rule is attached to a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL validation as `x-kubernetes-validations` has it; `message` is the sentence the user reads."""

    rule: str
    message: str
    field_path: str | None = None


class Part(BaseModel):
    """A frozen piece of a spec or status. Field names are camelCase in manifests. `rules` become CEL in the CRD."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")
    rules: ClassVar[tuple[Rule, ...]] = ()

    def to_manifest(self) -> dict[str, Any]:
        """As the API server stores it: camelCase, without what is None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusPart(Part):
    """Status read back may have fields of a newer operator: they are ignored, not refused."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


Name = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
Uri = Annotated[str, Field(min_length=6, max_length=1024, pattern=r"^(s3|https|sklearn)://[^\s]+$")]
Sha256 = Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")]
Quantity = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
Text = Annotated[str, Field(max_length=1024)]
Short = Annotated[str, Field(min_length=1, max_length=253)]
Timestamp = Annotated[str, Field(max_length=40)]
#: A whole duration as Kubernetes users write it: `30s`, `5m`, `1h30m`.
Duration = Annotated[str, Field(min_length=2, max_length=20, pattern=r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$")]


def seconds(duration: str) -> int:
    """`1h30m` → 5400. The pattern of Duration is assumed."""
    total, digits = 0, ""
    for character in duration:
        if character.isdigit():
            digits += character
        else:
            total += int(digits) * {"h": 3600, "m": 60, "s": 1}[character]
            digits = ""
    return total


class EnvVar(Part):
    """One environment variable with a literal value."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(description="Name of the variable.")
    value: Annotated[str, Field(max_length=4096)] = Field(default="", description="Its value. Secrets do not belong here.")


class Resources(Part):
    """Requests and limits of the container that does the work."""

    cpu: Quantity = Field(default="500m", description="CPU request, for example 500m or 2.")
    memory: Quantity = Field(default="512Mi", description="Memory request and limit, for example 512Mi.")
    cpu_limit: Quantity | None = Field(default=None, description="CPU limit; default: twice the request.")


class Condition(StatusPart):
    """A condition as in the Kubernetes API conventions."""

    type: Annotated[str, Field(max_length=64)] = Field(description="Name of the condition, in positive polarity.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, Field(max_length=128)] = Field(description="One word in CamelCase.")
    message: Annotated[str, Field(max_length=2048)] = Field(default="", description="A sentence with numbers and, where due, the remedy.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: int | None = Field(default=None, description="The generation it speaks of.")


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16)]


class Tensor(Part):
    """Name, type and shape of a model's input or output in Open Inference Protocol terms."""

    name: Short = Field(description="Name of the tensor.")
    datatype: Literal[
        "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES", "BF16"
    ] = Field(description="Open Inference Protocol datatype.")
    shape: Annotated[tuple[int, ...], Field(max_length=8)] = Field(description="Dimensions; -1 is any size.")


class Signature(Part):
    """Inputs (raw columns: preprocessing is inside the graph) and outputs of a model."""

    inputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=256)] = Field(description="Input tensors.")
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=64)] = Field(description="Output tensors.")


class Location(Part):
    """A file in the store and its digest."""

    uri: Uri = Field(description="Where it is: s3://bucket/key.")
    sha256: Sha256 = Field(description="SHA-256 of its bytes, in lower-case hex.")
