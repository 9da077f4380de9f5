"""TrainingJob: train this model on these data with this trainer; gates decide whether it becomes a version."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field

from plimsoll.api.cel import CREDENTIALS, Rule, cel_list, checked, phrase
from plimsoll.api.common import (
    Conditions,
    EnvVars,
    Image,
    ModelName,
    Name,
    Part,
    Resources,
    Sha256,
    Short,
    StatusPart,
    Text,
    Timestamp,
    Token,
)

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
ClassificationMetric = Literal[
    "accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "log_loss"
]
RegressionMetric = Literal["r2", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error"]
Metric = ClassificationMetric | RegressionMetric
#: Metrics that cannot leave 0..1, and errors, which cannot be negative.
SHARES: Final = ("accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro")
ERRORS: Final = ("log_loss", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error")
#: Sets bundled with scikit-learn by the task that they are for. Their target column is `target`.
BUNDLED: Final = {"Classification": ("digits", "iris", "wine", "breast_cancer"), "Regression": ("diabetes",)}
_BUNDLED_URIS: Final = {task: [f"sklearn://{name}" for name in names] for task, names in BUNDLED.items()}
Task = Literal["Classification", "Regression"]


_EVERY_SET = [uri for uris in _BUNDLED_URIS.values() for uri in uris]
_URI_PATTERN = r"^(s3://[a-z0-9][-.a-z0-9]*[a-z0-9]/[^\s]+|https://[^/\s]+/[^\s]+|sklearn://[^\s]*)$"
_CSV_PATTERN = r"^[^?#]+\.csv(\.gz)?([?#].*)?$"
DataUri = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        json_schema_extra=checked(
            Rule(f"self.matches(r'{_URI_PATTERN}')", "must be s3://bucket/key, https://host/path or sklearn://name"),
            Rule(
                f"!self.matches(r'{_URI_PATTERN}') || (self.startsWith('sklearn://') ? self in {cel_list(_EVERY_SET)}"
                f" : self.matches(r'{_CSV_PATTERN}'))",
                f"must name a CSV file (.csv or .csv.gz) or one of {phrase(_EVERY_SET)}",
            ),
            CREDENTIALS,
        ),
    ),
]


class DataSource(Part):
    """Where rows are: CSV with a header row."""

    rules = (
        Rule(
            "!(self.uri.startsWith('sklearn://') && has(self.sha256))",
            "sha256 does not apply to sklearn:// sets, which come with the training image: remove it",
            ".sha256",
        ),
    )
    uri: DataUri = Field(
        description="s3://bucket/key.csv, https://…/file.csv, or sklearn://digits for a set bundled with scikit-learn."
    )
    sha256: Sha256 | None = Field(default=None, description="Expected SHA-256 of the file; another file is refused.")


class Split(Part):
    """How evaluation rows are held out of the training data."""

    rules = (
        Rule(
            "self.by == 'Random' || has(self.column)",
            "column is needed with by: Time and by: Hash: name the column",
            ".column",
        ),
        Rule(
            "self.by != 'Random' || !has(self.column)",
            "column does not apply to by: Random: remove it, or set by to Time or Hash",
            ".column",
        ),
        Rule("self.by != 'Time' || !has(self.seed)", "seed does not apply to by: Time: remove it", ".seed"),
    )
    fraction: Annotated[float, Field(gt=0, le=0.9)] = Field(
        default=0.2, description="Share of the rows held out for evaluation."
    )
    by: Literal["Random", "Time", "Hash"] = Field(
        default="Random",
        description="Random rows, the latest rows by a column, or whole groups by the hash of a column.",
    )
    column: Short | None = Field(default=None, description="Column for Time and Hash.")
    seed: Annotated[int, Field(ge=0, le=4294967295)] | None = Field(
        default=None, description="Seed of a split by Random or Hash; default: spec.seed."
    )


class Data(Part):
    """Training rows, and either evaluation rows or a split."""

    rules = (
        Rule(
            "has(self.evaluation) != has(self.split)",
            "set exactly one of evaluation (rows of their own) and split (rows held out of training)",
        ),
        Rule(
            "!has(self.evaluation) || self.evaluation.uri != self.training.uri",
            "evaluation must not be the training data: rows that the trainer saw prove nothing; use split instead",
            ".evaluation",
        ),
        Rule(
            "!has(self.evaluation) || !has(self.evaluation.sha256) || !has(self.training.sha256)"
            " || self.evaluation.sha256 != self.training.sha256",
            "evaluation must not be the training data: both have the same sha256; use split instead",
            ".evaluation",
        ),
    )
    training: DataSource = Field(description="Rows to train on.")
    evaluation: DataSource | None = Field(default=None, description="Rows to evaluate on; the trainer never sees them.")
    split: Split | None = Field(default=None, description="Hold evaluation rows out of the training data instead.")


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


class Slice(Part):
    """Rows whose column has this value."""

    column: Short = Field(description="Column of the evaluation data.")
    value: Short = Field(description="Value, as written in the file.")


class ComparedTo(Part):
    """The champion: what an InferenceService serves as stable."""

    inference_service: Name = Field(description="InferenceService of the same namespace.")


class Gate(Part):
    """A bound on a metric of the evaluation data. A model that misses any gate does not become a version."""

    rules = (
        Rule("has(self.min) || has(self.max) || has(self.comparedTo)", "set at least one of min, max and comparedTo"),
        Rule(
            "!has(self.tolerance) || has(self.comparedTo)",
            "tolerance applies only to comparedTo: remove it, or compare",
            ".tolerance",
        ),
        Rule(
            "!has(self.min) || !has(self.max) || self.min <= self.max",
            "min must not be above max: nothing could pass",
            ".min",
        ),
        Rule(
            f"!(self.metric in {cel_list(SHARES)}) || ((!has(self.min) || (self.min >= 0.0 && self.min <= 1.0))"
            " && (!has(self.max) || (self.max >= 0.0 && self.max <= 1.0))"
            " && (!has(self.tolerance) || self.tolerance <= 1.0))",
            "min, max and tolerance of this metric are shares from 0 to 1: write 0.9 for 90 %",
        ),
        Rule(
            f"!(self.metric in {cel_list(ERRORS)})"
            " || ((!has(self.min) || self.min >= 0.0) && (!has(self.max) || self.max >= 0.0))",
            "min and max of an error must not be negative",
        ),
        Rule(
            "self.metric != 'r2' || !has(self.min) || self.min <= 1.0",
            "min of r2 must not be above 1: nothing could pass",
            ".min",
        ),
    )
    metric: Metric = Field(description="Name of the metric.")
    min: float | None = Field(default=None, description="At least this.")
    max: float | None = Field(default=None, description="At most this.")
    slice: Slice | None = Field(default=None, description="Only on these rows.")
    compared_to: ComparedTo | None = Field(
        default=None, description="Not worse than the champion by more than the tolerance."
    )
    tolerance: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="How much worse than the champion is accepted; default 0."
    )


def _suited(task: str, estimators: Any, metrics: Any) -> tuple[Rule, ...]:
    """What the task demands of estimator, gates and bundled data."""
    allowed = [*get_args(estimators)]
    names = [*get_args(metrics)]
    others = [uri for other, uris in _BUNDLED_URIS.items() if other != task for uri in uris]
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
