"""What became of a Job, in a sentence with the remedy, from the Job, its pods and the clock."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from plimsoll import names
from plimsoll.core.conditions import unix
from plimsoll.core.jobs import USER_ERROR
from plimsoll.core.pods import (
    STORE_REMEDY,
    by_age,
    component_of,
    conditions_of,
    containers_of,
    declared,
    ends_of,
    last_line,
    memory_limit,
    name_of,
    phase_of,
    programs_of,
    sentence,
)
from plimsoll.core.result import Message, parse_message
from plimsoll.facts import Manifest

#: How long a Job may be without a pod before that is said aloud, in seconds.
PODLESS_SECONDS = 30
#: How long the cache of pods may lag behind the one of Jobs, in seconds.
LAG_SECONDS = 15
_PULL_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_START_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
#: Reasons of `Waiting`: what a later deadline is explained with.
WAITING = ("ImagePullBackOff", "ContainerCannotStart", "Unschedulable", "NoPods")
_REASON = re.compile(r"^[A-Z][A-Za-z0-9]{0,63}$")
#: Fields of run.json that are called the same in a TrainingJob's spec.
_FIELD = re.compile(r"^(data|target|trainer|gates)\b[\w.\[\]]*:")


@dataclass(frozen=True, slots=True)
class Report:
    """State of a Job. `reason` and `message` tell what it waits for or why it failed; `look_again` is in seconds."""

    state: Literal["Absent", "Suspended", "Waiting", "Running", "Ending", "Complete", "Failed"]
    reason: str = ""
    message: str = ""
    look_again: float | None = None


def report(job: Manifest | None, pods: Sequence[Manifest], now: float) -> Report:
    """What became of `job`. `pods` are those that it controls."""
    if job is None:
        return Report("Absent")
    ended = {condition["type"]: condition for condition in conditions_of(job) if condition.get("status") == "True"}
    if "Complete" in ended:
        return Report("Complete")
    if "Failed" in ended:
        return _failed(job, pods, ended["Failed"], now)
    if "FailureTarget" in ended:
        return Report("Ending")
    if job["spec"].get("suspend"):
        return Report("Suspended")
    return _going_on(job, pods, now)


def publish_message(pods: Sequence[Manifest]) -> Message | None:
    """The message of the container `publish` of a pod that ended well; None when no pod has one."""
    for pod in pods:
        for status, end in ends_of(pod):
            if status["name"] == "publish" and end.get("exitCode") == 0:
                return parse_message(end.get("message") or "")
    return None


def lost_message(job: Manifest, now: float) -> bool:
    """Whether a Job without a message has been complete for so long that its pods must be gone."""
    ended = (job.get("status") or {}).get("completionTime")
    return ended is not None and now - unix(ended) > LAG_SECONDS


# --- failed -----------------------------------------------------------------------------------------------------------


def _failed(job: Manifest, pods: Sequence[Manifest], condition: Manifest, now: float) -> Report:
    reason = condition.get("reason", "")
    if reason == "DeadlineExceeded":
        deadline = job["spec"]["activeDeadlineSeconds"]
        what = f"Job {name_of(job)} ran past its deadline of {deadline} s"
        return Report("Failed", reason, f"{what}: {_more_time(job)}.")
    failed = sorted((pod for pod in pods if phase_of(pod) == "Failed"), key=by_age)
    if failed:
        return _explained(job, failed[-1], len(failed))
    if now - unix(condition.get("lastTransitionTime") or "1970-01-01T00:00:00Z") <= LAG_SECONDS:
        return Report("Running", look_again=2.0)
    return Report(
        "Failed",
        reason or "JobFailed",
        f"Job {name_of(job)} failed: {condition.get('message') or 'it does not say why'}.",
    )


def _more_time(job: Manifest) -> str:
    if component_of(job) == "verify":
        return "the file is too large for it, or the store too slow"
    return "raise spec.activeDeadlineSeconds, or give it less to do"


def _explained(job: Manifest, pod: Manifest, attempts: int) -> Report:
    status = pod.get("status") or {}
    for container, end in ends_of(pod):
        if end.get("exitCode", 0) == 0:
            continue
        name = container["name"]
        if end.get("reason") == "OOMKilled":
            limit = memory_limit(job, name)
            return Report(
                "Failed",
                "OutOfMemory",
                f"Container {name} needed more than its {limit} of memory: raise spec.resources.memory.",
            )
        if end["exitCode"] == USER_ERROR and name in programs_of(job):
            return users_error(name, end.get("message") or "")
        return Report("Failed", "ContainerFailed", _exited(job, name, end, attempts))
    if status.get("reason") == "Evicted":
        return Report("Failed", "Evicted", f"Pod {name_of(pod)} was evicted: {sentence(status.get('message', ''))}")
    return Report(
        "Failed",
        "PodFailed",
        f"Pod {name_of(pod)} failed: {sentence(status.get('message') or status.get('reason') or '')}",
    )


def users_error(container: str, text: str) -> Report:
    """The termination message of a program of ours that ended with exit code 2."""
    try:
        error = json.loads(text)["error"]
        reason, message = str(error["reason"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        reason, message = "InvalidInput", text or "it does not say what is wrong"
    said = f"spec.{message}" if _FIELD.match(message) else f"{container}: {message}"
    return Report("Failed", reason if _REASON.match(reason) else "InvalidInput", sentence(said))


def _own_words(text: str) -> str:
    """The message that a program of ours left when it gave up; empty when it left none."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _exited(job: Manifest, container: str, end: Manifest, attempts: int) -> str:
    times = "" if attempts == 1 else f" in {attempts} attempts, the last time"
    text = end.get("message") or ""
    tail = last_line((_own_words(text) if container in programs_of(job) else "") or text)
    logs = f"kubectl logs -n {job['metadata']['namespace']} job/{name_of(job)} -c {container}"
    return (
        f"Container {container} failed{times} with exit code {end['exitCode']}{': ' + tail if tail else ''}. See {logs}"
    )


# --- going on ---------------------------------------------------------------------------------------------------------


def _going_on(job: Manifest, pods: Sequence[Manifest], now: float) -> Report:
    alive = [pod for pod in pods if phase_of(pod) in ("Pending", "Running", "")]
    for pod in alive:
        waiting = _waiting(job, pod)
        if waiting:
            return waiting
    if alive or pods:
        return _running(job, pods)
    since = now - unix((job.get("status") or {}).get("startTime") or job["metadata"]["creationTimestamp"])
    if since < PODLESS_SECONDS:
        return Report("Running", look_again=PODLESS_SECONDS - since)
    where = f"kubectl describe job -n {job['metadata']['namespace']} {name_of(job)}"
    why = "a quota, a limit range or an admission policy may refuse it"
    return Report("Waiting", "NoPods", f"Job {name_of(job)} has had no pod for {PODLESS_SECONDS} s: {why}. See {where}")


def _running(job: Manifest, pods: Sequence[Manifest]) -> Report:
    failed = sorted((pod for pod in pods if phase_of(pod) == "Failed"), key=by_age)
    if not failed:
        return Report("Running")
    last = _explained(job, failed[-1], 1)
    attempt = f"Attempt {len(failed) + 1} of {job['spec'].get('backoffLimit', 6) + 1} is under way."
    return Report("Running", "Retrying", f"{last.message} {attempt}")


def _waiting(job: Manifest, pod: Manifest) -> Report | None:
    for condition in conditions_of(pod):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Report(
                "Waiting",
                "Unschedulable",
                f"No node takes pod {name_of(pod)}: {sentence(condition.get('message', ''))} {_room(job)}",
            )
    for status in containers_of(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in _PULL_REASONS:
            return Report("Waiting", "ImagePullBackOff", _pull(job, status))
        if reason in _START_REASONS:
            what = f"Container {status['name']} cannot start: {sentence(waiting.get('message') or reason)}"
            return Report("Waiting", "ContainerCannotStart", f"{what}{_store_remedy(what)}")
    return None


def _room(job: Manifest) -> str:
    """What makes a pod fit. Jobs that verify have resources of ours."""
    if component_of(job) == "verify":
        return "It runs as soon as a node has room."
    where = "the judge's job.resources" if component_of(job) == "judge" else "spec.resources"
    return f"Ask for less in {where}, or add a node; it runs as soon as one has room."


def _store_remedy(what: str) -> str:
    return f" {STORE_REMEDY}" if names.STORE_SECRET in what else ""


def _pull(job: Manifest, status: Manifest) -> str:
    image = declared(job, status["name"]).get("image") or status.get("image", "")
    deadline = job["spec"].get("activeDeadlineSeconds")
    return (
        f"The image {image} of container {status['name']} cannot be pulled: check its name and who may pull it. "
        f"The Job waits for it until its deadline of {deadline} s."
    )
