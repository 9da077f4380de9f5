"""What a release compares, and how sure its verdict must be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plimsoll.api.cel import Rule, between, checked
from plimsoll.api.common import Duration, Part
from plimsoll.api.evidence import CustomMetrics, Prometheus
from plimsoll.api.judges import Judges

#: The edges of the latency histogram end at 10 s.
Latency99 = Annotated[
    str,
    Field(
        max_length=10,
        json_schema_extra=checked(
            Rule(
                "self.matches('^[0-9]{1,5}(ms|s)$')"
                " && duration(self) >= duration('1ms') && duration(self) <= duration('10s')",
                "must be a duration from 1ms to 10s, such as 250ms or 2s",
            )
        ),
    ),
]


class ErrorRate(Part):
    """Failures of the candidate's arm against the stable arm's."""

    rules = (Rule("self.enabled || !has(self.max)", "max does not apply while enabled is false: remove it", ".max"),)
    enabled: bool = Field(default=True, description="Whether failures are compared.")
    margin: Annotated[float, Field(gt=1, le=100)] = Field(default=1.5, description="Rate ratio that is still accepted.")
    max: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Absolute bound on the candidate's failure rate, where there is nothing to compare with.",
    )


class Latency(Part):
    """Requests slower than each bucket edge, candidate against stable."""

    rules = (
        Rule("self.enabled || !has(self.maxP99)", "maxP99 does not apply while enabled is false: remove it", ".maxP99"),
    )
    enabled: bool = Field(default=True, description="Whether latency is compared.")
    margin: Annotated[float, Field(gt=1, le=100)] = Field(
        default=2.0, description="Ratio of slow requests that is still accepted."
    )
    max_p99: Latency99 | None = Field(
        default=None, description="Absolute bound on the candidate's p99, where there is nothing to compare with."
    )


class PredictionShift(Part):
    """Predictions of the candidate, by the bins of the version's profile, against those of the stable version."""

    enabled: bool = Field(
        default=True, description="Whether predictions are compared, of versions whose pods count them in bins."
    )
    max_psi: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.25,
        description="Population stability index of an output that is still accepted: 0.1 is a moderate shift, 0.25 a"
        " large one.",
    )
    on_shift: Literal["Hold", "Rollback"] = Field(
        default="Hold", description="Hold waits for a person, for a shift may be meant; Rollback takes it for harm."
    )


class Accuracy(Part):
    """Labels that came as feedback for predictions, candidate against stable, of equal age."""

    enabled: bool = Field(
        default=False, description="Whether labels decide; a step then waits for as many as minLabels."
    )
    max_drop: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05,
        description="How much smaller the share of right classes may be: with 0.05, 90 % where the stable version has"
        " 95 %.",
    )
    max_error_rise: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.1,
        description="How much larger the mean absolute error of numbers may be, as a part of the stable version's.",
    )
    min_labels: Annotated[int, Field(ge=1, le=1000000000)] = Field(
        default=100, description="The candidate needs so many labels that can be compared before a step is passed."
    )
    max_label_age: Literal["1m", "10m", "1h", "1d", "7d"] = Field(
        default="7d", description="Labels that come later after their prediction do not count."
    )


class Tolerance(Part):
    """By how much two numbers may differ and still agree: absolute + relative × what the user got."""

    relative: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0001, description="Part of what the user got: 0.01 lets 100 and 101 agree."
    )
    absolute: Annotated[float, Field(ge=0, le=1e15)] = Field(
        default=0.000001, description="In the unit of the output, for what is near 0."
    )


class ShadowAnswers(Part):
    """Answers to copies of requests, beside those that users got."""

    rules = (
        Rule(
            "has(self.maxDisagreement) || has(self.maxOneSided)",
            "shadow bounds nothing: give maxDisagreement, or maxOneSided for numbers, or remove it",
        ),
    )
    max_disagreement: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Share of the copies whose answer may differ: above it the candidate is taken back, and it passes"
        " once it is shown to be below.",
    )
    max_one_sided: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Of outputs of one number a row: share of the requests, by their rows, that may be higher than"
        " what users got, and share that may be lower, by more than the tolerance. Judged like maxDisagreement."
        " Differences to either side alike are half and half: 0.6 or more, unless the tolerance is wide.",
    )
    tolerance: Tolerance | None = Field(
        default=None,
        description="By how much numbers may differ and still agree; default: a ten-thousandth, or 0.000001 near 0.",
    )


class Analysis(Part):
    """What is compared, and how sure the verdict must be."""

    rules = (
        Rule(
            "!has(self.prometheus) || self.source == 'Prometheus' || has(self.custom)",
            "prometheus applies only to source: Prometheus and to custom metrics: remove it, or set the source",
            ".prometheus",
        ),
    )
    baseline: Literal["Stable", "Fresh"] = Field(
        default="Stable",
        description="What the candidate is compared with. Stable: the pods that serve already; Fresh: as many pods of"
        " the stable version, started with the candidate's, which get as large a share.",
    )
    error_rate: ErrorRate = Field(default_factory=ErrorRate, description="Compare failures.")
    latency: Latency = Field(default_factory=Latency, description="Compare latency.")
    prediction_shift: PredictionShift = Field(default_factory=PredictionShift, description="Compare predictions.")
    accuracy: Accuracy = Field(default_factory=Accuracy, description="Compare predictions with labels.")
    shadow: ShadowAnswers | None = Field(
        default=None, description="Bound how answers to copies differ, with strategy: Shadow or shadowFirst."
    )
    alpha: Annotated[float, Field(gt=0, le=0.2)] = Field(
        default=0.01,
        description="Wanted chance of rolling back a healthy version, over all attempts to release it, by comparison. "
        "Strong noise, and a stable version with a single pod, which teaches nothing about it, make verdicts later.",
    )
    window: Annotated[Duration, Field(json_schema_extra=between("1s", "1h"))] = Field(
        default="10s", description="How often evidence is read."
    )
    pre_period: Annotated[Duration, Field(json_schema_extra=between("0s", "1h"))] = Field(
        default="0s",
        description="Watch the stable version at least so long before the candidate's first share, counted from when"
        " its pods are started: what is learned of how noisy it is makes the first verdicts sooner.",
    )
    source: Literal["Scrape", "Prometheus"] = Field(
        default="Scrape",
        description="Scrape reads the counters from the pods; Prometheus asks one that scrapes them.",
    )
    prometheus: Prometheus | None = Field(
        default=None, description="Which Prometheus, and how its series are labelled; default: the install's."
    )
    custom: CustomMetrics = Field(
        default=(), description="Metrics of yours in Prometheus; only where the install allows them."
    )
    judges: Judges = Field(
        default=(), description="Who else has to agree: each may fail a release, none may pass it alone."
    )
