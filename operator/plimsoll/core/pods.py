"""Reading Jobs and their pods as the API server shows them. Texts of others are made printable and short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from plimsoll import names
from plimsoll.core.conditions import shortened
from plimsoll.facts import Manifest

#: The remedy when the credentials of a namespace's bucket are not there.
STORE_REMEDY = (
    "With a store of your own you make this Secret (see docs/store.md); that of the chart's store comes back with the "
    "next object of ours that needs a pod."
)


def conditions_of(manifest: Manifest) -> Sequence[Manifest]:
    """Conditions of any object."""
    return (manifest.get("status") or {}).get("conditions") or ()


def containers_of(pod: Manifest) -> Iterator[Manifest]:
    """Statuses of all containers, the init containers first."""
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def ends_of(pod: Manifest) -> Iterator[tuple[Manifest, Manifest]]:
    """Containers that ended, with how."""
    for status in containers_of(pod):
        end = (status.get("state") or {}).get("terminated")
        if end:
            yield status, end


def component_of(manifest: Manifest) -> str:
    """train, publish or verify, by the label of a Job."""
    return str((manifest["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT, ""))


def declared(job: Manifest, container: str) -> dict[str, Any]:
    """A container as the Job declares it."""
    pod = job["spec"]["template"]["spec"]
    everyone = (*(pod.get("initContainers") or ()), *pod["containers"])
    return next((dict(one) for one in everyone if one["name"] == container), {})


def memory_limit(job: Manifest, container: str) -> str:
    """A container's limit of memory."""
    return str(declared(job, container).get("resources", {}).get("limits", {}).get("memory", "limit"))


def programs_of(job: Manifest) -> set[str]:
    """The containers that run our programs: only those may say that the user made a mistake."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or ()
    return {rule["onExitCodes"]["containerName"] for rule in rules if rule.get("onExitCodes")}


def phase_of(pod: Manifest) -> str:
    """Phase of a pod; empty before kubelet has seen it."""
    return str((pod.get("status") or {}).get("phase", ""))


def by_age(pod: Manifest) -> tuple[str, str]:
    """Orders pods by their creation."""
    return str(pod["metadata"].get("creationTimestamp", "")), name_of(pod)


def name_of(manifest: Manifest) -> str:
    """Name of any object."""
    return str(manifest["metadata"]["name"])


def last_line(text: str) -> str:
    """The last line that says something, printable and short."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return shortened("".join(c for c in lines[-1] if c.isprintable()), 300).rstrip(".") if lines else ""


def sentence(text: str) -> str:
    """A text of somebody else's, printable, short, and with a full stop."""
    plain = shortened("".join(c if c.isprintable() else " " for c in text).strip(), 900)
    return plain if plain.endswith((".", "…", "!", "?")) else f"{plain}."
