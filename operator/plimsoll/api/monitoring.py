"""What is watched of an InferenceService after its release has ended, and what to do when it gets worse."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plimsoll.api.cel import Rule, between
from plimsoll.api.common import Duration, Part, Sha256, StatusPart, Text, Timestamp


class ErrorBudget(Part):
    """The failures that are accepted of what serves."""

    max: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Failures per request that are still accepted, for example 0.01."
    )


class LabelledAccuracy(Part):
    """The accuracy that is still accepted, by labels that came as feedback."""

    min: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Share of the labels that must agree with the predicted class, for example 0.9."
    )


class AbsoluteError(Part):
    """The errors of numbers that are still accepted, by labels that came as feedback."""

    max: Annotated[float, Field(gt=0, le=1e15)] = Field(
        description="Mean absolute error that is still accepted, in the unit of the prediction."
    )


class Monitoring(Part):
    """Watch what serves, also when no release runs."""

    rules = (
        Rule(
            "self.onDegraded != 'Rollback' || has(self.keepWarm)",
            "onDegraded: Rollback needs a version to go back to: set keepWarm, or onDegraded: Alert",
            ".keepWarm",
        ),
    )
    error_rate: ErrorBudget = Field(description="Failures: server errors, unreachable and timed out.")
    accuracy: LabelledAccuracy | None = Field(
        default=None, description="Right classes, as labels say that came for the predictions of what serves."
    )
    absolute_error: AbsoluteError | None = Field(
        default=None, description="Errors of numbers, as labels say that came for the predictions of what serves."
    )
    interval: Annotated[Duration, Field(json_schema_extra=between("10s", "5m"))] = Field(
        default="1m", description="How often the pods are asked while no release runs."
    )
    on_degraded: Literal["Alert", "Rollback"] = Field(
        default="Alert",
        description="Alert says so: the condition Healthy, an Event, a metric. Rollback also goes back to the version "
        "before, while that is kept warm, and puts this one into quarantine.",
    )
    keep_warm: Annotated[Duration, Field(json_schema_extra=between("1m", "168h"))] | None = Field(
        default=None, description="For how long after a release the version before keeps its pods."
    )


class Warm(StatusPart):
    """A revision that serves nobody and keeps its pods, so that going back to it takes seconds."""

    revision: Annotated[str, Field(max_length=63)] = Field(description="The revision.")
    version: Annotated[str, Field(max_length=10)] = Field(description="Its version.")
    digest: Sha256 | None = Field(default=None, description="SHA-256 of the model.")
    since: Timestamp = Field(description="When it was replaced.")


class Degraded(StatusPart):
    """What serves is worse than it may be."""

    revision: Annotated[str, Field(max_length=63)] = Field(description="The revision that serves.")
    metric: Annotated[str, Field(max_length=64)] = Field(description="What is worse.")
    reason: Text = Field(description="A sentence with the numbers at the time.")
    at: Timestamp = Field(description="When it was noticed.")
