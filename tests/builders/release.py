"""A service that lives: Deployments get pods, pods follow the route or lag, users send requests, the operator comes by.

    life = Life(version(1), service(replicas=2))
    life.run(30)
    life.add(version(2))
    life.until("Idle")

Time moves only here. Nothing waits: a pass is driven to its end by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from plimsoll import names
from plimsoll.converge.inferenceservice import reconcile
from plimsoll.converge.ports import Conflict, Unavailable
from plimsoll.facts import Manifest, PodCounters, PodInputs, Ref, Sample

from tests.builders.world import Crash, FakeWorld

NAMESPACE = "demo"
SERVICE = Ref(names.API_VERSION, "InferenceService", NAMESPACE, "digits")
QUICK: dict[str, Any] = {
    "steps": [
        {"weight": 10, "minDuration": "2s", "minRequests": 20},
        {"weight": 50, "minDuration": "2s", "minRequests": 50},
    ],
    "analysis": {"window": "2s"},
    "probation": "4s",
    "progressDeadline": "120s",
}
INPUT = {"name": "input", "datatype": "FP32", "shape": [-1, 64]}
COLD_SECONDS = 15.0
OUTPUT = {"name": "label", "datatype": "INT64", "shape": [-1]}


def service(
    *, version: str = "auto", replicas: int = 1, env: dict[str, str] | None = None, **release: Any
) -> dict[str, Any]:
    """The InferenceService `digits` with a quick release; `release` overrides its fields, named as in manifests."""
    variables = [{"name": name, "value": value} for name, value in (env or {}).items()]
    return {
        "apiVersion": names.API_VERSION,
        "kind": "InferenceService",
        "metadata": {"name": "digits", "namespace": NAMESPACE},
        "spec": {
            "model": {"name": "digits", "version": version},
            "runtime": {"replicas": replicas, "env": variables},
            "release": QUICK | release,
        },
    }


def version(number: int, *, phase: str = "Ready", shape: tuple[int, ...] = (-1, 64)) -> dict[str, Any]:
    """A ModelVersion of `digits`."""
    digest = f"{number:064x}"
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": f"digits-v{number}", "namespace": NAMESPACE},
        "spec": {
            "model": "digits",
            "artifact": {
                "uri": f"s3://plimsoll-demo/models/digits/sha256/{digest}/model.onnx",
                "sha256": digest,
                "sizeBytes": 10,
            },
            "signature": {"inputs": [INPUT | {"shape": list(shape)}], "outputs": [OUTPUT]},
        },
        "status": {"phase": phase},
    }


@dataclass
class Character:
    """How the pods of a version behave."""

    boot: float = 1.0
    failing: float = 0.0
    crashes: bool = False
    unschedulable: bool = False
    image_missing: bool = False
    fetch_fails: bool = False
    out_of_memory: bool = False
    quota_exceeded: bool = False
    #: Shares of the classes that it predicts, and of its predictions that turn out wrong, a few seconds later.
    predicts: dict[str, float] = field(default_factory=dict)
    wrong: float | None = None
    #: The mean absolute error of its numbers, as labels tell as soon; half of the errors are below.
    off: float | None = None
    #: Share of copies of requests that it answers otherwise than the stable version.
    differs: float = 0.0
    #: In a pool: why a pod keeps it out of memory.
    kept_out: str = ""
    #: Share of them whose number is higher than the stable version's, by 2; the others are lower by 1.
    higher: float | None = None
    #: Share of requests that fails in its first 15 seconds.
    cold: float = 0.0


@dataclass
class Server:
    """What runs in a pod."""

    name: str
    revision: str
    version: str
    born: float
    document: dict[str, Any] | None = None
    told: str = ""
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=lambda: {"ok": 0, "client_error": 0, "server_error": 0})
    latency: list[int] = field(default_factory=lambda: [0] * (len(names.LATENCY_EDGES) + 1))
    owed: dict[str, float] = field(default_factory=dict)
    seen: dict[tuple[str, ...], float] = field(default_factory=dict)
    #: Its inputs, by feature and bin.
    given: dict[tuple[str, str], float] = field(default_factory=dict)

    def count(self, key: tuple[str, ...], amount: float) -> None:
        """Whole rows only; what is left over is owed."""
        self.seen[key] = self.seen.get(key, 0) + _whole(self.owed, "/".join(key), amount)


class Life(FakeWorld):
    """The world of one service. `characters` are by version or by revision; `rate` is public requests a second."""

    def __init__(self, *manifests: Manifest, rate: float = 200.0) -> None:
        super().__init__()
        self.rate = rate
        self.characters: dict[str, Character] = {}
        self.servers: dict[str, Server] = {}
        self.deaf: set[str] = set()
        self.blind = False
        self.stale = False
        self.asleep = False
        #: Shares of the requests by the bin of the feature x, and of those of some revisions; its profile, in rows.
        self.inputs: dict[str, float] = {"le:0.0": 0.5, "le:+Inf": 0.5}
        self.inputs_of: dict[str, dict[str, float]] = {}
        self.profile = {("x", "le:0.0"): 500.0, ("x", "le:+Inf"): 500.0}
        #: How many times its share the candidate is given: a router that is wrong.
        self.skew = 1.0
        self.documents: list[dict[str, Any]] = []
        self.next_pass: float | None = self.time
        self.observer: Callable[[], None] = lambda: None
        self._born = 0
        self.metrics = _Scraper(self)  # type: ignore[assignment]
        for manifest in manifests:
            self.add(manifest)

    # --- what people do -----------------------------------------------------------------------------------------------

    def add(self, manifest: Manifest) -> None:
        """Create an object."""
        self.cluster.add(manifest)
        self.ring()

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the service's manifest."""
        self.cluster.edit(SERVICE, change)
        self.ring()

    def command(self, id_: str, verb: str, **more: str) -> None:
        """Annotate the service with a command."""
        written = json.dumps({"id": id_, "verb": verb, "by": "ann"} | more)
        self.cluster.edit(
            SERVICE,
            lambda body: body["metadata"].setdefault("annotations", {}).update({names.ANNOTATION_COMMAND: written}),
            spec=False,
        )
        self.ring()

    def character(self, number: int) -> Character:
        """How pods of a version behave; change it at will."""
        return self.characters.setdefault(str(number), Character())

    def ring(self) -> None:
        """An event: the operator looks at once."""
        self.next_pass = self.time

    def spare(self) -> None:
        """No more faults."""
        self.faults.arm(0, Crash(), done=False)

    # --- what happens by itself ---------------------------------------------------------------------------------------

    def live(self, seconds: float) -> None:
        """Time goes by in the cluster, without the operator."""
        self.tick(seconds)
        before = self._versions()
        self._make_pods()
        self._refresh()
        self._serve(seconds)
        if self._versions() != before:
            self.ring()

    def _there(self, kind: str) -> list[dict[str, Any]]:
        """The objects of a kind as they are stored, not copies."""
        return sorted(
            (body for ref, body in self.cluster.objects.items() if ref.kind == kind),
            key=lambda body: str(body["metadata"]["name"]),
        )

    def _versions(self) -> list[str]:
        return [body["metadata"]["resourceVersion"] for body in (*self._there("Pod"), *self._there("Deployment"))]

    def _make_pods(self) -> None:
        for deployment in self._there("Deployment"):
            deployment["spec"].setdefault("replicas", 1)
            wanted, meta = deployment["spec"]["replicas"], deployment["metadata"]
            have = [
                pod for pod in self._there("Pod") if pod["metadata"]["labels"][names.LABEL_REVISION] == meta["name"]
            ]
            refused = self.characters.get(meta["labels"][names.LABEL_VERSION], Character()).quota_exceeded
            self._tell_of_quota(deployment, refused=refused and len(have) < wanted)
            for _ in range(0 if refused else wanted - len(have)):
                self._make_pod(deployment)
            for pod in have[wanted:]:
                self._end(pod["metadata"]["name"])
        alive = {pod["metadata"]["name"] for pod in self._there("Pod")}
        self.servers = {name: one for name, one in self.servers.items() if name in alive}
        for name in sorted(alive):
            self._grow(name)

    def _tell_of_quota(self, deployment: dict[str, Any], *, refused: bool) -> None:
        """The Deployment's controller says that it may not make pods."""
        failing = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"}
        conditions = [failing] if refused else []
        if (deployment.get("status") or {}).get("conditions", []) != conditions:
            ref = Ref.of(deployment)
            self.cluster.edit(ref, lambda body: body.update(status={"conditions": conditions}), spec=False)

    def _make_pod(self, deployment: Manifest) -> None:
        self._born += 1
        template, meta = deployment["spec"]["template"], deployment["metadata"]
        name = f"{meta['name']}-{self._born}"
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
        }
        labels = dict(template["metadata"]["labels"])
        head = {"name": name, "namespace": NAMESPACE, "labels": labels, "ownerReferences": [owner]}
        self.cluster.add({"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": {}, "status": {}})
        self.servers[name] = Server(
            name, labels[names.LABEL_REVISION], labels[names.LABEL_VERSION], self.time, self._route()
        )

    def _end(self, name: str) -> None:
        self.cluster.remove(Ref("v1", "Pod", NAMESPACE, name))

    def _grow(self, name: str) -> None:
        server, ref = self.servers[name], Ref("v1", "Pod", NAMESPACE, name)
        status = _status(self._character_of(server), self.time - server.born)
        if self.cluster.objects[ref]["status"] != status:
            self.cluster.edit(ref, lambda body: body.update(status=status), spec=False)

    def _route(self) -> dict[str, Any] | None:
        found = self.cluster.objects.get(Ref("v1", "ConfigMap", NAMESPACE, "digits-route"))
        return json.loads(found["data"]["route.json"]) if found else None

    def _refresh(self) -> None:
        """Kubelet refreshes the document of a pod that was annotated; the server ignores a lower epoch."""
        route = self._route()
        if route is not None and (not self.documents or self.documents[-1] != route):
            self.documents.append(route)
        for pod in self._there("Pod"):
            server = self.servers[pod["metadata"]["name"]]
            told = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_ROUTE_EPOCH, "")
            if told == server.told or server.name in self.deaf or route is None:
                continue
            server.told = told
            if server.document is None or route["epoch"] >= server.document["epoch"]:
                server.document = route

    def ready(self, revision: str) -> list[Server]:
        """Servers that take requests."""
        pods = {pod["metadata"]["name"]: pod for pod in self._there("Pod")}
        return [one for name, one in self.servers.items() if one.revision == revision and _is_ready(pods[name])]

    def _serve(self, seconds: float) -> None:
        found = self.cluster.objects.get(Ref("v1", "Service", NAMESPACE, "digits"))
        if found is None or not self.rate:
            return
        doors = self.ready(found["spec"]["selector"].get(names.LABEL_REVISION, ""))
        for door in doors:
            primary = (door.document or {}).get("primary", door.revision)
            chooser = door if primary == door.revision else next(iter(self.ready(primary)), door)
            self._choose(chooser, self.rate * seconds / len(doors))

    def _choose(self, chooser: Server, requests: float) -> None:
        arms = [arm for arm in (chooser.document or {}).get("arms", ()) if arm["weight"]] or [
            {"revision": chooser.revision, "weight": 100}
        ]
        for arm in arms:
            weight = arm["weight"]
            if len(arms) == 2 and "Mirror" not in [one["mode"] for one in arms] and self.skew != 1.0:
                others = 100 - weight if arm["revision"] == chooser.revision else weight
                skewed = min(100, others * self.skew)
                weight = 100 - skewed if arm["revision"] == chooser.revision else skewed
            answer = self._copy if arm.get("mode") == "Mirror" else self._answer
            answer(chooser, arm["revision"], requests * weight / 100)

    def _copy(self, chooser: Server, revision: str, requests: float) -> None:
        """Copies of requests that the chooser's own model answered well."""
        serving = self.ready(revision)
        rate = self.characters.get(serving[0].version, Character()).failing if serving else 1.0
        failures = _whole(chooser.owed, f"{revision}/bad copies", requests * rate)
        differing = self.characters.get(serving[0].version, Character()).differs if serving else 0.0
        differs = _whole(chooser.owed, f"{revision}/other copies", requests * (1 - rate) * differing)
        matches = _whole(chooser.owed, f"{revision}/copies", requests * (1 - rate) * (1 - differing))
        bad = "candidate_error" if serving else "unreachable"
        for outcome, count in ((bad, failures), ("mismatch", differs), ("match", matches)):
            key = ("pair", chooser.revision, revision, outcome)
            chooser.seen[key] = chooser.seen.get(key, 0) + count
        higher = self.characters.get(serving[0].version, Character()).higher if serving else None
        if higher is not None:
            told = {"above": higher, "below": 1 - higher, "rows": 1, "excess": 2 * higher, "shortfall": 1 - higher}
            for what, amount in told.items():
                chooser.count(("difference", chooser.revision, revision, "price", what), (differs + matches) * amount)
        for server in serving[:1]:
            server.latency = [count + failures + differs + matches for count in server.latency]

    def _answer(self, chooser: Server, revision: str, requests: float) -> None:
        """Whole requests only; what is left over is owed to the next moment."""
        serving = self.ready(revision)
        rate = self._failing(serving[0]) if serving else 1.0
        failures = _whole(chooser.owed, f"{revision}/failures", requests * rate)
        answered = _whole(chooser.owed, f"{revision}/ok", requests * (1 - rate))
        bad = "server_error" if serving else "unreachable"
        for outcome, count in ((bad, failures), ("ok", answered)):
            chooser.counts[(revision, outcome)] = chooser.counts.get((revision, outcome), 0) + count
        for server in serving[:1]:
            server.latency = [count + failures + answered for count in server.latency]
            server.served["ok"] += answered
            server.served["server_error"] += failures
            self._predict(server, answered)
            for label, share in self.inputs_of.get(server.revision, self.inputs).items():
                server.given["x", label] = server.given.get(("x", label), 0.0) + answered * share

    def _character_of(self, server: Server) -> Character:
        return self.characters.get(server.revision) or self.characters.get(server.version, Character())

    def _failing(self, server: Server) -> float:
        character = self._character_of(server)
        return max(character.failing, character.cold if self.time - server.born < COLD_SECONDS else 0.0)

    def _predict(self, server: Server, answered: int) -> None:
        character = self.characters.get(server.version, Character())
        for label, share in character.predicts.items():
            server.count(("bin", "label", f"value:{label}"), answered * share)
        if character.wrong is not None:
            for outcome, share in (("incorrect", character.wrong), ("correct", 1 - character.wrong)):
                server.count(("feedback", server.version, "1m", outcome), answered * share)
        if character.off is not None:
            amounts = {
                "measured": 1.0,
                "over": character.off / 2,
                "under": character.off / 2,
                "squared": character.off**2,
            }
            for what, amount in amounts.items():
                server.count(("feedback", server.version, "1m", what), answered * amount)

    # --- the operator -------------------------------------------------------------------------------------------------

    def reconcile(self) -> float | None:
        """One pass; a failure of the world is tried again soon, as the queue does."""
        try:
            return drive(reconcile(self.ports, SERVICE))
        except (Conflict, Unavailable, Crash):
            return 1.0
        finally:
            self.observer()

    def run(self, seconds: float, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Let cluster and operator live for so long, or until `stop`; returns whether it stopped."""
        end = self.time + seconds
        while self.time < end:
            if self.next_pass is not None and self.time >= self.next_pass and not self.asleep:
                again = self.reconcile()
                self.next_pass = None if again is None else self.time + again
            if stop():
                return True
            wait = 1.0 if self.next_pass is None else min(max(self.next_pass - self.time, 0.2), 1.0)
            self.live(wait)
        return stop()

    def until(self, phase: str, seconds: float = 300.0) -> None:
        """Run until the service is in a phase. Fails with the status when it does not get there."""
        assert self.run(seconds, stop=lambda: self.status.get("phase") == phase), json.dumps(self.status, indent=1)

    # --- looking on ---------------------------------------------------------------------------------------------------

    @property
    def status(self) -> dict[str, Any]:
        """The service's status as it is stored."""
        found: dict[str, Any] = self.cluster.read(SERVICE).get("status") or {}
        return found

    def condition(self, type_: str) -> dict[str, Any]:
        """A condition; empty when there is none."""
        return next((one for one in self.status.get("conditions", ()) if one["type"] == type_), {})

    @property
    def weights(self) -> dict[str, int]:
        """Shares by version number, as the route in force has them."""
        return self._weights("Serve")

    @property
    def copies(self) -> dict[str, int]:
        """Percent of the requests that are copied, by version number."""
        return self._weights("Mirror")

    def _weights(self, mode: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for arm in (self._route() or {}).get("arms", ()):
            if arm["weight"] and arm["mode"] == mode:
                found[arm["version"]] = found.get(arm["version"], 0) + arm["weight"]
        return found

    @property
    def shares(self) -> dict[str, int]:
        """Shares by part, as the route in force has them."""
        arms = (self._route() or {}).get("arms", ())
        return {self._part(arm["revision"]): arm["weight"] for arm in arms if arm["weight"]}

    def _part(self, revision: str) -> str:
        """`stable`, `candidate` or `baseline`; the revision itself where it is none of them."""
        parts = ("stable", "candidate", "baseline")
        return next((part for part in parts if self.status.get(part, {}).get("revision") == revision), revision)

    def serves(self, number: int) -> bool:
        """Whether this version is stable and no release runs."""
        return bool(self.status["phase"] == "Idle" and self.status["stable"]["version"] == str(number))

    def replicas(self) -> dict[str, int]:
        """Wanted pods by version number."""
        found: dict[str, int] = {}
        for one in self._there("Deployment"):
            number = one["metadata"]["labels"][names.LABEL_VERSION]
            found[number] = found.get(number, 0) + one["spec"].get("replicas", 1)
        return found

    def pods(self) -> dict[str, int]:
        """Wanted pods by part, where there are any."""
        found = ((one["metadata"]["name"], one["spec"].get("replicas", 1)) for one in self._there("Deployment"))
        return {self._part(name): count for name, count in found if count}


class _Scraper:
    """Implements `plimsoll.converge.ports.Metrics` on the servers."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self.asked = self.asked_of_inputs = 0

    async def sample(self, namespace: str, pods: list[Manifest]) -> Sample:
        self.asked += 1
        asked = [pod["metadata"]["name"] for pod in pods]
        if self._life.blind:
            return Sample(self._life.time, (), dict.fromkeys(asked, "connection refused"))
        seen = [self._life.servers[name] for name in asked if name in self._life.servers]
        return Sample(
            self._life.time,
            tuple(_counters(one) for one in seen),
            {name: "gone" for name in asked if name not in self._life.servers},
        )

    async def inputs(self, pods: list[Manifest]) -> list[PodInputs]:
        self.asked_of_inputs += 1
        found = [self._life.servers.get(pod["metadata"]["name"]) for pod in pods]
        return [
            PodInputs(one.name, one.revision, one.born, sum(one.served.values()), dict(one.given), self._life.profile)
            for one in found
            if one is not None and one.given
        ]


def _counters(server: Server) -> PodCounters:
    named = {arm["revision"] for arm in (server.document or {}).get("arms", ())} | {server.revision}
    outcomes = ("ok", "client_error", "server_error", "unreachable", "timeout")
    counts = {(revision, outcome): 0 for revision in sorted(named) for outcome in outcomes} | server.counts
    epoch = server.document["epoch"] if server.document else None
    return PodCounters(
        server.name, server.revision, server.born, epoch, counts, tuple(server.latency), server.version,
        dict(server.seen), dict(server.served),
    )  # fmt: skip


def _whole(owed: dict[str, float], key: str, amount: float) -> int:
    total = owed.get(key, 0.0) + amount
    owed[key] = total - int(total)
    return int(total)


def _status(character: Character, age: float) -> dict[str, Any]:
    if character.unschedulable:
        scheduled = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available",
        }
        return {"phase": "Pending", "conditions": [scheduled]}
    waiting = (
        "ErrImagePull"
        if character.image_missing
        else "CrashLoopBackOff"
        if (character.crashes or character.out_of_memory) and age >= character.boot
        else ""
    )
    ready = not waiting and not character.fetch_fails and age >= character.boot
    container: dict[str, Any] = {"name": "server", "ready": ready, "restartCount": 3 if character.crashes else 0}
    if character.out_of_memory:
        container["lastState"] = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    if waiting:
        container["state"] = {"waiting": {"reason": waiting, "message": "back-off"}}
    status: dict[str, Any] = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": [container],
    }
    if character.fetch_fails:
        failing = {
            "name": "fetch",
            "ready": False,
            "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        }
        status["initContainerStatuses"] = [failing]
    return status


def _is_ready(pod: Manifest) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))


def drive(pass_: Coroutine[Any, Any, float | None]) -> float | None:
    """Run a pass to its end; it must not wait for anything."""
    try:
        pass_.send(None)
    except StopIteration as end:
        result: float | None = end.value
        return result
    raise AssertionError("the pass waited for something that is not in this world")
