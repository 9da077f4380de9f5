"""A release as a tree: the service, its versions with their shares, their pods. Pure: text from objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from plimsoll import names
from plimsoll.cli.times import age, table

Object = dict[str, Any]
_GLYPHS = {
    "Pending": "◌", "Idle": "✔", "Held": "‖", "RollingBack": "↶", "RolledBack": "✖",
}  # fmt: skip
_WORKING = "▶"


def render(service: Object, pods: Sequence[Object], now: float) -> str:
    """Facts first, then the tree, then the last windows; `now` is in Unix seconds."""
    parts = [_facts(service, now), _tree(service, pods, now), _windows(service.get("status") or {})]
    return "\n\n".join(part for part in parts if part)


def _facts(service: Object, now: float) -> str:
    status, spec = service.get("status") or {}, service["spec"]
    phase = status.get("phase", "Unknown")
    model = spec["model"]
    release = spec.get("release") or {}
    rows = [
        ("Name:", f"{service['metadata']['name']} ({service['metadata']['namespace']})"),
        ("Model:", f"{model['name']}, version {model.get('version', 'auto')}{_pin(status)}"),
        ("Phase:", f"{glyph(phase)} {phase} for {age(status.get('phaseSince'), now)}"),
        ("Says:", status.get("message", "the operator has not looked at it yet")),
        ("Strategy:", f"{release.get('strategy', 'Canary')}{_step(status)}"),
    ]
    again = status.get("revisionAttempt") or 1
    if again > 1 and status.get("candidate"):
        rows.append(("Attempt:", f"{status['attempt']}, number {again} of this revision: it has less of alpha"))
    verdict, command = status.get("verdict"), status.get("lastCommand")
    if verdict:
        rows.append(("Verdict:", f"{verdict['reason']} ({age(verdict['at'], now)} ago)"))
    if status.get("eta"):
        rows.append(("ETA:", status["eta"]["message"]))
    if status.get("effect"):
        rows.append(("Effect:", status["effect"]["reason"]))
    if command:
        rows.append(("Command:", f"{command['outcome']}: {command['message']} ({age(command['at'], now)} ago)"))
    locked = ", ".join(f"v{one['version']}" for one in status.get("quarantine", ()))
    if locked:
        rows.append(("Quarantine:", locked))
    rows += [
        (f"{one['type']}:", f"{one['status']}, {one['reason']}: {one.get('message', '')}")
        for one in status.get("conditions", ())
        if one["status"] != "True" and one["type"] not in {"Promoted"}
    ]
    if status.get("url"):
        rows.append(("URL:", status["url"]))
    width = max(len(label) for label, _ in rows) + 1
    return "\n".join(f"{label:<{width}}{text}" for label, text in rows)


def _pin(status: Object) -> str:
    pin = status.get("pin")
    return f", {pin.get('by') or 'somebody'} rolled back to {pin['version']}" if pin else ""


def _step(status: Object) -> str:
    return f", step {status['step']}" if status.get("step") else ""


def glyph(phase: str) -> str:
    """A sign for a phase."""
    return _GLYPHS.get(phase, _WORKING)


# --- the tree -------------------------------------------------------------------------------------------------------


def _tree(service: Object, pods: Sequence[Object], now: float) -> str:
    status, name = service.get("status") or {}, service["metadata"]["name"]
    pool = ((service["spec"].get("runtime") or {}).get("pool") or {}).get("name")
    branches = [(_headline(one, part, share), _pods_of(pods, one["revision"])) for one, part, share in _arms(status)]
    if pool:
        branches.append((f"pool {pool}", list(pods)))
    lines = [f"{name}   {glyph(status.get('phase', 'Unknown'))} {status.get('phase', 'Unknown')}"]
    for number, (headline, below) in enumerate(branches):
        last = number == len(branches) - 1
        lines.append(f"{'└──' if last else '├──'} {headline}")
        lines += [f"{'   ' if last else '│  '} {line}" for line in _pod_lines(below, now)]
    return "\n".join(lines)


def _arms(status: Object) -> Iterator[tuple[Object, str, int | None]]:
    """Each revision that has a part to play, its part, and its share of the requests in percent."""
    candidate, stable, weight = status.get("candidate"), status.get("stable"), status.get("weight") or 0
    baseline, warm = status.get("baseline"), status.get("warm")
    beside = min(weight, 100 - weight) if baseline and not status.get("mirror") else 0
    if candidate:
        yield candidate, "candidate", weight
    if baseline:
        yield baseline, "baseline", beside
    if stable:
        yield stable, "stable", 100 - weight - beside if candidate else 100
    if warm:
        yield warm, "warm", None
    for one in status.get("retiring", ()):
        if not warm or one["revision"] != warm["revision"]:
            yield one, "retiring", None


def _headline(one: Object, part: str, share: int | None) -> str:
    return f"v{one['version']}   {part}" + (f", {share} %" if share is not None else "") + f"   {one['revision']}"


def _pods_of(pods: Sequence[Object], revision: str) -> list[Object]:
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(names.LABEL_REVISION) == revision]


def _pod_lines(pods: Sequence[Object], now: float) -> Iterator[str]:
    found = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    rows = [_pod_row(pod, now) for pod in found]
    lines = table([""] * 5, rows).splitlines()[1:] if rows else []
    for number, line in enumerate(lines):
        yield f"{'└──' if number == len(lines) - 1 else '├──'} {line}"


def _pod_row(pod: Object, now: float) -> tuple[str, str, str, str, str]:
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ())
    restarts = sum(one.get("restartCount", 0) for one in containers)
    said = _what(pod)
    count = f"{sum(bool(one.get('ready')) for one in containers)}/{len(pod['spec'].get('containers') or containers)}"
    ago = age(pod["metadata"].get("creationTimestamp"), now)
    return f"pod {pod['metadata']['name']}", f"{'✔' if ready else '✖'} {said}", f"{count} ready", _times(restarts), ago


def _what(pod: Object) -> str:
    """Why it waits, or its phase, as `kubectl get pods` has it."""
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    status = pod.get("status") or {}
    for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        reason = ((one.get("state") or {}).get("waiting") or {}).get("reason")
        if reason and reason != "PodInitializing":
            return str(reason)
    return str(status.get("phase", "Unknown"))


def _times(restarts: int) -> str:
    return "1 restart" if restarts == 1 else f"{restarts} restarts"


# --- windows --------------------------------------------------------------------------------------------------------


def _windows(status: Object) -> str:
    """The last of them, failures of requests."""
    found = status.get("windows") or []
    if not found or not status.get("candidate"):
        return ""
    rows = [
        (
            str(one["index"]),
            one["end"][11:19],
            f"{one['weight']} %",
            one["stable"],
            one["candidate"],
            one.get("gap", ""),
        )
        for one in found[-5:]
    ]
    return table(("WINDOW", "ENDED", "WEIGHT", "STABLE", "CANDIDATE", "GAP"), rows)
