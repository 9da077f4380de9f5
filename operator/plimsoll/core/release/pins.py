"""A rollback that a person asked for: the version that `auto` means until something newer is approved.

It lives in the status: the spec is the user's, and in Git.
"""

from __future__ import annotations

from collections.abc import Mapping

from plimsoll.api.inferenceservice import InferenceServiceStatus as Status
from plimsoll.api.inferenceservice import Pin
from plimsoll.core.conditions import timestamp
from plimsoll.core.release.observed import Observed
from plimsoll.core.versions import of_model
from plimsoll.facts import Manifest


def made(observed: Observed, version: str, by: str) -> Pin:
    """A pin to this version; only what is newer than everything approved now lifts it."""
    model, status = observed.spec.model.name, observed.status
    ready = [number for number, manifest in of_model(observed.versions, model).items() if is_ready(manifest)]
    above = max([int(version), *ready, *([int(status.stable.version)] if status.stable else [])])
    return Pin(model=model, version=version, above=str(above), by=by, at=timestamp(observed.now))


def unfit(observed: Observed, version: str) -> str | None:
    """Why this version cannot be gone back to, in a sentence; None when it can."""
    model = observed.spec.model.name
    if not version.isdigit():
        return 'name the number of a version in "to"'
    manifest = of_model(observed.versions, model).get(int(version))
    if manifest is None:
        return f"there is no ModelVersion {model}-v{version}"
    phase = (manifest.get("status") or {}).get("phase") or "not verified yet"
    return None if is_ready(manifest) else f"ModelVersion {model}-v{version} is {phase}: only what is Ready is served"


def in_force(observed: Observed, by_number: Mapping[int, Manifest]) -> Pin | None:
    """The pin, as long as the spec says `auto` and the version can be served."""
    pin = observed.status.pin
    if pin is None or _is_over(observed, observed.status, pin):
        return None
    found = by_number.get(int(pin.version))
    return pin if found is not None and is_ready(found) else None


def goes_back(status: Status, version: str) -> bool:
    """Whether somebody rolled back to this version, and it has served here before as far as the history reaches."""
    pin, stable = status.pin, status.stable
    if pin is None or pin.version != version or (stable is not None and stable.version == version):
        return False
    return any((one.version, one.outcome) == (version, "Promoted") for one in status.history)


def lifted(observed: Observed, status: Status) -> Status:
    """Without a pin that is over: something newer serves, or the spec names a version or another model."""
    pin = status.pin
    over = pin is not None and _is_over(observed, status, pin)
    return status.model_copy(update={"pin": None}) if over else status


def _is_over(observed: Observed, status: Status, pin: Pin) -> bool:
    model = observed.spec.model
    newer = status.stable is not None and int(status.stable.version) > int(pin.above)
    return model.version != "auto" or model.name != pin.model or newer


def is_ready(manifest: Manifest) -> bool:
    """Whether a ModelVersion may be served."""
    return (manifest.get("status") or {}).get("phase") == "Ready"
