"""The gates of a TrainingJob: what must hold before a model becomes a version."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from plimsoll.api.cel import Rule, cel_list
from plimsoll.api.common import Name, Part, Short

ClassificationMetric = Literal[
    "accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "log_loss"
]
RegressionMetric = Literal["r2", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error"]
Metric = ClassificationMetric | RegressionMetric
#: Metrics that cannot leave 0..1, and errors, which cannot be negative.
SHARES: Final = ("accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro")
ERRORS: Final = ("log_loss", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error")


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
