"""Every strategy is a preset of one course: copies first, then shares, then full traffic with the old version warm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import InferenceServiceSpec
from plimsoll.api.release import Mirroring, Release, SplitTest, Step

#: How `status.approved` names what comes after all stages.
PROMOTION = "promotion"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the candidate stays at `weight` percent: for so many seconds and requests, and until the evidence passes.

    `pauses` says that the stage is a stop at the share of the one before; `manual` that a person has to say resume.
    """

    weight: int
    stay: float
    requests: int
    manual: bool = False
    pauses: bool = False


@dataclass(frozen=True, slots=True)
class Shadowing:
    """Copies of `percent` of the requests go to the candidate: for so many seconds and so many compared copies."""

    percent: int
    stay: float
    requests: int


@dataclass(frozen=True, slots=True)
class Course:
    """`then` says what follows a pass: Promote, Hold or Keep.

    `holdback` is the percent of requests that the old version keeps after full traffic;
    `compared` whether the two versions are compared before the new one answers all.
    """

    shadow: Shadowing | None = None
    steps: tuple[Stage, ...] = ()
    then: str = "Promote"
    holdback: int = 0

    @property
    def compared(self) -> bool:
        return bool(self.steps) or self.shadow is not None


def course(spec: InferenceServiceSpec) -> Course:
    """What the spec's strategy asks for."""
    release = spec.release
    match release.strategy:
        case "Recreate":
            return Course()
        case "Canary":
            return Course(_first(release), tuple(_stages(release.steps)), _on_pass(release), release.holdback)
        case "BlueGreen":
            return Course(_first(release), (), _on_pass(release), release.holdback)
        case "Shadow":
            return Course(_shadowing(release.shadow or Mirroring()), (), _on_pass(release, "Hold"), release.holdback)
        case "ABTest":
            test = release.test or SplitTest()
            stage = Stage(test.weight, seconds(test.min_duration), test.min_requests)
            return Course(None, (stage,), _on_pass(release), release.holdback)


def _first(release: Release) -> Shadowing | None:
    return _shadowing(release.shadow_first) if release.shadow_first else None


def _shadowing(mirroring: Mirroring) -> Shadowing:
    return Shadowing(mirroring.percent, seconds(mirroring.min_duration), mirroring.min_requests)


def _on_pass(release: Release, otherwise: str = "Promote") -> str:
    return release.on_pass or otherwise


def _stages(steps: tuple[Step, ...]) -> Iterator[Stage]:
    """A pause keeps the share of the step before it."""
    weight = 0
    for step in steps:
        weight = step.weight or weight
        if step.pause is None:
            manual = step.approval == "Manual"
            yield Stage(weight, seconds(step.min_duration), step.min_requests, manual)
        elif step.pause.duration is None:
            yield Stage(weight, 0.0, 0, manual=True, pauses=True)
        else:
            yield Stage(weight, seconds(step.pause.duration), 0, pauses=True)
