"""What one pass knows of an InferenceService and its children."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.core.pods import STORE_REMEDY, last_line
from plimsoll.core.revision import Revision
from plimsoll.facts import Features, Manifest, PodInputs, Sample, Settings


@dataclass(frozen=True, slots=True)
class Pool:
    """The pool that a service names, as it was seen: nothing of it may be there yet. `pods` are those that stay."""

    name: str
    exists: bool = False
    deployment: Manifest | None = None
    config_map: Manifest | None = None
    pods: tuple[Manifest, ...] = ()

    @property
    def replicas(self) -> int:
        """Wanted pods."""
        return int(((self.deployment or {}).get("spec") or {}).get("replicas", 1))

    @property
    def ready(self) -> int:
        """Ready pods, at least 1: what a revision must be ready in before it takes a share."""
        return max(1, sum(is_ready(pod) for pod in self.pods))


@dataclass(frozen=True, slots=True)
class Weighed:
    """What is known of one rate, or mean: `harm` and `health` are log wealth by alternative; `events` of `trials` came
    since suspicion began, of a mean the sum of so many values."""

    harm: tuple[float, ...]
    health: tuple[float, ...]
    trials: int = 0
    events: float = 0


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of a service at rest between two looks at its pods; it lives in memory (see `watching`).

    `rates` are those that the spec bounds, by metric; `blind` is how many looks in a row showed nothing, `measured`
    whether any showed something; times in Unix seconds.
    """

    revision: str
    looked_at: float
    cursor: Sample
    rates: Mapping[str, Weighed]
    blind: int = 0
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """What versions were given, in memory too (see `inputs`), by the revisions that are compared.

    `counted` since they are compared, `profile` of their versions; `pods` is where the next look starts from; `at`
    (Unix seconds) when the last one was.
    """

    arms: tuple[str, ...]
    at: float
    pods: Mapping[str, PodInputs]
    counted: Mapping[str, Features]
    profile: Mapping[str, Features]


@dataclass(frozen=True, slots=True)
class Gateway:
    """The service's own HTTPRoute.

    `problem` is why the cluster has none to offer, `no_sessions` why its HTTPRoutes cannot keep sessions, each with the
    remedy.
    """

    http_route: Manifest | None = None
    problem: str | None = None
    no_sessions: str | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """The owner and its children as they were seen, by name. `now` is in Unix seconds.

    `pods` are all pods of the service; `records` the ControllerRevisions; `sample` is None when nobody asked the pods;
    `watched` is what is known of a service at rest, `inputs` what its versions were given.
    `jobs` are those of judges, `job_pods` pods of such Jobs, of this service and of others.
    `others` are the other InferenceServices of the namespace, when the order of releases asks for them.
    `unrecorded` is why this pass cannot write the record of its evidence.
    With a `pool`, pods and Deployments are the pool's as seen by each revision, and `troubles` say what is wrong.
    """

    owner: Manifest
    spec: InferenceServiceSpec
    status: InferenceServiceStatus
    settings: Settings
    now: float
    versions: tuple[Manifest, ...] = ()
    revisions: tuple[Revision, ...] = ()
    deployments: Mapping[str, Manifest] = field(default_factory=dict)
    services: Mapping[str, Manifest] = field(default_factory=dict)
    budgets: Mapping[str, Manifest] = field(default_factory=dict)
    config_maps: Mapping[str, Manifest] = field(default_factory=dict)
    records: Mapping[str, Manifest] = field(default_factory=dict)
    pods: tuple[Manifest, ...] = ()
    jobs: Mapping[str, Manifest] = field(default_factory=dict)
    job_pods: tuple[Manifest, ...] = ()
    sample: Sample | None = None
    watched: Watched | None = None
    inputs: Inputs | None = None
    pool: Pool | None = None
    gateway: Gateway = Gateway()
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    others: Mapping[str, Manifest] = field(default_factory=dict)
    unrecorded: str | None = None

    @property
    def replicas(self) -> int:
        """Pods that the stable revision is to have."""
        return self.spec.runtime.replicas if self.pool is None else self.pool.replicas

    @property
    def name(self) -> str:
        """The service's name."""
        return str(self.owner["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """The service's namespace."""
        return str(self.owner["metadata"]["namespace"])

    @property
    def generation(self) -> int:
        """The generation of the spec in hand."""
        return int(self.owner["metadata"].get("generation", 0))

    def revision(self, name: str | None) -> Revision | None:
        """The stored revision of this name."""
        return next((one for one in self.revisions if one.name == name), None)

    def pods_of(self, revision: str | None) -> tuple[Manifest, ...]:
        """The pods of a revision that are not on their way out."""
        return tuple(
            pod for pod in self.pods if revision_of(pod) == revision and "deletionTimestamp" not in pod["metadata"]
        )

    def ready_pods(self, revision: str | None) -> tuple[Manifest, ...]:
        """Those that are ready."""
        return tuple(pod for pod in self.pods_of(revision) if is_ready(pod))

    def ready(self, revision: str | None) -> int:
        """How many are ready."""
        return len(self.ready_pods(revision))


def revision_of(pod: Manifest) -> str:
    """The revision that a pod says it is of."""
    return str((pod["metadata"].get("labels") or {}).get(names.LABEL_REVISION, ""))


def is_ready(pod: Manifest) -> bool:
    """Whether its condition Ready is True."""
    return any(one["type"] == "Ready" and one["status"] == "True" for one in _conditions(pod))


def _conditions(manifest: Manifest) -> Sequence[Manifest]:
    return (manifest.get("status") or {}).get("conditions") or ()


# --- what is wrong with a revision ----------------------------------------------------------------------------------

_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_CONFIG = {"CreateContainerConfigError", "CreateContainerError"}
_RESTARTS = 3
_SECRETS = {
    names.STORE_SECRET: STORE_REMEDY,
    names.PAYLOAD_LOG_SECRET: (
        "spec.runtime.payloadLog.sink is a store: make this Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
        "(see docs/serving.md#payload-log), or change the sink"
    ),
}
_ROOM = "ask for less in spec.runtime.resources, or make room"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a revision's pods do not come up. `fault` is true when the revision itself is to blame."""

    reason: str
    message: str
    fault: bool = False


def trouble(observed: Observed, revision: str) -> Trouble | None:
    """The worst trouble of a revision's pods, or of its Deployment when it cannot make pods."""
    if observed.pool is not None:
        return observed.troubles.get(revision)
    found = [one for pod in observed.pods_of(revision) if (one := pod_trouble(pod)) is not None]
    deployment = observed.deployments.get(revision)
    if deployment is not None:
        found += [
            Trouble("InsufficientCapacity", f"pods cannot be created: {one.get('message', '')}; {_ROOM}")
            for one in _conditions(deployment)
            if one["type"] == "ReplicaFailure" and one["status"] == "True"
        ]
    return max(found, key=lambda one: one.fault, default=None)


def pod_trouble(pod: Manifest) -> Trouble | None:
    """Why a pod does not come up."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for one in _conditions(pod):
        if one["type"] == "PodScheduled" and one["status"] == "False" and one.get("reason") == "Unschedulable":
            return Trouble(
                "InsufficientCapacity", f"pod {name} cannot be scheduled: {_plain(one.get('message', ''))}; {_ROOM}"
            )
    for one in status.get("initContainerStatuses") or ():
        if (found := _container_trouble(name, one, own=False)) is not None:
            return found
    for one in status.get("containerStatuses") or ():
        if (found := _container_trouble(name, one, own=True)) is not None:
            return found
    return None


def _container_trouble(pod: str, container: Manifest, *, own: bool) -> Trouble | None:
    """A server that crashes is the revision's fault; a fetch that fails may be the store's."""
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, said = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _IMAGE:
        return Trouble("ImageUnavailable", f"pod {pod}: image {container.get('image', '')}: {reason} {said}".rstrip())
    if reason in _CONFIG:
        remedy = next((f". {one}" for name, one in _SECRETS.items() if name in said), "")
        return Trouble("ConfigurationMissing", f"pod {pod}: {reason}: {said}{remedy}")
    restarts = container.get("restartCount", 0)
    if reason == "CrashLoopBackOff" or (restarts >= _RESTARTS and not container.get("ready")):
        why = _why_it_ended((container.get("lastState") or {}).get("terminated") or {})
        if own:
            return Trouble("CrashLoop", f"pod {pod} crashes: {restarts} restarts, last {why}", fault=True)
        return Trouble("ArtifactUnavailable", f"pod {pod} cannot fetch the model: {restarts} tries, last {why}")
    return None


def _why_it_ended(end: Manifest) -> str:
    """`Error: the last line of the log`; the server logs JSON."""
    reason = str(end.get("reason", "Error"))
    if reason == "OOMKilled":
        return f"{reason}: raise spec.runtime.resources.memory"
    text = end.get("message") or ""
    # Else it is not a line of our log, and is shown as it is.
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
        text = str(json.loads(text.strip().splitlines()[-1])["message"])
    return f"{reason}: {last_line(text)}" if last_line(text) else reason


def _plain(text: str) -> str:
    return text.rstrip(". ")
