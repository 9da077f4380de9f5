"""ModelVersion: one immutable, content-addressed, signed artifact with signature, metrics and lineage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from plimsoll.api.cel import Rule, immutable
from plimsoll.api.common import (
    Conditions,
    Location,
    ModelName,
    Part,
    Sha256,
    Short,
    Signature,
    StatusPart,
    Text,
    Timestamp,
)


class Artifact(Location):
    """The model file."""

    rules = (Rule("self.uri.endsWith('.onnx')", "uri must name an ONNX file: s3://bucket/key.onnx", ".uri"),)
    size_bytes: Annotated[int, Field(ge=1, le=1099511627776)] = Field(description="Size in bytes.")
    format: Literal["onnx"] = Field(default="onnx", description="File format.")


class DatasetRef(Part):
    """A data set that the model was trained or evaluated on."""

    name: Annotated[str, Field(max_length=1024)] = Field(description="Name or URI.")
    version: Annotated[str, Field(max_length=128)] = Field(description="Version or digest.")


class Lineage(Part):
    """Where the model comes from."""

    training_job: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Name of the TrainingJob."
    )
    run: Annotated[str, Field(max_length=16)] | None = Field(default=None, description="Hash of the run.")
    datasets: Annotated[tuple[DatasetRef, ...], Field(max_length=16)] = Field(
        default=(), description="Data sets with their versions."
    )
    parameters: Annotated[dict[Short, Any], Field(max_length=64)] = Field(
        default_factory=dict, description="Parameters of the trainer."
    )
    seed: int | None = Field(default=None, description="Seed of everything random.")
    image: Annotated[str, Field(max_length=512)] | None = Field(default=None, description="Image of the trainer.")
    git_commit: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Commit of the training code."
    )


class Provenance(Part):
    """Who vouches for the digest."""

    signed_by: Annotated[str, Field(max_length=128)] = Field(description="Name of the key, for example ed25519:1f2e….")
    signature: Annotated[str, Field(max_length=256)] = Field(description="Base64 of the Ed25519 signature.")


class Approval(Part):
    """A person's decision; the only mutable part of the spec."""

    decision: Literal["Approved", "Rejected"] = Field(description="Whether the version may be served.")
    by: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="Your own user name, as the cluster knows you."
    )
    reason: Text = Field(default="", description="Why.")


class ModelVersionSpec(Part):
    """Everything but the approval is immutable."""

    model: ModelName = Field(description="Name of the model; this object is called {model}-v{n}.")
    artifact: Artifact = Field(description="The model file in the store.")
    signature: Signature | None = Field(default=None, description="Inputs and outputs; checked against the file.")
    metrics: Annotated[dict[Short, float], Field(max_length=32)] = Field(
        default_factory=dict, description="Metrics on the evaluation data."
    )
    profile: Location | None = Field(default=None, description="Reference bins of features and predictions.")
    lineage: Lineage | None = Field(default=None, description="Where the model comes from.")
    provenance: Provenance | None = Field(default=None, description="Signature of the operator that published it.")
    approval: Approval | None = Field(
        default=None, description="Needed before the version is served, unless it was approved automatically."
    )
    require_approval: bool = Field(default=False, description="Wait for an approval before serving this version.")


ModelVersionSpec.rules = immutable(ModelVersionSpec, "ModelVersion", mutable=("approval",))


class ModelVersionStatus(StatusPart):
    """Whether it may be served and who serves it."""

    observed_generation: int | None = Field(default=None, description="The generation acted on.")
    phase: Literal["Verifying", "PendingApproval", "Ready", "Rejected", "Invalid"] | None = Field(
        default=None, description="Where it is."
    )
    verified_digest: Sha256 | None = Field(default=None, description="The digest that was verified.")
    signature: Signature | None = Field(default=None, description="Inputs and outputs as found in the file.")
    summary: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="What matters most, for the printer column."
    )
    in_use_by: Annotated[tuple[Short, ...], Field(max_length=64)] = Field(
        default=(), description="InferenceServices that serve it."
    )
    verified_at: Timestamp | None = Field(default=None, description="When it was verified.")
    conditions: Conditions = Field(default=(), description="Ready, Verified, Approved.")
