"""Whether the pods follow the route document: kubelet refreshes those that lag, and one that is deaf is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceStatus
from plimsoll.core import route
from plimsoll.core.conditions import precise, unix
from plimsoll.core.release.observed import Observed, is_ready, revision_of
from plimsoll.facts import AnnotatePod, Delete, Manifest, Ref

NUDGE_SECONDS = 2.0
LAG_SECONDS = 30.0
#: A revision's only pod is nobody's spare: kubelet gets the time that it may need after an outage of the API server.
_ONLY_POD_LAG_SECONDS = 300.0
#: A longer silence between two nudges means that the operator or the API server was away: the pod heard nothing.
_SILENCE_SECONDS = 10.0


def _epochs(observed: Observed) -> Mapping[str, int]:
    """The epoch that each pod reported; -1 when it has no document. A pod that did not answer is not in it."""
    sample = observed.sample
    if sample is not None and sample.epochs is not None:
        return sample.epochs
    return {pod.pod: -1 if pod.epoch is None else pod.epoch for pod in (sample.pods if sample else ())}


def _annotation(observed: Observed) -> str:
    """Each service of a pool tells the same pods of an epoch of its own."""
    return names.ANNOTATION_ROUTE_EPOCH if observed.pool is None else f"{names.ANNOTATION_POOL_EPOCH}{observed.name}"


def _told_pods(observed: Observed, status: InferenceServiceStatus) -> tuple[Manifest, ...]:
    return _named_pods(observed, status) if observed.pool is None else observed.pool.pods


def uninformed(observed: Observed) -> frozenset[str]:
    """Pods of a pool that answered and do not know a revision of the service yet, whatever epoch they report."""
    status, sample = observed.status, observed.sample
    named = {one.revision for one in (status.stable, status.candidate) if one is not None}
    if observed.pool is None or sample is None:
        return frozenset()
    return frozenset(pod for pod, states in sample.models.items() if not named <= states.keys())


def _named_pods(observed: Observed, status: InferenceServiceStatus) -> tuple[Manifest, ...]:
    return tuple(pod for arm in route.arms(status) for pod in observed.pods_of(arm.revision))


def followed(observed: Observed, status: InferenceServiceStatus) -> bool:
    """Whether every ready pod of every arm reported the status's epoch, and the primary has one. Silence is a no."""
    epochs = _epochs(observed)
    pods = [pod for pod in _named_pods(observed, status) if is_ready(pod)]
    return any(revision_of(pod) == status.primary for pod in pods) and all(
        epochs.get(pod["metadata"]["name"], -1) >= status.epoch for pod in pods
    )


def nudges(observed: Observed, status: InferenceServiceStatus) -> tuple[AnnotatePod, ...]:
    """Annotations that make kubelet refresh the document in pods that lag, each again after two seconds."""
    epochs, blank, annotation = _epochs(observed), uninformed(observed), _annotation(observed)
    found = []
    for pod in _told_pods(observed, status):
        meta = pod["metadata"]
        nudged = _nudged(pod, annotation)
        lags = epochs.get(meta["name"], status.epoch) < status.epoch or meta["name"] in blank
        if nudged.epoch < status.epoch or (lags and observed.now - nudged.last >= NUDGE_SECONDS):
            goes_on = nudged.epoch == status.epoch and observed.now - nudged.last < _SILENCE_SECONDS
            since = nudged.since if goes_on else observed.now
            value = f"{status.epoch}@{precise(since)}@{precise(observed.now)}"
            found.append(AnnotatePod(observed.namespace, meta["name"], annotation, value))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Nudged:
    """What the operator told a pod: the epoch, since when without a long silence, and when last (Unix seconds)."""

    epoch: int = -1
    since: float = 0.0
    last: float = 0.0


def _nudged(pod: Manifest, annotation: str) -> _Nudged:
    annotations: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    try:
        epoch, since, last = annotations.get(annotation, "").split("@")
        return _Nudged(int(epoch), unix(since), unix(last))
    except ValueError:
        return _Nudged()


def laggards(observed: Observed, status: InferenceServiceStatus) -> tuple[Delete, ...]:
    """Pods that report an older epoch though they were told for 30 s; one of a revision, none while another is down.

    The only pod of a revision, and any pod of a pool, is told for five minutes: to replace it may cost its users more
    than its lag.
    """
    epochs, annotation, found = _epochs(observed), _annotation(observed), []
    # A pod of a pool is other services', too: it is deleted once, and only when it is deaf for good.
    groups = (
        [observed.pods_of(arm.revision) for arm in route.arms(status)]
        if observed.pool is None
        else [observed.pool.pods]
    )
    for pods in groups:
        patience = LAG_SECONDS if len(pods) > 1 and observed.pool is None else _ONLY_POD_LAG_SECONDS
        late = [
            pod for pod in pods
            if epochs.get(pod["metadata"]["name"], status.epoch) < status.epoch
            and _told_for(_nudged(pod, annotation), status.epoch) >= patience
        ]  # fmt: skip
        if late and all(is_ready(pod) for pod in pods):
            meta = late[0]["metadata"]
            found.append(Delete(Ref("v1", "Pod", observed.namespace, meta["name"]), meta["uid"]))
    return tuple(found)


def _told_for(nudged: _Nudged, epoch: int) -> float:
    """For how many seconds the pod has been told of the epoch, without a long silence of operator or API server."""
    return nudged.last - nudged.since if nudged.epoch == epoch else 0.0
