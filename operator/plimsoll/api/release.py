"""How an InferenceService releases a new version: strategy, steps, probation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plimsoll.api.analysis import Analysis
from plimsoll.api.cel import Rule, between, cel_duration, cel_list, checked, operator_default, phrase
from plimsoll.api.common import Duration, Name, Part, Token
from plimsoll.api.freeze import FreezeWindow
from plimsoll.api.judges import JOB_TIMEOUT

Strategy = Literal["Canary", "BlueGreen", "Shadow", "ABTest", "Recreate"]
_Weight = Annotated[
    int,
    Field(
        ge=1,
        json_schema_extra=checked(
            Rule("self < 100", "must be below 100: full traffic follows the last step by itself")
        ),
    ),
]
_Stay = Annotated[Duration, Field(json_schema_extra=between("1s", "168h"))]
_Requests = Annotated[int, Field(ge=0, le=1000000000)]
_Percent = Annotated[int, Field(ge=1, le=100)]


class Pause(Part):
    """A stop at the share that the step before gave."""

    duration: _Stay | None = Field(
        default=None, description="Go on after so long, if the evidence passes; without it a person says resume."
    )


class Step(Part):
    """Send this share to the candidate until the evidence passes; or pause."""

    rules = (
        Rule("has(self.weight) != has(self.pause)", "a step needs weight or pause, and not both"),
        Rule(
            "!has(self.pause) || (!has(self.minDuration) && !has(self.minRequests) && !has(self.approval))",
            "minDuration, minRequests and approval do not apply to a pause: remove them;"
            " pause: {duration: 1h} goes on after an hour, pause: {} once a person says resume",
            ".pause",
        ),
    )
    weight: _Weight | None = Field(
        default=None,
        description="Percent of requests that the candidate answers; full traffic follows the last step by itself.",
    )
    pause: Pause | None = Field(
        default=None, description="Stay at the share of the step before: for a time, or until a person says resume."
    )
    min_duration: Annotated[_Stay, Field(json_schema_extra=operator_default("30s, none in a pause"))] = Field(
        default="30s", description="Stay at least this long."
    )
    min_requests: Annotated[_Requests, Field(json_schema_extra=operator_default("50, none in a pause"))] = Field(
        default=50, description="The candidate must have answered at least this many."
    )
    approval: Annotated[Literal["Automatic", "Manual"], Field(json_schema_extra=operator_default("Automatic"))] = Field(
        default="Automatic", description="Manual: once the evidence passes, a person says resume before it goes on."
    )


class Mirroring(Part):
    """Copies of users' requests go to the candidate; its answers are compared and thrown away."""

    percent: _Percent = Field(default=100, description="Percent of the requests that are copied.")
    min_duration: _Stay = Field(default="5m", description="Mirror at least this long.")
    min_requests: _Requests = Field(default=100, description="At least so many copies must have been compared.")


class SplitTest(Part):
    """A fixed split of users between the two versions."""

    weight: _Weight = Field(default=50, description="Percent of users whom the candidate answers.")
    min_duration: _Stay = Field(default="1h", description="Test at least this long.")
    min_requests: _Requests = Field(default=1000, description="The candidate must have answered at least this many.")


_DEADLINE = cel_duration("self.progressDeadline")
_STABLE = "self.analysis.baseline == 'Stable'"
_PRE_PERIOD = cel_duration("self.analysis.prePeriod")
_WEIGHTS = "self.steps.filter(step, has(step.weight)).map(step, step.weight)"


def _only_with(field: str, strategies: tuple[str, ...], why: str, untouched: str = "") -> Rule:
    """A field that means nothing with the other strategies."""
    return Rule(
        f"self.strategy in {cel_list(strategies)} || !has(self.{field}){untouched}",
        f"{field} applies only to strategy: {phrase(strategies, 'or')}: {why}",
        f".{field}",
    )


class Release(Part):
    """How a new version takes over."""

    rules = (
        _only_with("steps", ("Canary",), "remove them, or change the strategy"),
        _only_with(
            "holdback",
            ("Canary", "BlueGreen", "Shadow", "ABTest"),
            "Recreate keeps no old version beside the new one; remove it",
            " || self.holdback == 0",
        ),
        _only_with("shadowFirst", ("Canary", "BlueGreen"), "remove it, or change the strategy"),
        _only_with("shadow", ("Shadow",), "remove it, or use shadowFirst, which mirrors before users are answered"),
        _only_with("test", ("ABTest",), "remove it, or change the strategy"),
        _only_with(
            "onPass",
            ("Canary", "BlueGreen", "Shadow", "ABTest"),
            "Recreate compares nothing that could pass; remove it",
            " || self.onPass == 'Promote'",
        ),
        Rule(
            "!has(self.onPass) || self.onPass != 'Keep' || self.strategy in ['Shadow', 'ABTest']",
            "onPass: Keep applies only to strategy: Shadow or ABTest, which may end without a new version;"
            " use Promote or Hold",
            ".onPass",
        ),
        Rule(
            f"!has(self.steps) || ({_WEIGHTS}.isSorted()"
            f" && self.steps.all(step, !has(step.weight) || {_WEIGHTS}.exists_one(other, other == step.weight)))",
            "weights must rise from step to step",
            ".steps",
        ),
        Rule(
            "!has(self.steps) || size(self.steps) == 0 || has(self.steps[0].weight)",
            "the first step must give a weight: use shadowFirst, or strategy: BlueGreen with onPass: Hold,"
            " to look at a candidate without users",
            ".steps",
        ),
        Rule(
            "self.strategy == 'Recreate' || self.analysis.errorRate.enabled || self.analysis.latency.enabled"
            " || self.analysis.accuracy.enabled",
            "enable errorRate, latency or accuracy: every strategy but Recreate decides on evidence",
            ".analysis",
        ),
        Rule(
            "self.strategy != 'Recreate' || (!has(self.analysis.custom) && !has(self.analysis.judges))",
            "custom and judges do not apply to strategy: Recreate, which has no two versions: remove them",
            ".analysis",
        ),
        Rule(
            "!(self.strategy == 'Shadow' || has(self.shadowFirst))"
            " || self.analysis.errorRate.enabled || self.analysis.latency.enabled",
            "enable errorRate or latency: copies of requests get no labels that accuracy could be known by",
            ".analysis",
        ),
        Rule(
            "!has(self.analysis.shadow) || self.strategy == 'Shadow' || has(self.shadowFirst)",
            "analysis.shadow needs copies of requests: add shadowFirst or use strategy: Shadow, or remove it",
            ".analysis.shadow",
        ),
        Rule(
            f"{_STABLE} || (self.strategy == 'Canary' && !has(self.shadowFirst))",
            "baseline: Fresh applies only to strategy: Canary without shadowFirst, where both versions answer users by"
            " shares from the first step on: remove it, or change the strategy",
            ".analysis.baseline",
        ),
        Rule(
            f"{_PRE_PERIOD} == duration('0s')"
            f" || ({_STABLE} && self.strategy in ['Canary', 'ABTest'] && !has(self.shadowFirst))",
            "prePeriod applies only to strategy: Canary or ABTest without shadowFirst and with baseline: Stable, where"
            " the candidate's first share is compared with pods that served before: remove it",
            ".analysis.prePeriod",
        ),
        Rule(
            f"{_STABLE} || !has(self.steps) || {_WEIGHTS}.all(weight, weight <= 50)",
            "with baseline: Fresh no step may have more than 50 percent, for the baseline gets as much as the"
            " candidate: lower the weight, or remove analysis.baseline",
            ".steps",
        ),
        Rule(
            "self.strategy != 'Recreate' || !self.analysis.accuracy.enabled",
            "accuracy does not apply to strategy: Recreate, which has nothing to compare with: leave it out",
            ".analysis.accuracy.enabled",
        ),
        Rule(
            "self.strategy != 'Recreate' || self.analysis.predictionShift.onShift == 'Hold'",
            "onShift: Rollback does not apply to strategy: Recreate, which has nothing to compare with: remove it",
            ".analysis.predictionShift.onShift",
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
        Rule(
            # Nothing is defaulted inside lists.
            "!has(self.analysis.judges) || self.analysis.judges.all(judge, !has(judge.job) || (has(judge.job.timeout)"
            f" ? {cel_duration('judge.job.timeout')} : duration('{JOB_TIMEOUT}')) < {_DEADLINE})",
            "progressDeadline must be longer than the timeout of every judge's job: raise it, or lower the timeout",
            ".progressDeadline",
        ),
    )
    strategy: Strategy = Field(
        default="Canary",
        description="Canary raises the share step by step on evidence; BlueGreen switches all users at once and back;"
        " Shadow compares copies of requests, without users; ABTest splits users until the effect is known;"
        " Recreate switches once ready, and compares nothing.",
    )
    steps: Annotated[
        tuple[Step, ...], Field(min_length=1, max_length=20, json_schema_extra=operator_default("weights 10 and 50"))
    ] = Field(default=(Step(weight=10), Step(weight=50)), description="Shares before full traffic, rising.")
    shadow_first: Mirroring | None = Field(
        default=None, description="Before the candidate answers users, compare its answers to copies of requests."
    )
    shadow: Mirroring | None = Field(default=None, description="How requests are copied with strategy: Shadow.")
    test: SplitTest | None = Field(default=None, description="How users are split with strategy: ABTest.")
    on_pass: (
        Annotated[
            Literal["Promote", "Hold", "Keep"],
            Field(json_schema_extra=operator_default("Promote, Hold with Shadow")),
        ]
        | None
    ) = Field(
        default=None,
        description="What a verdict in favour does: Promote goes on to full traffic, Hold waits for a person's resume"
        " before it, Keep ends with the old version.",
    )
    analysis: Analysis = Field(default_factory=Analysis, description="Evidence and verdict.")
    probation: Annotated[Duration, Field(json_schema_extra=between("1s", "168h"))] = Field(
        default="1m", description="How long the old version stays warm with the holdback after full traffic."
    )
    holdback: Annotated[int, Field(ge=0, le=50, json_schema_extra=operator_default("5, 0 with Recreate"))] = Field(
        default=5, description="Percent of requests that the old version still answers during probation."
    )
    progress_deadline: Annotated[Duration, Field(json_schema_extra=between("10s", "168h"))] = Field(
        default="30m", description="Longest time without progress before onInconclusive applies."
    )
    on_inconclusive: Literal["Hold", "Rollback"] = Field(
        default="Hold", description="What to do when the evidence does not decide in time."
    )
    freeze_windows: Annotated[tuple[FreezeWindow, ...], Field(max_length=20)] = Field(
        default=(), description="When no release begins and none goes on. What fails is taken back all the same."
    )
    after: Annotated[tuple[Name, ...], Field(max_length=10)] = Field(
        default=(),
        description="InferenceServices of this namespace that go first: a release begins once none of them is in one,"
        " and those of the same model serve the version.",
    )
    retry_token: Token | None = Field(default=None, description="Change it to try a quarantined revision again.")
    allow_signature_change: bool = Field(
        default=False, description="Accept a candidate whose inputs differ from the stable version's."
    )
