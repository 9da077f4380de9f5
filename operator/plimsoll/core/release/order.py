"""The order of releases across the InferenceServices of a namespace: `release.after`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from plimsoll.core.release.observed import Observed
from plimsoll.core.revision import Revision
from plimsoll.facts import Manifest


def cycle(observed: Observed) -> str | None:
    """The services that wait for each other and this one, as `a → b → a`; None when there is no such circle.

    The shortest circle is told. Each service is looked at once: the ways through many lists are too many to walk.
    """
    goal = observed.name
    came_from: dict[str, str] = {}
    to_visit = deque([goal])
    while to_visit:
        name = to_visit.popleft()
        following = _after(observed.others.get(name)) if name != goal else observed.spec.release.after
        for one in following:
            if one == goal:
                return " → ".join((*_way(goal, name, came_from), goal))
            if one not in came_from:
                came_from[one] = name
                to_visit.append(one)
    return None


def _way(start: str, end: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
    found = [end]
    while found[-1] != start:
        found.append(came_from[found[-1]])
    return tuple(reversed(found))


def waits_for(observed: Observed, wanted: Revision) -> str | None:
    """Whom the release of `wanted` waits for and why, as a sentence; None when it may begin."""
    circle = cycle(observed)
    if circle is not None:
        return f"spec.release.after: {circle} wait for each other; take one of them out"
    found = (_lacks(observed, name, wanted) for name in observed.spec.release.after)
    return next((one for one in found if one is not None), None)


def _lacks(observed: Observed, name: str, wanted: Revision) -> str | None:
    """A service of the same model goes first with the same version or a newer one; one of another model is at rest."""
    other = observed.others.get(name)
    if other is None:
        return f"spec.release.after: there is no InferenceService {name} in this namespace; make it or take it out"
    spec, status, meta = other.get("spec") or {}, other.get("status") or {}, other["metadata"]
    phase = status.get("phase") or "not looked at yet"
    if status.get("observedGeneration") != meta.get("generation") or phase != "Idle":
        return f"InferenceService {name} goes first and is {phase if phase != 'Idle' else 'being looked at'}"
    if (spec.get("model") or {}).get("name") == wanted.model:
        serves = str((status.get("stable") or {}).get("version", ""))
        behind = not serves or int(serves) < int(wanted.version)
        return f"InferenceService {name} goes first and serves v{serves or '-'}" if behind else None
    return None if _promoted(status) else f"InferenceService {name} goes first and has not promoted what it is asked to"


def _promoted(status: Manifest) -> bool:
    found = status.get("conditions") or ()
    return any(one["type"] == "Promoted" and one["status"] == "True" for one in found)


def _after(service: Mapping[str, object] | None) -> Sequence[str]:
    spec = (service or {}).get("spec")
    release = spec.get("release") if isinstance(spec, Mapping) else None
    return (release or {}).get("after") or ()
