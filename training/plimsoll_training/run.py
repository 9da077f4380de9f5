"""`run.json`: what the operator asks of a run. Frozen models; a fault is reported by the name of its field."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from plimsoll_training.errors import UserError
from plimsoll_training.metric_names import METRICS_OF, Task

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class Identity(BaseModel):
    """Whose run it is. Only echoed into `result.json`, hence open to further fields."""

    model_config = ConfigDict(frozen=True, extra="allow")
    hash: str = Field(min_length=8, max_length=64, pattern=r"^[0-9a-f]+$")
    namespace: str


class DataReference(Document):
    uri: str
    sha256: Sha256 | None = None


class Split(Document):
    fraction: float = Field(gt=0, lt=1)
    by: Literal["Random", "Time", "Hash"] = "Random"
    column: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _column_is_named(self) -> Self:
        if self.by != "Random" and not self.column:
            raise ValueError(f"column is required when by is {self.by}")
        return self


class Data(Document):
    training: DataReference
    evaluation: DataReference | None = None
    split: Split | None = None

    @model_validator(mode="after")
    def _evaluation_or_split(self) -> Self:
        if (self.evaluation is None) == (self.split is None):
            raise ValueError("set exactly one of evaluation and split")
        return self


class Preprocessing(Document):
    scaler: Literal["None", "Standard", "MinMax", "Robust"] = "None"
    impute: Literal["None", "Mean", "Median", "MostFrequent"] = "None"
    categorical: Literal["OneHot", "Ordinal"] = "OneHot"


class SklearnTrainer(Document):
    estimator: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    preprocessing: Preprocessing = Preprocessing()


class Trainer(Document):
    sklearn: SklearnTrainer | None = None
    container: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_trainer(self) -> Self:
        if (self.sklearn is None) == (self.container is None):
            raise ValueError("set exactly one of sklearn and container")
        return self


class Slice(Document):
    column: str
    value: str


class Gate(Document):
    metric: str
    min: float | None = None
    max: float | None = None
    slice: Slice | None = None
    compared_to: str | None = None
    tolerance: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.min is None and self.max is None and self.compared_to is None:
            raise ValueError("set at least one of min, max and comparedTo")
        return self


class ArtifactReference(Document):
    uri: str
    sha256: Sha256


class Artifact(ArtifactReference):
    size_bytes: int = Field(ge=1)
    format: Literal["onnx"] = "onnx"


class Tensor(Document):
    name: str
    datatype: str
    shape: tuple[int, ...]


class Signature(Document):
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class Limits(Document):
    model_bytes: int = Field(default=2**31, gt=0)


class TrainingRun(Document):
    """What `fetch`, `train`, `upload` and `publish` read."""

    format_version: Literal[1]
    run: Identity
    model: str
    task: Task
    data: Data
    target: str
    trainer: Trainer
    seed: int = Field(default=0, ge=0, lt=2**32)
    gates: tuple[Gate, ...] = ()
    champions: dict[str, ArtifactReference | None] = Field(default_factory=dict)
    limits: Limits = Limits()
    images: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _metrics_fit_the_task(self) -> Self:
        known = METRICS_OF[self.task]
        for index, gate in enumerate(self.gates):
            if gate.metric not in known:
                raise ValueError(
                    f"gates.{index}.metric: {gate.metric} is no metric of {self.task}; choose {', '.join(known)}"
                )
        return self


class VerificationRun(Document):
    """What `verify` reads."""

    format_version: Literal[1]
    run: Identity
    model: str
    artifact: Artifact
    signature: Signature | None = None
    result_key: str
    task: Task | None = None
    target: str | None = None
    limits: Limits = Limits()
    images: dict[str, str] = Field(default_factory=dict)


RunDocument = TypeVar("RunDocument", TrainingRun, VerificationRun)


def read_run(path: Path, kind: type[RunDocument]) -> RunDocument:
    """The run at `path`. UserError names each faulty field."""
    try:
        return kind.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"there is no run document at {path}: set PLIMSOLL_RUN or PLIMSOLL_INPUTS") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    except ValidationError as error:
        raise UserError("; ".join(_sentence(fault) for fault in error.errors())) from None


def _sentence(fault: Any) -> str:
    field = ".".join(str(part) for part in fault["loc"]) or "run.json"
    return f"{field}: {str(fault['msg']).removeprefix('Value error, ')}"
