"""What all kinds share: the base model, bounded field types, conditions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from plimsoll.api.cel import NAME_PATTERN, Rule, amount, cel_quantity, checked, matching


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


_NAME_MESSAGE = "must consist of a-z, 0-9 and -, begin with a letter and end with a letter or digit"
Name = Annotated[str, Field(max_length=40, json_schema_extra=matching(NAME_PATTERN, _NAME_MESSAGE))]
#: Short enough for `{model}-v{n}` to be a Name with an n of eight digits.
ModelName = Annotated[str, Field(max_length=30, json_schema_extra=matching(NAME_PATTERN, _NAME_MESSAGE))]
Sha256 = Annotated[
    str,
    Field(
        max_length=64,
        json_schema_extra=matching(r"^[0-9a-f]{64}$", "must be a SHA-256 in lower-case hex: 64 digits of 0-9 and a-f"),
    ),
]
Image = Annotated[
    str,
    Field(
        min_length=1,
        max_length=512,
        json_schema_extra=matching(
            r"^[a-z0-9][^\s]*$", "must be an image reference such as registry.example/team/trainer:1.2"
        ),
    ),
]
_S3_FILE = Rule(
    r"self.matches(r'^s3://[a-z0-9][-.a-z0-9]*[a-z0-9]/[^\s]+$')", "must be a file in an S3 bucket: s3://bucket/key"
)
S3Uri = Annotated[str, Field(min_length=1, max_length=1024, json_schema_extra=checked(_S3_FILE))]
Text = Annotated[str, Field(max_length=1024)]
Short = Annotated[str, Field(min_length=1, max_length=253)]
Token = Annotated[str, Field(min_length=1, max_length=64)]
Timestamp = Annotated[str, Field(max_length=40)]

#: A whole duration as Kubernetes users write it: `30s`, `5m`, `1h30m`.
Duration = Annotated[str, Field(max_length=20)]


def seconds(duration: str) -> float:
    """`1h30m` → 5400, `250ms` → 0.25. The form is assumed: the API server has checked it."""
    if duration.endswith("ms"):
        return int(duration[:-2]) / 1000
    total, digits = 0, ""
    for character in duration:
        if character.isdigit():
            digits += character
        else:
            total += int(digits) * {"h": 3600, "m": 60, "s": 1}[character]
            digits = ""
    return total


def _number_as_text(value: Any) -> Any:
    """YAML's `2` and `\"2\"` alike."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


#: A string that users may write as a bare number.
Bare = Annotated[
    str, BeforeValidator(_number_as_text), Field(max_length=24, json_schema_extra={"x-kubernetes-int-or-string": True})
]
Cpu = Annotated[
    Bare, Field(json_schema_extra=amount("10m", "256", "must be a CPU quantity from 10m to 256, such as 500m or 2"))
]
Memory = Annotated[
    Bare,
    Field(
        json_schema_extra=amount(
            "32Mi", "4Ti", "must be a memory quantity from 32Mi to 4Ti with its unit, such as 512Mi or 2Gi"
        )
    ),
]


_ENV_NAME = matching("^[A-Za-z_][A-Za-z0-9_]*$", "must consist of letters, digits and _, and not begin with a digit")


class EnvVar(Part):
    """One environment variable with a literal value."""

    rules = (
        Rule(
            "!self.name.startsWith('PLIMSOLL_') && !self.name.startsWith('AWS_')",
            "name must not begin with PLIMSOLL_ or AWS_: these are the operator's; choose another name",
            ".name",
        ),
    )
    name: Annotated[str, Field(max_length=128, json_schema_extra=_ENV_NAME)] = Field(
        description="Name of the variable."
    )
    value: Annotated[str, Field(max_length=4096)] = Field(
        default="", description="Its value. Secrets do not belong here."
    )


#: Merged by name; the API server refuses a name that occurs twice.
EnvVars = Annotated[
    tuple[EnvVar, ...], Field(max_length=64, json_schema_extra=checked(list_type="map", list_map_keys=["name"]))
]


class Resources(Part):
    """Requests and limits of the container that does the work."""

    rules = (
        Rule(
            f"!has(self.cpuLimit) || {cel_quantity('self.cpuLimit')}.compareTo({cel_quantity('self.cpu')}) >= 0",
            "cpuLimit must not be below cpu: raise it, or leave it out for twice the request",
            ".cpuLimit",
        ),
    )
    cpu: Cpu = Field(default="500m", description="CPU request, for example 500m or 2.")
    memory: Memory = Field(default="512Mi", description="Memory request and limit, for example 512Mi.")
    cpu_limit: Cpu | None = Field(default=None, description="CPU limit; default: twice the request.")


class Condition(StatusPart):
    """A condition as in the Kubernetes API conventions."""

    type: Annotated[str, Field(max_length=64)] = Field(description="Name of the condition, in positive polarity.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, Field(max_length=128)] = Field(description="One word in CamelCase.")
    message: Annotated[str, Field(max_length=2048)] = Field(
        default="", description="A sentence with numbers and, where due, the remedy."
    )
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: int | None = Field(default=None, description="The generation it speaks of.")


Conditions = Annotated[
    tuple[Condition, ...], Field(max_length=16, json_schema_extra=checked(list_type="map", list_map_keys=["type"]))
]


class Tensor(Part):
    """Name, type and shape of a model's input or output in Open Inference Protocol terms."""

    name: Short = Field(description="Name of the tensor.")
    datatype: Literal[
        "BOOL",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "FP16",
        "FP32",
        "FP64",
        "BYTES",
        "BF16",
    ] = Field(description="Open Inference Protocol datatype.")
    shape: Annotated[
        tuple[int, ...],
        Field(
            max_length=8,
            json_schema_extra=checked(
                Rule("self.all(d, d == -1 || d > 0)", "must hold sizes from 1, or -1 for any size")
            ),
        ),
    ] = Field(description="Dimensions; -1 is any size.")


_BY_NAME = checked(list_type="map", list_map_keys=["name"])


class Signature(Part):
    """Inputs (raw columns: preprocessing is inside the graph) and outputs of a model."""

    inputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=256, json_schema_extra=_BY_NAME)] = Field(
        description="Input tensors."
    )
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=64, json_schema_extra=_BY_NAME)] = Field(
        description="Output tensors."
    )


class Location(Part):
    """A file in the store and its digest."""

    uri: S3Uri = Field(description="Where it is: s3://bucket/key.")
    sha256: Sha256 = Field(description="SHA-256 of its bytes, in lower-case hex.")
