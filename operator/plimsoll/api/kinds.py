"""The kinds as the API server knows them: names, printer columns and the rules on the whole object."""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.api.cel import NAME_PATTERN, Rule
from plimsoll.api.common import Part, StatusPart
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.api.modelversion import ModelVersionSpec, ModelVersionStatus
from plimsoll.api.servingpool import ServingPoolSpec, ServingPoolStatus
from plimsoll.api.trainingjob import TrainingJobSpec, TrainingJobStatus


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; a `wide` one shows with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the group. `rules` see the whole object; of metadata only the name."""

    name: str
    plural: str
    short_name: str
    spec: type[Part]
    status: type[StatusPart]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()


_READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
_WHY = Column("Why", '.status.conditions[?(@.type=="Ready")].message', wide=True)
_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_NAMED = Rule(
    f"size(self.metadata.name) <= 40 && self.metadata.name.matches(r'{NAME_PATTERN}')",
    "must have at most 40 characters of a-z, 0-9 and -, begin with a letter and end with a letter or digit: it becomes "
    "the name of Services and the value of labels",
    ".metadata.name",
)

KINDS = (
    Kind(
        "TrainingJob", "trainingjobs", "tj", TrainingJobSpec, TrainingJobStatus,
        columns=(
            Column("Phase", ".status.phase"),
            Column("Version", ".status.modelVersion"),
            Column("Result", ".status.summary"),
            _READY,
            _AGE,
            Column("Model", ".spec.model", wide=True),
            Column("Task", ".spec.task", wide=True),
            Column("Data", ".spec.data.training.uri", wide=True),
            Column("Run", ".status.run", wide=True),
            _WHY,
        ),
        rules=(_NAMED,),
    ),
    Kind(
        "ModelVersion", "modelversions", "mv", ModelVersionSpec, ModelVersionStatus,
        columns=(
            Column("Phase", ".status.phase"),
            Column("Result", ".status.summary"),
            Column("Serves", ".status.inUseBy"),
            _READY,
            _AGE,
            Column("Approval", ".spec.approval.decision", wide=True),
            Column("By", ".spec.approval.by", wide=True),
            Column("Digest", ".spec.artifact.sha256", wide=True),
            Column("Bytes", ".spec.artifact.sizeBytes", "integer", wide=True),
            _WHY,
        ),
        rules=(
            _NAMED,
            Rule(
                "self.metadata.name.startsWith(self.spec.model + '-v')"
                " && self.metadata.name.substring(size(self.spec.model) + 2).matches('^[1-9][0-9]{0,7}$')",
                "must be the model's name, -v and a number from 1, such as digits-v1",
                ".metadata.name",
                message_expression="\"must be '\" + self.spec.model + \"-v' and a number from 1, such as \""
                " + self.spec.model + '-v1'",
            ),
        ),
    ),
    Kind(
        "InferenceService", "inferenceservices", "inf", InferenceServiceSpec, InferenceServiceStatus,
        columns=(
            Column("Phase", ".status.phase"),
            Column("Stable", ".status.stable.version"),
            Column("Candidate", ".status.candidate.version"),
            Column("Weight", ".status.weight", "integer"),
            Column("Step", ".status.step"),
            Column("Ready", _READY.path),
            Column("Verdict", ".status.verdict.outcome"),
            Column("Message", ".status.message"),
            _AGE,
            Column("Model", ".spec.model.name", wide=True),
            Column("Pods", ".status.replicas", wide=True),
            Column("Attempt", ".status.attempt", "integer", wide=True),
            Column("Rollback", ".status.rollbackSeconds", "number", wide=True),
            Column("URL", ".status.url", wide=True),
        ),
        rules=(
            _NAMED,
            Rule(
                "!has(self.spec.release.after) || !(self.metadata.name in self.spec.release.after)",
                "a release cannot come after itself: take the service's own name out",
                ".spec.release.after",
            ),
        ),
    ),
    Kind(
        "ServingPool", "servingpools", "spool", ServingPoolSpec, ServingPoolStatus,
        columns=(
            Column("Phase", ".status.phase"),
            Column("Services", ".status.services", "integer"),
            Column("Pods", ".status.replicas"),
            _READY,
            Column("Message", ".status.message"),
            _AGE,
            Column("Template", ".status.template", wide=True),
        ),
        rules=(_NAMED,),
    ),
)  # fmt: skip
