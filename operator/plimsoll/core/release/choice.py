"""Which revision the spec asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from plimsoll.api.inferenceservice import InferenceServiceStatus, Quarantined
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.core import revision as revisions
from plimsoll.core.release import pins
from plimsoll.core.release.observed import Observed
from plimsoll.core.revision import Revision
from plimsoll.core.serving_pod import Serving
from plimsoll.core.versions import of_model
from plimsoll.facts import Manifest

_REFUSED = {"Rejected", "Invalid"}


#: As many revisions as the status holds.
QUARANTINE_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Choice:
    """The revision to serve, or why there is none; `passed_over` are newer revisions that are in quarantine."""

    revision: Revision | None = None
    reason: str = ""
    message: str = ""
    passed_over: tuple[str, ...] = ()


def choose(observed: Observed) -> Choice:
    """`auto`: the newest version that is Ready and not quarantined, never older than the stable one; or that number.

    An older version is chosen for the user only when the stable one has been rejected since, or when a person rolled
    back to it and nothing newer has been approved.
    """
    wanted = observed.spec.model.version
    by_number = of_model(observed.versions, observed.spec.model.name)
    if wanted != "auto":
        return _pinned(observed, by_number.get(int(wanted)), int(wanted))
    pin = pins.in_force(observed, by_number)
    floor = int(pin.above) + 1 if pin is not None else _floor(observed, by_number)
    ready = [
        number for number in sorted(by_number, reverse=True) if number >= floor and _phase(by_number[number]) == "Ready"
    ]
    passed_over: list[str] = []
    forgotten = _forgotten(observed)
    for number in ready:
        found = _revision(observed, by_number[number], number)
        locked = is_quarantined(observed.status, found.name, observed.spec.release.retry_token)
        if not locked and number not in forgotten:
            return Choice(found, passed_over=tuple(passed_over))
        passed_over.append(found.name)
    if pin is not None:
        chosen = _pinned(observed, by_number[int(pin.version)], int(pin.version))
        return replace(chosen, passed_over=(*passed_over, *chosen.passed_over))
    if ready:
        return Choice(
            None,
            "Quarantined",
            "every approved version was taken back: change spec.release.retryToken to try again",
            tuple(passed_over),
        )
    return Choice(None, "ModelVersionNotFound", _nothing_ready(observed, by_number))


def _pinned(observed: Observed, manifest: Manifest | None, number: int) -> Choice:
    name = f"{observed.spec.model.name}-v{number}"
    if manifest is None:
        return Choice(
            None,
            "ModelVersionNotFound",
            f"spec.model.version: there is no ModelVersion {name}; make it or name another version",
        )
    phase = _phase(manifest)
    if phase != "Ready":
        return Choice(
            None,
            "ModelVersionNotReady",
            f"spec.model.version: ModelVersion {name} {_why_not_ready(observed, name, phase)}",
        )
    found = _revision(observed, manifest, number)
    if is_quarantined(observed.status, found.name, observed.spec.release.retry_token):
        message = (
            f"revision {found.name} of version {number} was taken back; "
            "change spec.release.retryToken to try it again, or name another version"
        )
        return Choice(None, "Quarantined", message, (found.name,))
    return Choice(found)


def _why_not_ready(observed: Observed, name: str, phase: str) -> str:
    see = f"kubectl describe modelversion -n {observed.namespace} {name}"
    if phase in _REFUSED:
        return f"is {phase} and is not served: name another version; see {see}"
    if phase == "PendingApproval":
        return f"waits for a person's approval; see {see}"
    return f"is not verified yet; see {see}"


def _floor(observed: Observed, by_number: Mapping[int, Manifest]) -> int:
    reference = observed.status.stable
    serving = observed.revision(reference.revision) if reference else None
    if reference is None or (serving is not None and serving.model != observed.spec.model.name):
        return 0
    stable = int(reference.version)
    return 0 if stable in by_number and _phase(by_number[stable]) in _REFUSED else stable


def out_of_reach(observed: Observed, version: str) -> str | None:
    """Why the spec never comes to this version by itself, also where nothing locks it; None when it may."""
    named = observed.spec.model.version
    if named != "auto":
        return f"spec.model.version names version {named}" if named != version else None
    by_number = of_model(observed.versions, observed.spec.model.name)
    pin = pins.in_force(observed, by_number)
    if pin is not None:
        away = int(version) <= int(pin.above) and version != pin.version
        return f"{pin.by or 'a command'} rolled back to version {pin.version}" if away else None
    floor = _floor(observed, by_number)
    return f"version {floor} serves, and auto goes back to none before it" if int(version) < floor else None


def refused_since(observed: Observed, version: str) -> str | None:
    """`Rejected` or `Invalid`, when a person or the verification has said no to the version; None when neither has."""
    manifest = of_model(observed.versions, observed.spec.model.name).get(int(version))
    phase = _phase(manifest) if manifest is not None else ""
    return phase if phase in _REFUSED else None


def _forgotten(observed: Observed) -> range:
    """Versions that a full quarantine may have dropped: those between the stable one and the oldest that it holds."""
    status, token = observed.status, observed.spec.release.retry_token
    locked = [int(one.version) for one in status.quarantine if one.retry_token == token]
    if len(locked) < QUARANTINE_LIMIT or status.stable is None:
        return range(0)
    return range(int(status.stable.version) + 1, min(locked))


def _phase(manifest: Manifest) -> str:
    return str((manifest.get("status") or {}).get("phase") or "")


def _nothing_ready(observed: Observed, by_number: Mapping[int, Manifest]) -> str:
    model = observed.spec.model.name
    if not by_number:
        return f"spec.model.name: model {model} has no version; train one (TrainingJob) or make ModelVersion {model}-v1"
    listed = ", ".join(f"v{number} {_phase(by_number[number]) or 'unverified'}" for number in sorted(by_number)[-5:])
    see = f"kubectl describe modelversion -n {observed.namespace} {model}-v{max(by_number)}"
    return f"no version of model {model} is Ready to be served: {listed}; see {see}"


def _revision(observed: Observed, manifest: Manifest, number: int) -> Revision:
    """The stored revision with these inputs, or one rendered now: only then are the images of the settings taken."""
    serving = Serving(
        observed.name,
        observed.namespace,
        str(number),
        ModelVersionSpec.model_validate(manifest["spec"]),
        observed.spec.runtime,
    )
    found = revisions.find(observed.revisions, revisions.inputs_hash(serving))
    if found is not None:
        return found
    following = 1 + max((one.number for one in observed.revisions), default=0)
    return revisions.render(serving, observed.settings, _signature(manifest), following)


def _signature(manifest: Manifest) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = (manifest.get("status") or {}).get("signature") or manifest["spec"].get(
        "signature"
    )
    return found


def is_quarantined(status: InferenceServiceStatus, revision: str, token: str | None) -> bool:
    """Whether the revision was taken back under this very retryToken."""
    return any(one.revision == revision and one.retry_token == token for one in status.quarantine)


def quarantined(status: InferenceServiceStatus, entry: Quarantined) -> tuple[Quarantined, ...]:
    """The quarantine with `entry`, the newest first; those of an earlier retryToken no longer lock anything."""
    others = [one for one in status.quarantine if one.revision != entry.revision]
    if len(others) >= QUARANTINE_LIMIT:
        others = [one for one in others if one.retry_token == entry.retry_token]
    return (entry, *others)[:QUARANTINE_LIMIT]


def refuses_stable_inputs(candidate: Revision, stable: Revision) -> str | None:
    """Why the candidate would refuse requests that the stable revision accepts, in a sentence; None when it would not.

    Names and types must be equal, each dimension equal or free (-1) in the candidate. Without both signatures nothing
    is known.
    """
    if not candidate.signature or not stable.signature:
        return None
    ours = {one["name"]: one for one in stable.signature["inputs"]}
    theirs = {one["name"]: one for one in candidate.signature["inputs"]}
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in theirs or name not in ours:
            return f"input {name} is {'unknown to the candidate' if name in ours else 'new'}"
        have, want = theirs[name], ours[name]
        if have["datatype"] != want["datatype"] or not _accepts(have["shape"], want["shape"]):
            return f"input {name}: {want['datatype']} {want['shape']} became {have['datatype']} {have['shape']}"
    return None


def _accepts(candidate: list[int], stable: list[int]) -> bool:
    return len(candidate) == len(stable) and all(
        mine in (-1, theirs) for mine, theirs in zip(candidate, stable, strict=True)
    )
