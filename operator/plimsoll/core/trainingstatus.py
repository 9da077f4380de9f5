"""What a pass over a TrainingJob saw, and how its status and Events are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll.api.trainingjob import TrainingJobSpec, TrainingJobStatus
from plimsoll.core.conditions import Finding, conditions, find, shortened, timestamp
from plimsoll.core.jobs import controlled_by
from plimsoll.core.outcome import Report, report
from plimsoll.core.result import Refusal, Result
from plimsoll.core.run import Run
from plimsoll.core.trouble import held_up
from plimsoll.facts import Action, Manifest, Notice, Plan

TERMINAL = ("Succeeded", "GatesFailed", "Failed")
_STARTED = ("Training", "Publishing", *TERMINAL)
_NORMAL = ("Training", "Publishing", "Succeeded", "Suspended", "Restarting")


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster's part. `jobs` and `config_maps` are those that this TrainingJob controls, `pods` those of its name.

    `versions` are the ModelVersions of the namespace, `services` its InferenceServices by name.
    """

    resource: Manifest
    spec: TrainingJobSpec
    status: TrainingJobStatus
    run: Run
    jobs: Mapping[str, Manifest]
    pods: Sequence[Manifest]
    config_maps: Sequence[Manifest]
    versions: Sequence[Manifest]
    services: Mapping[str, Manifest]

    @property
    def generation(self) -> int:
        return int(self.resource["metadata"].get("generation", 1))

    @property
    def same_run(self) -> bool:
        return self.status.run == self.run.hash

    def job(self, component: str) -> Manifest | None:
        """The train or publish Job of the current run."""
        return self.jobs.get(f"{self.run.base}-{component}")

    def pods_of(self, component: str) -> list[Manifest]:
        """Pods of that Job, by its UID."""
        job = self.job(component)
        return [pod for pod in self.pods if job and controlled_by(job["metadata"]["uid"], pod)]

    def report(self, component: str, now: float) -> Report:
        """What became of that Job."""
        return report(self.job(component), self.pods_of(component), now)


@dataclass(frozen=True, slots=True)
class Claim:
    """A number of a model: `made` says that the store already holds it for our digest."""

    number: int
    made: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """The store's part: the result that was vouched for, and the operator's own words about it.

    `note` is the accepted.json to write, None when the result was adopted from an earlier run.
    """

    result: Result | Refusal | None = None
    note: bytes | None = None
    adopted: bool = False
    claim: Claim | None = None
    provenance: Mapping[str, str] | None = None


def outcome(
    seen: Seen, phase: str, findings: Sequence[Finding], now: float, *, before: Sequence[Action] = (), **found: Any
) -> Plan:
    """A plan with the whole status. The first finding is Ready; `found` are further fields of the status."""
    requeue = found.pop("requeue_after", None)
    status = _status(seen, phase, findings, now, found)
    notices = transition(seen.status, status)
    return Plan(before=tuple(before), status=status.to_manifest(), notices=notices, requeue_after=requeue)


def _status(
    seen: Seen, phase: str, findings: Sequence[Finding], now: float, found: Mapping[str, Any]
) -> TrainingJobStatus:
    going_on = seen.same_run and seen.status.phase not in TERMINAL
    started = seen.status.started_at if going_on else None
    if phase in _STARTED and started is None:
        started = timestamp(now)
    return TrainingJobStatus(
        observed_generation=seen.generation,
        phase=phase,
        run=seen.run.hash,
        started_at=started,
        finished_at=timestamp(now) if phase in TERMINAL else None,
        conditions=conditions(seen.status.conditions, findings, now=now, generation=seen.generation),
        **found,
    )


def transition(before: TrainingJobStatus, after: TrainingJobStatus) -> tuple[Notice, ...]:
    """One Event when the phase, the run or the reason of Ready changed."""
    was, ready = find(before.conditions, "Ready"), find(after.conditions, "Ready")
    if ready is None:
        return ()
    if (before.phase, before.run, was and was.reason) == (after.phase, after.run, ready.reason):
        return ()
    return (Notice("Normal" if ready.reason in _NORMAL else "Warning", ready.reason, ready.message),)


def failed(seen: Seen, reason: str, message: str, now: float, *more: Finding) -> Plan:
    """The run ended without a verdict about the model; nothing is tried again until the spec changes."""
    findings = (Finding("Ready", "False", reason, message), *more)
    return outcome(seen, "Failed", findings, now, summary=shortened(f"{reason}: {message}", 120))


def troubled(status: TrainingJobStatus, ready: Finding, now: float, *, phase: str | None = None) -> Plan:
    """Ready is False for a reason outside the run; everything else stays as it was."""
    found = held_up(status.conditions, ready, now=now, generation=status.observed_generation)
    after = status.model_copy(update={"phase": phase or status.phase or "Pending", "conditions": found})
    return Plan(status=after.to_manifest(), notices=transition(status, after))
