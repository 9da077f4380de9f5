"""TrainingJob: train this model on these data with this trainer; gates decide whether it becomes a version."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from plimsoll.api.cel import Rule, cel_list, phrase
from plimsoll.api.common import (
    Conditions,
    EnvVars,
    Image,
    ModelName,
    Part,
    Resources,
    Sha256,
    Short,
    StatusPart,
    Text,
    Timestamp,
    Token,
)
from plimsoll.api.gates import ClassificationMetric, Gate, RegressionMetric
from plimsoll.api.trainingdata import BUNDLED_URIS, Data

Classifier = Literal[
    "LogisticRegression", "RandomForestClassifier", "ExtraTreesClassifier", "GradientBoostingClassifier",
    "HistGradientBoostingClassifier", "SVC", "MLPClassifier", "KNeighborsClassifier", "DecisionTreeClassifier",
    "GaussianNB",
]  # fmt: skip
Regressor = Literal[
    "LinearRegression", "Ridge", "Lasso", "ElasticNet", "RandomForestRegressor", "ExtraTreesRegressor",
    "GradientBoostingRegressor",
    "HistGradientBoostingRegressor", "DecisionTreeRegressor", "KNeighborsRegressor", "MLPRegressor",
]  # fmt: skip
Task = Literal["Classification", "Regression"]


class Preprocessing(Part):
    """Steps before the estimator. They become part of the model's graph, so that clients send raw columns."""

    scaler: Literal["None", "Standard", "MinMax", "Robust"] = Field(
        default="None", description="Scaling of numeric columns."
    )
    impute: Literal["None", "Mean", "Median", "MostFrequent"] = Field(
        default="None", description="Filling of missing numbers."
    )
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
    command: Annotated[tuple[Text, ...], Field(max_length=64)] = Field(
        default=(), description="Entrypoint; default: the image's."
    )
    args: Annotated[tuple[Text, ...], Field(max_length=64)] = Field(default=(), description="Arguments.")
    env: EnvVars = Field(default=(), description="Environment variables.")


class Trainer(Part):
    """Exactly one trainer."""

    rules = (Rule("has(self.sklearn) != has(self.container)", "set exactly one of sklearn and container"),)
    sklearn: SklearnTrainer | None = Field(default=None, description="A scikit-learn estimator.")
    container: ContainerTrainer | None = Field(default=None, description="A container image of yours.")


def _suited(task: str, estimators: Any, metrics: Any) -> tuple[Rule, ...]:
    """What the task demands of estimator, gates and bundled data."""
    allowed = [*get_args(estimators)]
    names = [*get_args(metrics)]
    others = [uri for other, uris in BUNDLED_URIS.items() if other != task for uri in uris]
    return (
        Rule(
            f"self.task != '{task}' || !has(self.trainer.sklearn)"
            f" || self.trainer.sklearn.estimator in {cel_list(allowed)}",
            f"estimator does not fit task: {task}: choose one of {phrase(allowed, 'or')}, or change task",
            ".trainer.sklearn.estimator",
        ),
        Rule(
            f"self.task != '{task}' || !has(self.gates) || self.gates.all(gate, gate.metric in {cel_list(names)})",
            f"every metric must fit task: {task}: choose among {phrase(names)}, or change task",
            ".gates",
        ),
        Rule(
            f"self.task != '{task}' || !([self.data.training.uri]"
            " + (has(self.data.evaluation) ? [self.data.evaluation.uri] : []))"
            f".exists(uri, uri in {cel_list(others)})",
            f"task: {task} does not fit the data:"
            f" {phrase(others)} {'are' if len(others) > 1 else 'is'} for the other task",
            ".task",
        ),
    )


class TrainingJobSpec(Part):
    """What to train, on what, and what must hold of the result."""

    rules = (
        *_suited("Classification", Classifier, ClassificationMetric),
        *_suited("Regression", Regressor, RegressionMetric),
        Rule(
            "!self.data.training.uri.startsWith('sklearn://') || self.target == 'target'",
            'target must be "target" with sklearn:// data: their column is called so',
            ".target",
        ),
        Rule(
            "!has(self.data.split) || !has(self.data.split.column) || self.data.split.column != self.target",
            "column must not be the target: evaluation rows would be chosen by what is to be predicted",
            ".data.split.column",
        ),
        Rule(
            "self.model == oldSelf.model", "model cannot change: make another TrainingJob for another model", ".model"
        ),
    )
    model: ModelName = Field(description="Name of the model; its versions are called {model}-v{n}.")
    task: Task = Field(default="Classification", description="What the model predicts.")
    data: Data = Field(description="Training and evaluation data.")
    target: Short = Field(default="target", description="Column to predict.")
    trainer: Trainer = Field(description="How to train: exactly one of sklearn and container.")
    gates: Annotated[tuple[Gate, ...], Field(max_length=20)] = Field(
        default=(), description="What must hold before this becomes a version."
    )
    seed: Annotated[int, Field(ge=0, le=4294967295)] = Field(default=0, description="Seed of everything random.")
    resources: Resources = Field(default_factory=Resources, description="Of the training container.")
    backoff_limit: Annotated[int, Field(ge=0, le=10)] = Field(
        default=2, description="How often a failed workload is repeated."
    )
    active_deadline_seconds: Annotated[int, Field(ge=1, le=604800)] = Field(
        default=3600, description="Longest time of each workload in seconds."
    )
    suspend: bool = Field(default=False, description="Hold the run: no workload runs while true.")
    approval: Literal["Automatic", "Manual"] = Field(
        default="Automatic", description="Whether a version that passed its gates waits for a person."
    )
    rerun_token: Token | None = Field(default=None, description="Change it to run again with the same inputs.")


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
    phase: Literal["Pending", "Suspended", "Training", "Publishing", "Succeeded", "GatesFailed", "Failed"] | None = (
        Field(default=None, description="Where the run is.")
    )
    run: Annotated[str, Field(max_length=16)] | None = Field(default=None, description="Hash of the run.")
    model_version: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="The ModelVersion that came of it."
    )
    digest: Sha256 | None = Field(default=None, description="SHA-256 of the model.")
    metrics: Annotated[dict[Short, float], Field(max_length=32)] = Field(
        default_factory=dict, description="Measured on the evaluation data."
    )
    summary: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="What matters most, for the printer column."
    )
    gates: Annotated[tuple[GateResult, ...], Field(max_length=20)] = Field(
        default=(), description="Results of the gates."
    )
    started_at: Timestamp | None = Field(default=None, description="When the run began.")
    finished_at: Timestamp | None = Field(default=None, description="When the run ended.")
    conditions: Conditions = Field(default=(), description="Ready, Trained, GatesPassed, Published.")
