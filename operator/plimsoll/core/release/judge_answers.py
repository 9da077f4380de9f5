"""What a Job that judges says, from its conditions; its pod adds the words.

The Job's conditions decide, for its pod may be gone: complete is Pass, the exit code that its podFailurePolicy names is
Fail. Whatever else happened to it is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from plimsoll.core.conditions import shortened, unix
from plimsoll.core.containers import JUDGE
from plimsoll.core.jobs import controlled_by
from plimsoll.core.outcome import report
from plimsoll.core.pods import conditions_of, declared, ends_of, last_line, name_of
from plimsoll.facts import External, Manifest

#: How long the cache of pods may lag behind the one of Jobs, in seconds.
_LAG_SECONDS: Final = 5.0
_LONGEST: Final = 200


def said(job: Manifest, everyones_pods: Sequence[Manifest], index: int, now: float) -> External:
    """The answer about window `index`; Inconclusive while there is none. `candidate` is (index,) once it has ended."""
    pods = [pod for pod in everyones_pods if controlled_by(job["metadata"]["uid"], pod)]
    ended = next(
        (one for one in conditions_of(job) if one["type"] in ("Complete", "Failed") and one["status"] == "True"), None
    )
    end = _end(pods)
    if ended is None or (end is None and _may_lag(ended, now)):
        return External(answer="Inconclusive", reason=_cut(f"window {index}: {_waiting(job, pods, now)}"))
    judged = (float(index),)
    words = last_line((end or {}).get("message") or "")
    if ended["type"] == "Complete" or ended.get("reason") == "PodFailurePolicy":
        answer = "Pass" if ended["type"] == "Complete" else "Fail"
        return External(judged, answer=answer, reason=_cut(f"window {index}: {words}" if words else f"window {index}"))
    return External(judged, gap=_cut(_no_answer(job, ended, end, words)))


def _end(pods: Sequence[Manifest]) -> Manifest | None:
    """How the newest pod's container ended."""
    found = [
        (pod["metadata"].get("creationTimestamp", ""), end)
        for pod in pods
        for status, end in ends_of(pod)
        if status["name"] == JUDGE
    ]
    return max(found, key=lambda one: str(one[0]))[1] if found else None


def _may_lag(ended: Manifest, now: float) -> bool:
    """A deadline leaves no pod to wait for."""
    if ended.get("reason") == "DeadlineExceeded":
        return False
    return now - unix(ended.get("lastTransitionTime") or "1970-01-01T00:00:00Z") <= _LAG_SECONDS


def _waiting(job: Manifest, pods: Sequence[Manifest], now: float) -> str:
    found = report(job, pods, now)
    return found.message if found.state == "Waiting" else f"Job {name_of(job)} has not ended"


def _no_answer(job: Manifest, ended: Manifest, end: Manifest | None, words: str) -> str:
    """Why, with the remedy, beginning with a word as other outages do."""
    name = name_of(job)
    if ended.get("reason") == "DeadlineExceeded":
        seconds = job["spec"]["activeDeadlineSeconds"]
        return f"slow: Job {name} did not end within {seconds} s: raise the judge's job.timeout, or give it less to do"
    if end is None:
        return f"down: Job {name} failed ({ended.get('reason') or 'no reason'}) and left no pod that says why"
    if end.get("reason") == "OOMKilled":
        limit = declared(job, JUDGE).get("resources", {}).get("limits", {}).get("memory", "limit")
        return f"down: Job {name} needed more than its {limit} of memory: raise the judge's job.resources.memory"
    rules = job["spec"]["podFailurePolicy"]["rules"]
    (fails,) = next(rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule)
    ends = f"invalid: Job {name} ended with exit code {end.get('exitCode')}, where 0 passes and {fails} fails"
    return f"{ends}: {words}" if words else ends


def _cut(text: str) -> str:
    return shortened(text.rstrip("."), _LONGEST)
