"""What the publish and verify programs report, read strictly: they have handled the user's model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from plimsoll.api.common import Location, Short, Signature
from plimsoll.api.modelversion import Artifact
from plimsoll.api.trainingjob import GateResult
from plimsoll.core.conditions import shortened
from plimsoll.core.run import canonical, digest

MESSAGE_LIMIT = 512
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Uri = Annotated[str, Field(pattern=r"^s3://[^\s/]+/[^\s]+$", max_length=1024)]
Outcome = Literal["Passed", "GatesFailed", "Rejected"]


class _Wire(BaseModel):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore", allow_inf_nan=False
    )


class Message(_Wire):
    """The termination message of `publish` and `verify`: verdict, the model's SHA-256, the SHA-256 of result.json."""

    model_config = ConfigDict(extra="forbid")
    verdict: Outcome
    digest: Sha256 | None = None
    result: Sha256


class RunIdentity(_Wire):
    """Which run the result is of."""

    hash: Annotated[str, Field(min_length=16, max_length=16, pattern=r"^[0-9a-f]{16}$")]


class FoundFile(_Wire):
    """A file that the program placed in the store; a rejected model is placed nowhere."""

    uri: Uri | None = None
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=1)] | None = None

    def location(self) -> Location:
        assert self.uri is not None
        return Location(uri=self.uri, sha256=self.sha256)

    def artifact(self) -> Artifact:
        assert self.uri is not None and self.size_bytes is not None
        return Artifact(uri=self.uri, sha256=self.sha256, size_bytes=self.size_bytes)


class GateEntry(_Wire):
    """What was asked of a metric and what was measured."""

    metric: Annotated[str, Field(max_length=64)]
    requirement: str
    measured: float | None = None
    passed: bool
    message: str = ""

    def shown(self) -> GateResult:
        return GateResult(
            metric=self.metric,
            requirement=shortened(self.requirement, 256),
            measured=self.measured,
            passed=self.passed,
            message=shortened(self.message, 512),
        )


class DatasetResult(_Wire):
    """A data set as it was read."""

    name: Annotated[str, Field(max_length=1024)]
    version: Annotated[str, Field(max_length=128)]
    rows: int | None = None


class Result(_Wire):
    """`result.json`."""

    format_version: Literal[1]
    run: RunIdentity
    verdict: Outcome
    reason: Annotated[str, Field(max_length=2048)] | None = None
    artifact: FoundFile | None = None
    signature: Signature | None = None
    metrics: Annotated[dict[Short, float], Field(max_length=32)] = Field(default_factory=dict)
    gates: Annotated[tuple[GateEntry, ...], Field(max_length=20)] = ()
    profile: FoundFile | None = None
    datasets: Annotated[tuple[DatasetResult, ...], Field(max_length=16)] = ()


class Accepted(_Wire):
    """`accepted.json`: the operator's own note that it accepted a result, signed, so that a later run may adopt it."""

    format_version: Literal[1] = 1
    result: Sha256
    provenance: dict[str, str]

    def body(self) -> bytes:
        return canonical(self.model_dump(mode="json", by_alias=True))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a report is not believed."""

    reason: str
    message: str


def parse_message(text: str) -> Message | None:
    """The termination message, or None when it is not one."""
    if len(text.encode()) > MESSAGE_LIMIT:
        return None
    try:
        return Message.model_validate_json(text)
    except ValidationError:
        return None


def parse_accepted(body: bytes | None) -> Accepted | None:
    """The operator's note; None when there is none that can be read. The caller checks the signature."""
    if body is None:
        return None
    try:
        return Accepted.model_validate_json(body)
    except ValidationError:
        return None


def accept(body: bytes | None, expected: Message | str, *, run: str, key: str) -> Result | Refusal:
    """`result.json` when it is the very one that the message, or its SHA-256, vouches for, and of this run."""
    wanted = expected if isinstance(expected, str) else expected.result
    if body is None:
        return _mismatch(f"{key} is not in the store, though its SHA-256 {wanted[:12]}… was reported")
    if digest(body) != wanted:
        return _mismatch(f"{key} has the SHA-256 {digest(body)[:12]}…, but {wanted[:12]}… was reported")
    try:
        result = Result.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        return _mismatch(f"{key} cannot be read: {field}: {first['msg']}")
    return _agrees(result, expected, run, key)


def _agrees(result: Result, expected: Message | str, run: str, key: str) -> Result | Refusal:
    if result.run.hash != run:
        return _mismatch(f"{key} is of run {result.run.hash}, not of {run}")
    if isinstance(expected, Message):
        found = result.artifact.sha256 if result.artifact else expected.digest
        if (result.verdict, found) != (expected.verdict, expected.digest):
            return _mismatch(f"{key} says {result.verdict}, but {expected.verdict} was reported, or of another model")
    whole = result.artifact and result.artifact.uri and result.artifact.size_bytes and result.signature
    if result.verdict == "Passed" and not whole:
        return _mismatch(f"{key} says Passed, but names no model or no signature")
    if result.verdict == "Passed" and not all(gate.passed for gate in result.gates):
        return _mismatch(f"{key} says Passed, but not every gate passed")
    return result


def _mismatch(what: str) -> Refusal:
    return Refusal("ResultMismatch", f"{what}.")
