"""How an InferenceService releases a new version: steps, evidence, probation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plimsoll.api.cel import Rule, between, cel_duration, checked, operator_default
from plimsoll.api.common import Duration, Part, Token
from plimsoll.api.evidence import CustomMetrics, Judges, Prometheus

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


class Step(Part):
    """Send this share to the candidate until the evidence passes."""

    weight: Annotated[
        int,
        Field(
            ge=1,
            json_schema_extra=checked(
                Rule("self < 100", "must be below 100: full traffic follows the last step by itself")
            ),
        ),
    ] = Field(
        description="Percent of requests that the candidate answers; full traffic follows the last step by itself."
    )
    min_duration: Annotated[Duration, Field(json_schema_extra=between("1s", "168h"))] = Field(
        default="30s", description="Stay at least this long."
    )
    min_requests: Annotated[int, Field(ge=0, le=1000000000)] = Field(
        default=50, description="The candidate must have answered at least this many."
    )


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


class Analysis(Part):
    """What is compared, and how sure the verdict must be."""

    rules = (
        Rule(
            "!has(self.prometheus) || self.source == 'Prometheus' || has(self.custom)",
            "prometheus applies only to source: Prometheus and to custom metrics: remove it, or set the source",
            ".prometheus",
        ),
    )
    error_rate: ErrorRate = Field(default_factory=ErrorRate, description="Compare failures.")
    latency: Latency = Field(default_factory=Latency, description="Compare latency.")
    alpha: Annotated[float, Field(gt=0, le=0.2)] = Field(
        default=0.01,
        description="Wanted chance of rolling back a healthy version, over the whole release. "
        "Strong noise, and a stable version with a single pod, from which noise cannot be learned, raise it.",
    )
    window: Annotated[Duration, Field(json_schema_extra=between("1s", "1h"))] = Field(
        default="10s", description="How often evidence is read."
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


_DEADLINE = cel_duration("self.progressDeadline")


class Release(Part):
    """How a new version takes over."""

    rules = (
        Rule(
            "self.strategy == 'Canary' || !has(self.steps)",
            "steps apply only to strategy: Canary: remove them, or change the strategy",
            ".steps",
        ),
        Rule(
            "self.strategy == 'Canary' || !has(self.holdback) || self.holdback == 0",
            "holdback applies only to strategy: Canary: Recreate keeps no old version beside the new one; remove it",
            ".holdback",
        ),
        Rule(
            "!has(self.steps) || (self.steps.map(step, step.weight).isSorted()"
            " && self.steps.all(step, self.steps.exists_one(other, other.weight == step.weight)))",
            "weights must rise from step to step",
            ".steps",
        ),
        Rule(
            "self.strategy == 'Recreate' || self.analysis.errorRate.enabled || self.analysis.latency.enabled",
            "enable errorRate or latency: a Canary advances on evidence alone",
            ".analysis",
        ),
        Rule(
            "self.strategy != 'Recreate' || (!has(self.analysis.custom) && !has(self.analysis.judges))",
            "custom and judges do not apply to strategy: Recreate, which has no two versions: remove them",
            ".analysis",
        ),
        Rule(
            "!has(self.steps)"
            f" || self.steps.all(step, !has(step.minDuration) || {cel_duration('step.minDuration')} < {_DEADLINE})",
            "progressDeadline must be longer than every step's minDuration: raise it",
            ".progressDeadline",
        ),
        Rule(
            f"{cel_duration('self.analysis.window')} < {_DEADLINE}",
            "progressDeadline must be longer than analysis.window: raise it",
            ".progressDeadline",
        ),
    )
    strategy: Literal["Canary", "Recreate"] = Field(
        default="Canary", description="Canary raises the share step by step on evidence; Recreate switches once ready."
    )
    steps: Annotated[
        tuple[Step, ...], Field(min_length=1, max_length=20, json_schema_extra=operator_default("weights 10 and 50"))
    ] = Field(default=(Step(weight=10), Step(weight=50)), description="Shares before full traffic, rising.")
    analysis: Analysis = Field(default_factory=Analysis, description="Evidence and verdict.")
    probation: Annotated[Duration, Field(json_schema_extra=between("1s", "168h"))] = Field(
        default="1m", description="How long the old version stays warm with the holdback after full traffic."
    )
    holdback: Annotated[
        int, Field(ge=0, le=50, json_schema_extra=operator_default("5 with Canary, 0 with Recreate"))
    ] = Field(default=5, description="Percent of requests that the old version still answers during probation.")
    progress_deadline: Annotated[Duration, Field(json_schema_extra=between("10s", "168h"))] = Field(
        default="30m", description="Longest time without progress before onInconclusive applies."
    )
    on_inconclusive: Literal["Hold", "Rollback"] = Field(
        default="Hold", description="What to do when the evidence does not decide in time."
    )
    retry_token: Token | None = Field(default=None, description="Change it to try a quarantined revision again.")
    allow_signature_change: bool = Field(
        default=False, description="Accept a candidate whose inputs differ from the stable version's."
    )
