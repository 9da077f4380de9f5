"""A pool that lives: its pods load what the document names, split each service's requests, and count them.

    life = PoolLife(pool(replicas=2), *models("a", 1), member("a"))
    life.until("a", "Idle")

Time moves only here. Nothing waits: a pass is driven to its end by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from plimsoll import names
from plimsoll.converge import inferenceservice, servingpool
from plimsoll.converge.ports import Conflict, Unavailable
from plimsoll.facts import Manifest, ModelState, PodCounters, Ref, Sample

from tests.builders.release import NAMESPACE, QUICK, Character, drive, version
from tests.builders.world import Crash, FakeWorld

POOL = Ref(names.API_VERSION, "ServingPool", NAMESPACE, "shared")
CONFIG_MAP = Ref("v1", "ConfigMap", NAMESPACE, "shared-pool")
DEPLOYMENT = Ref("apps/v1", "Deployment", NAMESPACE, "shared-pool")
#: Kubelet looks at a ConfigMap without being told.
_SLOW = 60.0


def pool(**spec: Any) -> dict[str, Any]:
    """The ServingPool `shared`."""
    head = {"name": "shared", "namespace": NAMESPACE}
    return {"apiVersion": names.API_VERSION, "kind": "ServingPool", "metadata": head, "spec": spec}


def member(name: str, *, version: str = "auto", model: str = "", **release: Any) -> dict[str, Any]:
    """An InferenceService in the pool, of a model of its own name."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": {"name": model or name, "version": version},
            "runtime": {"pool": {"name": "shared"}},
            "release": QUICK | release,
        },
    }


def model(name: str, number: int, **more: Any) -> dict[str, Any]:
    """A ModelVersion of a model."""
    made = version(number, **more)
    made["metadata"]["name"] = f"{name}-v{number}"
    made["spec"]["model"] = name
    return made


def service_ref(name: str) -> Ref:
    """Where the service is."""
    return Ref(names.API_VERSION, "InferenceService", NAMESPACE, name)


@dataclass
class Host:
    """What runs in a pod of the pool: documents by service, when each revision was seen, and counts."""

    name: str
    born: float
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: dict[str, float] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    looked: float = 0.0
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    latency: dict[str, list[int]] = field(default_factory=dict)
    owed: dict[str, float] = field(default_factory=dict)
    pairs: dict[tuple[str, ...], float] = field(default_factory=dict)


class PoolLife(FakeWorld):
    """The world of one pool and its services. `characters` are by service and version; `rate` is a service's."""

    def __init__(self, *manifests: Manifest, rate: float = 200.0) -> None:
        super().__init__()
        self.rate = rate
        self.characters: dict[tuple[str, str], Character] = {}
        self.hosts: dict[str, Host] = {}
        self.deaf: set[str] = set()
        self.blind = False
        self.due: dict[Ref, float] = {}
        self.metrics = self  # type: ignore[assignment]
        self._born = 0
        for manifest in manifests:
            self.add(manifest)

    # --- what people do -----------------------------------------------------------------------------------------------

    def add(self, manifest: Manifest) -> None:
        """Create an object; everybody looks."""
        self.cluster.add(manifest)
        self.ring()

    def ring(self) -> None:
        """Every object of ours gets a pass at once."""
        for ref in self.cluster.objects:
            if ref.kind in {"InferenceService", "ServingPool"}:
                self.due[ref] = self.time

    def character(self, name: str, number: int) -> Character:
        """How the pods find a version of a service; change it at will."""
        return self.characters.setdefault((name, str(number)), Character())

    # --- what happens by itself ---------------------------------------------------------------------------------------

    def live(self, seconds: float) -> None:
        """Time goes by in the cluster, without the operator."""
        self.tick(seconds)
        before = self._pod_versions()
        self._make_pods()
        for host in self.hosts.values():
            self._refresh(host)
        for host in self.ready():
            for service, document in host.documents.items():
                self._split(host, service, document, self.rate * seconds / len(self.ready()))
        if self._pod_versions() != before:
            self.ring()

    def _pod_versions(self) -> list[str]:
        return [body["metadata"]["resourceVersion"] for ref, body in self.cluster.objects.items() if ref.kind == "Pod"]

    def _make_pods(self) -> None:
        deployment = self.cluster.objects.get(DEPLOYMENT)
        wanted = deployment["spec"].setdefault("replicas", 1) if deployment else 0
        pods = {ref.name: body for ref, body in self.cluster.objects.items() if ref.kind == "Pod"}
        self.hosts = {name: host for name, host in self.hosts.items() if name in pods}
        for _ in range(wanted - len(pods)):
            self._make_pod(deployment)
        for name, host in self.hosts.items():
            ref = Ref("v1", "Pod", NAMESPACE, name)
            ready = "True" if self.time - host.born >= 1 else "False"
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
            if self.cluster.objects[ref]["status"] != status:
                self.cluster.edit(ref, lambda body, status=status: body.update(status=status), spec=False)

    def _make_pod(self, deployment: Manifest) -> None:
        self._born += 1
        name = f"shared-pool-{self._born}"
        labels = dict(deployment["spec"]["template"]["metadata"]["labels"])
        head = {"name": name, "namespace": NAMESPACE, "labels": labels}
        self.cluster.add({"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": {}, "status": {}})
        self.hosts[name] = Host(name, self.time)

    def _refresh(self, host: Host) -> None:
        """Kubelet refreshes the documents when the pod changed, else late; the server ignores a lower epoch."""
        pod = self.cluster.objects[Ref("v1", "Pod", NAMESPACE, host.name)]
        told = dict(pod["metadata"].get("annotations") or {})
        new = told != host.told or self.time - host.looked >= _SLOW
        if not new or host.name in self.deaf or CONFIG_MAP not in self.cluster.objects:
            return
        host.told, host.looked = told, self.time
        found = self.documents()
        for service, document in found.items():
            if document["epoch"] >= host.documents.get(service, document)["epoch"]:
                host.documents[service] = document
        host.documents = {service: one for service, one in host.documents.items() if service in found}
        named = {revision for one in host.documents.values() for revision in one["revisions"]}
        host.known = {revision: host.known.get(revision, self.time) for revision in named}

    def documents(self) -> dict[str, dict[str, Any]]:
        """By service, as the ConfigMap has them."""
        data = self.cluster.objects[CONFIG_MAP]["data"]
        return {key[:-5]: json.loads(text) for key, text in data.items() if key.endswith(".json")}

    def ready(self) -> list[Host]:
        """Pods that take requests."""
        return [host for host in self.hosts.values() if self.time - host.born >= 1]

    def model_state(self, host: Host, service: str, revision: str) -> ModelState:
        """How far the pod is with a revision."""
        number = host.documents[service]["revisions"][revision]["version"]
        found = self.characters.get((service, number), Character())
        if found.fetch_fails:
            return ModelState("waiting", "the store does not answer")
        if self.time - host.known[revision] < found.boot:
            return ModelState("loading")
        if found.crashes:
            return ModelState("failed", "it does not answer its sample")
        return ModelState("ready", found.kept_out)

    def _split(self, host: Host, service: str, document: Manifest, requests: float) -> None:
        for arm in document["arms"]:
            if not arm["weight"]:
                continue
            revision, share = arm["revision"], requests * arm["weight"] / 100
            if arm["mode"] == "Mirror":
                self._copy(host, service, document, arm, share)
                continue
            serves = self.model_state(host, service, revision).state == "ready"
            rate = self.characters.get((service, arm["version"]), Character()).failing if serves else 1.0
            for outcome, part in (("server_error", share * rate), ("ok", share * (1 - rate))):
                total = host.owed.get(f"{revision}/{outcome}", 0.0) + part
                host.owed[f"{revision}/{outcome}"] = total - int(total)
                host.counts[revision, outcome] = host.counts.get((revision, outcome), 0) + int(total)
                buckets = host.latency.setdefault(revision, [0] * (len(names.LATENCY_EDGES) + 1))
                host.latency[revision] = [count + int(total) for count in buckets]

    def _copy(self, host: Host, service: str, document: Manifest, arm: Manifest, copies: float) -> None:
        """Copies of requests that the primary answered well, answered by the shadow in the same pod."""
        revision, character = arm["revision"], self.characters.get((service, arm["version"]), Character())
        serves = self.model_state(host, service, revision).state == "ready"
        parts = {
            "candidate_error": copies * character.failing,
            "mismatch": copies * (1 - character.failing) * character.differs,
            "match": copies * (1 - character.failing) * (1 - character.differs),
        }
        for outcome, part in parts.items() if serves else [("dropped", copies)]:
            total = host.owed.get(f"{revision}/{outcome}", 0.0) + part
            host.owed[f"{revision}/{outcome}"] = total - int(total)
            key = ("pair", document["primary"], revision, outcome)
            host.pairs[key] = host.pairs.get(key, 0) + int(total)
            if outcome != "dropped":
                buckets = host.latency.setdefault(revision, [0] * (len(names.LATENCY_EDGES) + 1))
                host.latency[revision] = [count + int(total) for count in buckets]

    # --- the metrics port ---------------------------------------------------------------------------------------------

    async def sample(self, namespace: str, pods: Sequence[Manifest]) -> Sample:
        raise AssertionError("a pool's pods are asked by revision")

    async def pooled(self, pods: Sequence[Manifest], revisions: Sequence[str]) -> Sample:
        asked = [pod["metadata"]["name"] for pod in pods]
        if self.blind:
            return Sample(self.time, (), dict.fromkeys(asked, "connection refused"))
        counted: list[PodCounters] = []
        models: dict[str, dict[str, ModelState]] = {}
        for host in (self.hosts[name] for name in asked if name in self.hosts):
            models[host.name] = self._states(host, revisions)
            known = [one for one in revisions if one in models[host.name]]
            counted += [self._counters(host, one, known, first=one == known[0]) for one in known]
        return Sample(self.time, tuple(counted), {}, models)

    def _states(self, host: Host, revisions: Sequence[str]) -> dict[str, ModelState]:
        return {
            revision: self.model_state(host, service, revision)
            for service, document in host.documents.items()
            for revision in document["revisions"]
            if revision in revisions
        }

    def _counters(self, host: Host, revision: str, known: Sequence[str], *, first: bool) -> PodCounters:
        epoch = next(one["epoch"] for one in host.documents.values() if revision in one["revisions"])
        outcomes = ("ok", "client_error", "server_error", "unreachable", "timeout")
        arms = {(one, outcome): host.counts.get((one, outcome), 0) for one in known for outcome in outcomes}
        latency = tuple(host.latency.get(revision, [0] * (len(names.LATENCY_EDGES) + 1)))
        name = host.name if first else f"{host.name}/{revision}"
        version = next(
            one["revisions"][revision]["version"] for one in host.documents.values() if revision in one["revisions"]
        )
        counts = {key: count for key, count in host.pairs.items() if first and set(key[1:3]) <= set(known)}
        return PodCounters(name, revision, host.born, epoch, arms if first else {}, latency, version, counts)

    # --- the operator -------------------------------------------------------------------------------------------------

    def reconcile(self, ref: Ref) -> float | None:
        """One pass; a failure of the world is tried again soon, as the queue does."""
        work = servingpool.reconcile if ref.kind == "ServingPool" else inferenceservice.reconcile
        try:
            return drive(work(self.ports, ref))
        except (Conflict, Unavailable, Crash):
            return 1.0

    def run(self, seconds: float, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Let cluster and operator live for so long, or until `stop`; returns whether it stopped."""
        end = self.time + seconds
        while self.time < end and not stop():
            for ref in [ref for ref, at in self.due.items() if at <= self.time]:
                del self.due[ref]
                again = self.reconcile(ref)
                if again is not None:
                    self.due[ref] = min(self.due.get(ref, self.time + again), self.time + again)
            wait = min((at - self.time for at in self.due.values()), default=1.0)
            self.live(min(max(wait, 0.2), 1.0))
        return stop()

    def until(self, name: str, phase: str, seconds: float = 300.0) -> None:
        """Run until a service is in a phase. Fails with its status when it does not get there."""
        assert self.run(seconds, stop=lambda: self.status(name).get("phase") == phase), json.dumps(
            self.status(name), indent=1
        )

    # --- looking on ---------------------------------------------------------------------------------------------------

    def status(self, name: str) -> dict[str, Any]:
        """A service's status as it is stored."""
        found: dict[str, Any] = self.cluster.read(service_ref(name)).get("status") or {}
        return found

    def condition(self, name: str, type_: str) -> dict[str, Any]:
        """A condition of a service; empty when there is none."""
        return next((one for one in self.status(name).get("conditions", ()) if one["type"] == type_), {})

    def weights(self, name: str) -> dict[str, int]:
        """Shares by version number, as the document has them."""
        return {arm["version"]: arm["weight"] for arm in self.documents()[name]["arms"] if arm["weight"]}

    def pods(self) -> set[str]:
        """UIDs of the pool's pods."""
        return {body["metadata"]["uid"] for ref, body in self.cluster.objects.items() if ref.kind == "Pod"}
