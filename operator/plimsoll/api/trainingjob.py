"""TrainingJob: train this model on these data with this trainer; gates decide whether it becomes a version."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from plimsoll.api.common import (
    Conditions, EnvVar, Image, Name, Part, Resources, Sha256, Short, StatusPart, Text, Timestamp, Uri,
)  # fmt: skip

Classifier = Literal[
    "LogisticRegression", "RandomForestClassifier", "ExtraTreesClassifier", "GradientBoostingClassifier",
    "HistGradientBoostingClassifier", "SVC", "MLPClassifier", "KNeighborsClassifier", "DecisionTreeClassifier", "GaussianNB",
]  # fmt: skip
Regressor = Literal[
    "LinearRegression", "Ridge", "Lasso", "ElasticNet", "RandomForestRegressor", "ExtraTreesRegressor", "GradientBoostingRegressor",
    "HistGradientBoostingRegressor", "DecisionTreeRegressor", "KNeighborsRegressor", "MLPRegressor",
]  # fmt: skip
Metric = Literal[
    "accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "log_loss",
    "r2", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error",
]  # fmt: skip
Task = Literal["Classification", "Regression"]


class DataSource(Part):
    """Where rows are: CSV with a header row."""

    uri: Uri = Field(description="s3://bucket/key.csv, https://…/file.csv, or sklearn://digits for a set bundled with scikit-learn.")
    sha256: Sha256 | None = Field(default=None, description="Expected SHA-256 of the file; another file is refused.")


class Split(Part):
    """How evaluation rows are held out of the training data."""

    fraction: Annotated[float, Field(gt=0, le=0.9)] = Field(default=0.2, description="Share of the rows held out for evaluation.")
    by: Literal["Random", "Time", "Hash"] = Field(
        default="Random", description="Random rows, the latest rows by a column, or whole groups by the hash of a column."
    )
    column: Short | None = Field(default=None, description="Column for Time and Hash.")
    seed: Annotated[int, Field(ge=0, le=4294967295)] | None = Field(default=None, description="Seed of a random split; default: spec.seed.")


class Data(Part):
    """Training rows, and either evaluation rows or a split."""

    training: DataSource = Field(description="Rows to train on.")
    evaluation: DataSource | None = Field(default=None, description="Rows to evaluate on; the trainer never sees them.")
    split: Split | None = Field(default=None, description="Hold evaluation rows out of the training data instead.")


class Preprocessing(Part):
    """Steps before the estimator. They become part of the model's graph, so that clients send raw columns."""

    scaler: Literal["None", "Standard", "MinMax", "Robust"] = Field(default="None", description="Scaling of numeric columns.")
    impute: Literal["None", "Mean", "Median", "MostFrequent"] = Field(default="None", description="Filling of missing numbers.")
    categorical: Literal["OneHot", "Ordinal"] = Field(default="OneHot", description="Encoding of text columns.")


class SklearnTrainer(Part):
    """A scikit-learn estimator by name."""

    estimator: Classifier | Regressor = Field(description="Name of the estimator, from an allow-list.")
    parameters: Annotated[dict[Short, Any], Field(max_length=50)] = Field(
        default_factory=dict, description="Parameters of the estimator, as scikit-learn names them."
    )
    preprocessing: Preprocessing = Field(default_factory=Preprocessing, description="Steps before the estimator.")


class ContainerTrainer(Part):
    """A program of yours: reads /plimsoll/inputs/training.csv, writes /plimsoll/output/model.onnx."""

    image: Image = Field(description="Image of the trainer.")
    command: Annotated[tuple[Text, ...], Field(max_length=64)] = Field(default=(), description="Entrypoint; default: the image's.")
    args: Annotated[tuple[Text, ...], Field(max_length=64)] = Field(default=(), description="Arguments.")
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64)] = Field(default=(), description="Environment variables.")


class Trainer(Part):
    """Exactly one trainer."""

    sklearn: SklearnTrainer | None = Field(default=None, description="A scikit-learn estimator.")
    container: ContainerTrainer | None = Field(default=None, description="A container image of yours.")


class Slice(Part):
    """Rows whose column has this value."""

    column: Short = Field(description="Column of the evaluation data.")
    value: Short = Field(description="Value, as written in the file.")


class ComparedTo(Part):
    """The champion: what an InferenceService serves as stable."""

    inference_service: Name = Field(description="InferenceService of the same namespace.")


class Gate(Part):
    """A bound on a metric of the evaluation data. A model that misses any gate does not become a version."""

    metric: Metric = Field(description="Name of the metric.")
    min: float | None = Field(default=None, description="At least this.")
    max: float | None = Field(default=None, description="At most this.")
    slice: Slice | None = Field(default=None, description="Only on these rows.")
    compared_to: ComparedTo | None = Field(default=None, description="Not worse than the champion by more than the tolerance.")
    tolerance: Annotated[float, Field(ge=0)] | None = Field(default=None, description="How much worse than the champion is accepted; default 0.")


class TrainingJobSpec(Part):
    """What to train, on what, and what must hold of the result."""

    model: Name = Field(description="Name of the model; its versions are called {model}-v{n}.")
    task: Task = Field(default="Classification", description="What the model predicts.")
    data: Data = Field(description="Training and evaluation data.")
    target: Short = Field(default="target", description="Column to predict.")
    trainer: Trainer = Field(description="How to train: exactly one of sklearn and container.")
    gates: Annotated[tuple[Gate, ...], Field(max_length=20)] = Field(default=(), description="What must hold before this becomes a version.")
    seed: Annotated[int, Field(ge=0, le=4294967295)] = Field(default=0, description="Seed of everything random.")
    resources: Resources = Field(default_factory=Resources, description="Of the training container.")
    backoff_limit: Annotated[int, Field(ge=0, le=10)] = Field(default=2, description="How often a failed workload is repeated.")
    active_deadline_seconds: Annotated[int, Field(ge=1, le=604800)] = Field(default=3600, description="Longest time of each workload in seconds.")
    suspend: bool = Field(default=False, description="Hold the run: no workload runs while true.")
    approval: Literal["Automatic", "Manual"] = Field(default="Automatic", description="Whether a version that passed its gates waits for a person.")
    rerun_token: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="Change it to run again with the same inputs.")


class GateResult(StatusPart):
    """What was asked of a metric and what was measured."""

    metric: Annotated[str, Field(max_length=64)] = Field(description="Name of the metric.")
    requirement: Annotated[str, Field(max_length=256)] = Field(description="What was asked.")
    measured: float | None = Field(default=None, description="What was measured.")
    passed: bool = Field(description="Whether the gate passed.")
    message: Annotated[str, Field(max_length=512)] = Field(default="", description="Both in a sentence.")


class TrainingJobStatus(StatusPart):
    """Where the run is and what came of it."""

    observed_generation: int | None = Field(default=None, description="The generation acted on.")
    phase: Literal["Pending", "Suspended", "Training", "Publishing", "Succeeded", "GatesFailed", "Failed"] | None = Field(
        default=None, description="Where the run is."
    )
    run: Annotated[str, Field(max_length=16)] | None = Field(default=None, description="Hash of the run.")
    model_version: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="The ModelVersion that came of it.")
    digest: Sha256 | None = Field(default=None, description="SHA-256 of the model.")
    metrics: Annotated[dict[Short, float], Field(max_length=32)] = Field(default_factory=dict, description="Measured on the evaluation data.")
    summary: Annotated[str, Field(max_length=256)] | None = Field(default=None, description="What matters most, for the printer column.")
    gates: Annotated[tuple[GateResult, ...], Field(max_length=20)] = Field(default=(), description="Results of the gates.")
    started_at: Timestamp | None = Field(default=None, description="When the run began.")
    finished_at: Timestamp | None = Field(default=None, description="When the run ended.")
    conditions: Conditions = Field(default=(), description="Ready, Trained, GatesPassed, Published.")
