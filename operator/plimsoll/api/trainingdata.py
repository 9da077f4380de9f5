"""The data of a TrainingJob: where rows are, and which of them the trainer never sees."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from plimsoll.api.cel import CREDENTIALS, Rule, cel_list, checked, phrase
from plimsoll.api.common import Part, Sha256, Short

#: Sets bundled with scikit-learn by the task that they are for. Their target column is `target`.
BUNDLED: Final = {"Classification": ("digits", "iris", "wine", "breast_cancer"), "Regression": ("diabetes",)}
BUNDLED_URIS: Final = {task: [f"sklearn://{name}" for name in names] for task, names in BUNDLED.items()}
_EVERY_SET = [uri for uris in BUNDLED_URIS.values() for uri in uris]
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
