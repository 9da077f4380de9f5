"""InferenceService: serve this model, release new versions like this, watch for that."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plimsoll.api.cel import Rule, checked
from plimsoll.api.common import (
    Bare,
    Conditions,
    ModelName,
    Part,
    Sha256,
    Short,
    StatusPart,
    Text,
    Timestamp,
)
from plimsoll.api.monitoring import Degraded, Monitoring, Warm
from plimsoll.api.release import Release
from plimsoll.api.release import Step as Step
from plimsoll.api.runtime import Runtime
from plimsoll.api.traffic import Traffic


class ModelRef(Part):
    """Which model and which version."""

    name: ModelName = Field(description="Name of the model.")
    version: Annotated[
        Bare,
        Field(
            json_schema_extra=checked(
                Rule(
                    "string(self).matches('^(auto|[1-9][0-9]{0,7})$')",
                    'must be "auto" or the number of a version, such as "7"',
                ),
            )
        ),
    ] = Field(
        default="auto",
        description='"auto" follows the newest approved version that is not quarantined; a number such as 7 pins one.',
    )


class InferenceServiceSpec(Part):
    """Serve this model, release new versions like this."""

    rules = (
        Rule(
            "!has(self.traffic.stickyHeader) || self.release.strategy in ['Canary', 'BlueGreen', 'ABTest', 'Shadow']",
            "stickyHeader does not apply to release.strategy: Recreate, which has one version at a time; remove it",
            ".traffic.stickyHeader",
        ),
        Rule(
            "!has(self.runtime.pool) || self.release.analysis.source == 'Scrape'",
            "source must be Scrape with runtime.pool: only the pods of a pool know which models they have loaded",
            ".release.analysis.source",
        ),
        Rule(
            "self.traffic.provider != 'GatewayAPI' || !has(self.runtime.pool)",
            "provider: GatewayAPI does not apply with runtime.pool, whose versions share pods and have no Services:"
            " use provider: Builtin, or serve from pods of its own",
            ".traffic.provider",
        ),
        Rule(
            "self.traffic.provider != 'GatewayAPI' || self.release.strategy in ['Canary', 'BlueGreen', 'Recreate']",
            "provider: GatewayAPI applies only to strategies Canary, BlueGreen and Recreate: an HTTPRoute neither"
            " compares mirrored answers nor splits by a key; use provider: Builtin",
            ".traffic.provider",
        ),
        Rule(
            "self.traffic.provider != 'GatewayAPI' || !has(self.release.shadowFirst)",
            "shadowFirst does not apply with traffic.provider: GatewayAPI: a gateway compares no mirrored answers;"
            " remove it, or use provider: Builtin",
            ".release.shadowFirst",
        ),
        Rule(
            "self.traffic.provider != 'GatewayAPI' || !has(self.release.analysis.judges)"
            " || !self.release.analysis.judges.exists(judge, has(judge.job))",
            "a judge's job does not apply with traffic.provider: GatewayAPI: what it asks of the pods would count as"
            " users' requests; use a webhook, or provider: Builtin",
            ".release.analysis.judges",
        ),
        *(
            Rule(
                f"!has(self.traffic.gatewayRef) || !has(self.traffic.gatewayRef.{field})"
                " || self.release.strategy != 'Recreate'",
                f"{field} does not apply to release.strategy: Recreate, which has one version at a time; remove it",
                f".traffic.gatewayRef.{field}",
            )
            for field in ("armHeader", "session")
        ),
        Rule(
            "self.release.strategy != 'ABTest' || has(self.traffic.stickyHeader)",
            "stickyHeader is needed with release.strategy: ABTest: name the header that tells users apart,"
            " such as x-user-id",
            ".traffic.stickyHeader",
        ),
        Rule(
            "self.release.analysis.baseline == 'Stable' || !has(self.runtime.pool)",
            "baseline: Fresh does not apply with runtime.pool, whose versions share pods of one age: remove it",
            ".release.analysis.baseline",
        ),
        Rule(
            "self.release.analysis.baseline == 'Stable' || (!has(self.traffic.stickyHeader)"
            " && !(has(self.traffic.gatewayRef) && has(self.traffic.gatewayRef.armHeader)))",
            "baseline: Fresh does not apply with stickyHeader or armHeader: a third arm would move users, and callers"
            " know of two; remove one of them",
            ".release.analysis.baseline",
        ),
        Rule(
            "has(self.runtime.pool) == has(oldSelf.runtime.pool)"
            " && (!has(self.runtime.pool) || self.runtime.pool.name == oldSelf.runtime.pool.name)",
            "pool cannot change, appear or vanish while the service lives: make another InferenceService",
            ".runtime.pool",
        ),
        Rule(
            "!has(self.runtime.pool) || !has(self.monitoring) || !has(self.monitoring.keepWarm)",
            "keepWarm does not apply with runtime.pool, whose pods are shared: leave it out",
            ".monitoring.keepWarm",
        ),
        Rule(
            "!has(self.runtime.pool) || !has(self.monitoring) || !has(self.monitoring.accuracy)",
            "accuracy is not watched with runtime.pool yet: leave it out, or serve from pods of its own",
            ".monitoring.accuracy",
        ),
        Rule(
            "!has(self.runtime.pool) || !has(self.monitoring) || !has(self.monitoring.absoluteError)",
            "absoluteError is not watched with runtime.pool yet: leave it out, or serve from pods of its own",
            ".monitoring.absoluteError",
        ),
    )
    model: ModelRef = Field(description="Which model and which version.")
    runtime: Runtime = Field(default_factory=Runtime, description="How the server runs.")
    release: Release = Field(default_factory=Release, description="How a new version takes over.")
    traffic: Traffic = Field(default_factory=Traffic, description="How requests are split.")
    monitoring: Monitoring | None = Field(
        default=None, description="What is watched after a release has ended; nothing, when it is left out."
    )


class RevisionRef(StatusPart):
    """A revision and the version it serves."""

    revision: Annotated[str, Field(max_length=63)] = Field(
        description="Name of the ControllerRevision, Deployment and direct Service."
    )
    version: Annotated[str, Field(max_length=10)] = Field(description="Number of the version.")
    digest: Sha256 | None = Field(default=None, description="SHA-256 of the model.")


class VerdictStatus(StatusPart):
    """The latest verdict."""

    outcome: Literal["Pass", "Fail", "Inconclusive"] = Field(description="Doubt is an outcome.")
    mode: Literal["Sequential", "Absolute", "Breaker"] = Field(description="What sort of judgement it is.")
    metric: Annotated[str, Field(max_length=64)] = Field(default="", description="What decided.")
    reason: Text = Field(description="A sentence with the numbers.")
    at: Timestamp = Field(description="When.")


class EffectStatus(StatusPart):
    """What a test of two versions found, at its end."""

    ratio: float | None = Field(default=None, description="Failure rate of the candidate by that of the stable one.")
    low: float | None = Field(default=None, description="Lower end of the ratio's interval.")
    high: float | None = Field(default=None, description="Upper end of the ratio's interval.")
    level: float = Field(description="Chance that the interval covers the true ratio, whenever the test ended.")
    reason: Text = Field(description="A sentence with the numbers.")


class WindowStatus(StatusPart):
    """One window of evidence."""

    index: int = Field(description="Number of the window in its attempt.")
    end: Timestamp = Field(description="When it ended.")
    weight: int = Field(description="Percent that the candidate was given.")
    stable: Annotated[str, Field(max_length=64)] = Field(description="Failures/requests of the stable arm.")
    candidate: Annotated[str, Field(max_length=64)] = Field(description="Failures/requests of the candidate arm.")
    gap: Annotated[str, Field(max_length=256)] | None = Field(default=None, description="Why it does not count.")


class Eta(StatusPart):
    """How long it will take, if traffic and rates stay as they are."""

    in_time: bool = Field(description="Whether a healthy candidate passes the step within progressDeadline.")
    pass_seconds: int | None = Field(default=None, description="Seconds until it passes; nothing: not in sight.")
    message: Text = Field(description="A sentence; what would be in time, where it is not.")


class ReleaseRecord(StatusPart):
    """How an ended release went."""

    attempt: int = Field(description="Number of the attempt.")
    revision: Annotated[str, Field(max_length=63)] = Field(description="The candidate.")
    version: Annotated[str, Field(max_length=10)] = Field(description="Its version.")
    outcome: Literal["Promoted", "RolledBack", "Superseded", "Aborted", "Kept"] = Field(
        description="How it ended; Kept: as asked, with the old version."
    )
    reason: Text = Field(description="Why.")
    started_at: Timestamp = Field(description="When it began.")
    finished_at: Timestamp = Field(description="When it ended.")
    by: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="Who decided it, when it was a person's command."
    )
    undecided: int | None = Field(
        default=None,
        description="How many attempts of the revision, this one the last, were judged and ended without a decision by"
        " what was compared: they have used up their parts of alpha.",
    )


class CommandRecord(StatusPart):
    """What became of a command."""

    id: Short = Field(description="Its id.")
    verb: Annotated[str, Field(max_length=16)] = Field(description="What was asked for.")
    to: Annotated[str, Field(max_length=10)] | None = Field(default=None, description="The version that it names.")
    by: Annotated[str, Field(max_length=256)] = Field(default="", description="In whose name.")
    at: Timestamp = Field(description="When it was read.")
    outcome: Literal["Obeyed", "Refused"] = Field(description="Whether it was obeyed.")
    message: Annotated[str, Field(max_length=512)] = Field(default="", description="What was done, or why it was not.")


class Pin(StatusPart):
    """What `auto` means after the command rollback, until a version newer than all at that time is approved."""

    model: ModelName = Field(description="The model.")
    version: Annotated[str, Field(max_length=10)] = Field(description="The version to serve.")
    above: Annotated[str, Field(max_length=10)] = Field(description="Only versions above this number are newer.")
    by: Annotated[str, Field(max_length=256)] = Field(default="", description="Who asked for it.")
    at: Timestamp = Field(description="When.")


class Waiver(StatusPart):
    """That a person promoted the candidate: no evidence is asked for to the end of its release."""

    by: Annotated[str, Field(max_length=256)] = Field(default="", description="In whose name.")
    reason: Annotated[str, Field(max_length=512)] = Field(description="What was said, in a sentence.")


class Retiring(StatusPart):
    """A revision that takes no new share but keeps its pods until the last public connections to it have ended."""

    revision: Annotated[str, Field(max_length=63)] = Field(description="The revision.")
    version: Annotated[str, Field(max_length=10)] = Field(description="Its version.")
    since: Timestamp = Field(description="Since when it has no share.")


class Quarantined(StatusPart):
    """A revision that was taken back and is not tried again until it or retryToken changes."""

    revision: Annotated[str, Field(max_length=63)] = Field(description="The revision.")
    version: Annotated[str, Field(max_length=10)] = Field(description="Its version.")
    retry_token: Annotated[str, Field(max_length=64)] | None = Field(default=None, description="The token at the time.")
    reason: Text = Field(description="Why.")
    at: Timestamp = Field(description="When.")


Phase = Literal[
    "Pending", "Idle", "Preparing", "Warming", "Shadowing", "Analyzing", "Promoting", "Probation", "RollingBack",
    "RolledBack", "Held",
]  # fmt: skip


class InferenceServiceStatus(StatusPart):
    """What serves, what is being released, and why."""

    observed_generation: int | None = Field(default=None, description="The generation acted on.")
    phase: Phase | None = Field(default=None, description="Where the release is.")
    url: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Where to send requests inside the cluster."
    )
    stable: RevisionRef | None = Field(default=None, description="What answers users.")
    candidate: RevisionRef | None = Field(default=None, description="What is being released.")
    baseline: RevisionRef | None = Field(
        default=None, description="Pods of the stable version, as old as the candidate's, that it is compared with."
    )
    last_proven: RevisionRef | None = Field(default=None, description="The last revision that ended its probation.")
    warm: Warm | None = Field(default=None, description="What keeps its pods, to go back to.")
    degraded: Degraded | None = Field(default=None, description="Why what serves is worse than it may be.")
    suspicion: Annotated[tuple[float, ...], Field(max_length=12)] = Field(
        default=(), description="Evidence against what serves that is not enough yet: natural logarithms."
    )
    weight: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="Percent of requests for the candidate."
    )
    mirror: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="Percent of requests that are copied to the candidate, which answers no user with it."
    )
    step: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, description="Step of the release, for example 1/3."
    )
    attempt: int = Field(default=0, description="Number of the release.")
    revision_attempt: int | None = Field(
        default=None,
        description="Which of the attempts of its revision it is that share one alpha; nothing: it began before they"
        " were counted, and has all of it.",
    )
    epoch: int = Field(default=0, description="Epoch of the route document; it only rises.")
    followed_epoch: int = Field(default=0, description="The last epoch that every ready pod reported.")
    primary: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="The revision that receives public requests first."
    )
    routed_at: Timestamp | None = Field(default=None, description="When the epoch last rose.")
    retiring: Annotated[tuple[Retiring, ...], Field(max_length=8)] = Field(
        default=(), description="Revisions that are on their way out."
    )
    message: Text | None = Field(default=None, description="What is going on, in a sentence.")
    verdict: VerdictStatus | None = Field(default=None, description="The latest verdict.")
    eta: Eta | None = Field(default=None, description="How long the step will take at today's traffic.")
    effect: EffectStatus | None = Field(default=None, description="What the last ABTest found.")
    started_at: Timestamp | None = Field(default=None, description="When the release began.")
    phase_since: Timestamp | None = Field(default=None, description="When the phase began.")
    step_since: Timestamp | None = Field(default=None, description="When the step's weight was seen in force.")
    progress_at: Timestamp | None = Field(default=None, description="When the release last progressed.")
    paused_at: Timestamp | None = Field(default=None, description="When the pause of this step began.")
    approved: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, description="What a person approved last: a step, or the promotion."
    )
    waiver: Waiver | None = Field(default=None, description="Who waived the evidence, by the command promote.")
    held_phase: Phase | None = Field(default=None, description="The phase to go on with after a hold.")
    held_reason: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Why it is held, in one word."
    )
    reason: Text | None = Field(default=None, description="Why the release is held or was taken back, in a sentence.")
    ledger: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="SHA-256 of the ledger that this status rests on."
    )
    rollback_seconds: float | None = Field(
        default=None, description="From the last failed verdict until no pod sent traffic to the candidate."
    )
    windows: Annotated[tuple[WindowStatus, ...], Field(max_length=10)] = Field(
        default=(), description="The last windows of evidence."
    )
    quarantine: Annotated[tuple[Quarantined, ...], Field(max_length=10)] = Field(
        default=(), description="Revisions that are not tried again."
    )
    history: Annotated[tuple[ReleaseRecord, ...], Field(max_length=10)] = Field(
        default=(), description="Ended releases, the newest first."
    )
    commands: Annotated[tuple[Short, ...], Field(max_length=20)] = Field(
        default=(), description="Ids of commands that were consumed."
    )
    last_command: CommandRecord | None = Field(default=None, description="What became of the latest command.")
    pin: Pin | None = Field(default=None, description="The version that somebody rolled back to.")
    replicas: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, description="Ready and wanted pods of the stable version."
    )
    conditions: Conditions = Field(default=(), description="Ready, Promoted, Progressing, Healthy, InputsAsProfiled.")
