"""Judges that are Jobs: one for a window of a step, and once it has answered the next one for a later window.

Nothing is remembered but the Jobs themselves. Their names follow from the judge, the attempt, the step and the window,
so an operator that died goes on with the Job that it had begun. The newest one of a step speaks in every window that
ends; the next one begins only when its answer is in the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

from plimsoll import names
from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import RevisionRef
from plimsoll.api.judges import Judge, JudgeJob
from plimsoll.core import route
from plimsoll.core.conditions import timestamp, unix
from plimsoll.core.containers import JUDGE, POD_SECURITY, SCRATCH, judge
from plimsoll.core.jobs import service_account
from plimsoll.core.pods import conditions_of
from plimsoll.core.release import pace, sources
from plimsoll.core.release.garbage import delete
from plimsoll.core.release.judge_answers import said
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.record import recorded
from plimsoll.core.release.turn import Status
from plimsoll.core.release.windows import step_label
from plimsoll.facts import Action, Create, External, Manifest, Window

COMPONENT: Final = "judge"
#: Pods of such Jobs, by their labels.
SELECTOR: Final = {names.LABEL_COMPONENT: COMPONENT}
#: How long a finished Job stays, so that its log can be read, in seconds.
_KEPT_SECONDS: Final = 3600
_UNHEARD: Final = External(answer="Inconclusive", reason="no Job of it has judged this step yet")
_GONE: Final = External(gap="missing: its Job is gone, or could not be made; it is made again after this window")


def answers(observed: Observed, window: Window) -> dict[str, External]:
    """What the Jobs say at the end of this window; `candidate` holds the number of the window that was judged."""
    return {sources.judge_key(one.name): _answer(observed, one, window.step) for one, _ in _judges(observed)}


def actions(observed: Observed, status: Status, windows: Sequence[Window]) -> Iterator[Action]:
    """The Jobs that are due after the last of `windows`, and the end of those that nobody waits for any more."""
    kept: set[str] = set()
    for one, job in _judges(observed) if pace.measured(status) else ():
        own = _own(observed, one, status, step_label(observed, status))
        if own:
            kept.add(own[max(own)]["metadata"]["name"])
        if _goes_on(observed, status) and windows and _is_due(observed, one, job, windows):
            yield service_account(observed.namespace, COMPONENT)
            yield Create(_manifest(observed, one, job, windows[-1]))
    for name, found in observed.jobs.items():
        if name not in kept and not found["metadata"].get("deletionTimestamp") and not _left_to_its_time(found, kept):
            yield delete(found, "batch/v1", "Job")


def _judges(observed: Observed) -> Iterator[tuple[Judge, JudgeJob]]:
    yield from ((one, one.job) for one in observed.spec.release.analysis.judges if one.job is not None)


def _goes_on(observed: Observed, status: Status) -> bool:
    """Whether the next window will be one like the last: what judged the last share judges no other."""
    before = observed.status
    same = (before.attempt, before.weight, before.mirror) == (status.attempt, status.weight, status.mirror)
    return same and status.step_since is not None and step_label(observed, before) == step_label(observed, status)


def _is_due(observed: Observed, one: Judge, job: JudgeJob, windows: Sequence[Window]) -> bool:
    """Whether the last window is to be judged: none of its step was, or the one before has been heard long enough."""
    last = windows[-1]
    if last.gap is not None or last.step != step_label(observed, observed.status):
        return False
    own = _own(observed, one, observed.status, last.step)
    if not own:
        return True
    index = max(own)
    heard = last.external.get(sources.judge_key(one.name), sources.UNASKED).candidate == (float(index),)
    judged = next((window.end for window in windows if window.index == index), last.start)
    return index < last.index and heard and last.end - judged >= seconds(job.interval) - pace.EARLY_SECONDS


def _answer(observed: Observed, one: Judge, step: int) -> External:
    """Of the newest Job. While it runs, an outage before it goes on: else doubt would decide in its place."""
    own = _own(observed, one, observed.status, step)
    found = said(own[max(own)], observed.job_pods, max(own), observed.now) if own else _UNHEARD
    if found.candidate:
        return found
    counted = [window for window in recorded(observed).windows if window.gap is None and window.step == step]
    before = counted[-1].external.get(sources.judge_key(one.name), sources.UNASKED) if counted else _UNHEARD
    if before.gap is not None:
        return External(gap=before.gap)
    return found if own or not counted else _GONE


# --- which Jobs are whose -------------------------------------------------------------------------------------------


def _own(observed: Observed, one: Judge, status: Status, step: int) -> dict[int, Manifest]:
    """A judge's Jobs of this step, by the window that they judge."""
    prefix = _prefix(observed, one, status, step)
    return {
        int(name.removeprefix(prefix)): found
        for name, found in observed.jobs.items()
        if name.startswith(prefix) and not found["metadata"].get("deletionTimestamp")
    }


def _prefix(observed: Observed, one: Judge, status: Status, step: int) -> str:
    """Another candidate, another step or another container is another question, whatever the attempt's number."""
    arms = [arm.revision if arm else "" for arm in (status.stable, status.candidate)]
    question = json.dumps([one.to_manifest(), status.attempt, arms, step], sort_keys=True)
    return f"{observed.name}-judge-{sha256(question.encode()).hexdigest()[:8]}-"


def _left_to_its_time(found: Manifest, kept: set[str]) -> bool:
    """Finished ones are read by people, until a newer one of the same step is there."""
    ended = any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions_of(found))
    prefix = found["metadata"]["name"].rpartition("-")[0]
    return ended and not any(name.rpartition("-")[0] == prefix for name in kept)


# --- the Job --------------------------------------------------------------------------------------------------------


def _manifest(observed: Observed, one: Judge, job: JudgeJob, window: Window) -> dict[str, Any]:
    labels = names.labels(COMPONENT, judge=one.name)
    own = {names.LABEL_INFERENCE_SERVICE: observed.name, names.LABEL_MODEL: observed.spec.model.name}
    pod = {
        "serviceAccountName": names.SERVICE_ACCOUNTS[COMPONENT],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": POD_SECURITY,
        "containers": [judge(job, _variables(observed, one, window))],
        "volumes": [SCRATCH],
    }
    name = f"{_prefix(observed, one, observed.status, window.step)}{window.index}"
    rules = [
        # What a node does to a pod is no answer: it is asked again.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": JUDGE, "operator": "In", "values": [job.fail_exit_code]},
        },
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": observed.namespace, "labels": labels | own},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(seconds(job.timeout)),
            "ttlSecondsAfterFinished": int(seconds(job.interval)) + _KEPT_SECONDS,
            "podFailurePolicy": {"rules": rules},
            # Not the service's own label: its pods would be taken for servers.
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _variables(observed: Observed, one: Judge, window: Window) -> dict[str, str]:
    """What the judge is told; PLIMSOLL_DOCUMENT is what a webhook is sent."""
    status = observed.status
    stable, candidate = route.compared(status), status.candidate
    assert stable is not None and candidate is not None
    found = {
        "PLIMSOLL_NAMESPACE": observed.namespace,
        "PLIMSOLL_SERVICE": observed.name,
        "PLIMSOLL_MODEL": observed.spec.model.name,
        "PLIMSOLL_ATTEMPT": str(status.attempt),
        "PLIMSOLL_STEP": str(window.step),
        "PLIMSOLL_WEIGHT": str(window.weight),
        "PLIMSOLL_WINDOW": str(window.index),
        "PLIMSOLL_WINDOW_START": timestamp(window.start),
        "PLIMSOLL_WINDOW_END": timestamp(window.end),
        "PLIMSOLL_STEP_START": timestamp(unix(status.step_since)) if status.step_since else "",
        "PLIMSOLL_STABLE_VERSION": stable.version,
        "PLIMSOLL_STABLE_REVISION": stable.revision,
        "PLIMSOLL_CANDIDATE_VERSION": candidate.version,
        "PLIMSOLL_CANDIDATE_REVISION": candidate.revision,
        "PLIMSOLL_DOCUMENT": json.dumps(sources.document(observed, one, window), sort_keys=True),
    }
    if observed.pool is not None:
        return found
    return found | {"PLIMSOLL_STABLE_URL": _url(observed, stable), "PLIMSOLL_CANDIDATE_URL": _url(observed, candidate)}


def _url(observed: Observed, reference: RevisionRef) -> str:
    """Where a revision answers by itself, whatever the route says."""
    return f"http://{reference.revision}.{observed.namespace}.svc:{names.PORT_DIRECT}"
