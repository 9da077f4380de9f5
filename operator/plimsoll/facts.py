"""The frozen values that the pure core and the effectful edge both speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: A Kubernetes object as JSON has it.
Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ref:
    """Which object: `api_version` as in manifests, `kind`, `namespace`, `name`."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> Ref:
        meta = manifest["metadata"]
        return cls(manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"])


# --- evidence -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PodCounters:
    """One pod's raw counters at one moment, never differenced.

    `arm_requests` maps (revision, outcome) to a count, as the pod that chose the arm saw it; `latency` holds the
    cumulative bucket counts of the pod's own revision, one for each of names.LATENCY_EDGES and +Inf last;
    `started` is the process start in Unix seconds: another value means that the counters began anew.
    `version` is the number that the pod's own revision serves. `counts` has everything else, by what it is of (None
    when nobody asked); what is not in it is zero:

    * ("fallback", revision): requests for that arm which this pod answered itself;
    * ("bin", output, bin): rows that the pod's own revision answered;
    * ("feedback", version, age, outcome): rows of labels, for the outcomes correct, incorrect and measured, and sums of
      errors for over, under (their sizes) and squared;
    * ("pair", stable, candidate, outcome): mirrored requests.

    `served` counts by outcome what the pod's own model answered, whoever chose it: all there is behind a gateway.
    """

    pod: str
    revision: str
    started: float
    epoch: int | None
    arm_requests: Mapping[tuple[str, str], int]
    latency: tuple[int, ...]
    version: str = ""
    counts: Mapping[tuple[str, ...], float] | None = None
    served: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the queries of a custom metric gave: `values` by "arm/part" (`candidate/events`) and series; or why not."""

    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gap: str | None = None


@dataclass(frozen=True, slots=True)
class External:
    """What a custom metric or a judge says of one window; `gap` is why it says nothing.

    The arms hold (events, trials) of a Ratio, (count, sum, sum of squares) of a Mean, (events,) of a Counter.
    `answer` is a judge's: Pass, Fail or Inconclusive, with its reason.
    """

    candidate: tuple[float, ...] = ()
    stable: tuple[float, ...] = ()
    answer: str = ""
    reason: str = ""
    gap: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What a metrics reader saw at `at` (Unix seconds). `absent`: pods that gave nothing, each with the reason.

    Counts of some pods may be younger than `at`, those of none are younger than `until` (None: all are of `at`).
    """

    at: float
    pods: tuple[PodCounters, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    #: Only of a pool: what each pod says of each revision that it knows, by pod and revision.
    models: Mapping[str, Mapping[str, ModelState]] = field(default_factory=dict)
    #: Where the counters are not from the pods themselves: the epochs that the pods reported; -1 without a route.
    epochs: Mapping[str, int] | None = None
    #: Why nothing of it may count, though some pods may be there.
    outage: str | None = None
    #: Custom metrics by name, at about the same moment.
    external: Mapping[str, Reading] = field(default_factory=dict)
    #: What judges said of the window that ends here, by name; `judged` is that window's number.
    answers: Mapping[str, External] = field(default_factory=dict)
    judged: int | None = None
    until: float | None = None


#: Rows by feature and bin.
Features = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class PodInputs:
    """What one pod was given, never differenced: `features` count its inputs, `profile` those that its version was
    judged by; `requests` it answered since `started` (Unix seconds)."""

    pod: str
    revision: str
    started: float
    requests: int
    features: Features
    profile: Features


@dataclass(frozen=True, slots=True)
class ModelState:
    """How far a pod of a pool is with a revision: waiting, loading, ready or failed, and why.

    `ready` says that it was loaded and has answered once in this process; whether it is in memory now is the pod's own
    affair.
    """

    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """What one arm did in one window: counts, not rates.

    `failures` are server errors, unreachable and timeouts; `client_errors` are apart. `slower` counts, for each edge of
    names.LATENCY_EDGES, the requests that took longer; `timed` is how many were timed. `timeouts` and `unreachable` are
    parts of `failures`: the rest are server errors.
    """

    requests: int = 0
    failures: int = 0
    client_errors: int = 0
    timed: int = 0
    slower: tuple[int, ...] = ()
    timeouts: int = 0
    unreachable: int = 0


@dataclass(frozen=True, slots=True)
class OutputBins:
    """Rows of one output by bin, in both arms: `stable` and `candidate` have a count for each of `bins`."""

    name: str
    bins: tuple[str, ...]
    stable: tuple[int, ...]
    candidate: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """What labels said of predictions: classes correct or not; of numbers how many were measured, and their errors.

    Errors are predicted minus true: `over` and `under` are the sums of the sizes of those above and below, `squared`
    of the squares of all.
    """

    correct: int = 0
    incorrect: int = 0
    measured: int = 0
    over: float = 0.0
    under: float = 0.0
    squared: float = 0.0


@dataclass(frozen=True, slots=True)
class Cohort:
    """Labels of one age, by the version that predicted: only those that came equally late are compared."""

    age: str
    stable: Labels
    candidate: Labels


@dataclass(frozen=True, slots=True)
class Pairs:
    """Mirrored requests: the candidate's answer beside the one that the user got.

    `matched` and `differed` were both answered and compared; `candidate_failed` got an answer from the stable arm only
    (errors, unreachable, timed out).
    """

    matched: int = 0
    differed: int = 0
    candidate_failed: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Evidence between two samples, at one weight of one step. `gap` names why it cannot count, or is None.

    `turned_away` are requests of the stable version and of the candidate that are in no arm's counts: an open breaker
    kept them from it, or, where a baseline is the stable arm, the rest of the stable version answered them.
    """

    index: int
    start: float
    end: float
    step: int
    weight: int
    stable: ArmCounts
    candidate: ArmCounts
    stable_pods: tuple[ArmCounts, ...] = ()
    gap: str | None = None
    turned_away: tuple[int, int] = (0, 0)
    outputs: tuple[OutputBins, ...] = ()
    cohorts: tuple[Cohort, ...] = ()
    pairs: Pairs | None = None
    #: Custom metrics and judges, by name.
    external: Mapping[str, External] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`outcome` is Pass, Fail or Inconclusive; `metric` what decided; `mode` Sequential, Absolute or Breaker.

    `hold` names why a person has to look before the release goes on, in one word; it is never set with Pass or Fail.
    """

    outcome: str
    reason: str
    metric: str = ""
    mode: str = "Sequential"
    window: int = 0
    hold: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send a request on behalf of `namespace`; `timeout` in seconds.

    `token` is (Secret, key), `authority` (ConfigMap, key), both of the namespace. The `install`'s own address has the
    install's token instead, and its host is not asked about.
    """

    url: str
    namespace: str
    timeout: float
    token: tuple[str, str] | None = None
    authority: tuple[str, str] | None = None
    install: bool = False


@dataclass(frozen=True, slots=True)
class PrometheusSource:
    """A Prometheus and how it labels the series of pods. Samples older than `max_age` seconds are stale."""

    endpoint: Endpoint
    max_age: float
    namespace_label: str = "namespace"
    pod_label: str = "pod"
    matchers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Demand:
    """What the candidate has to show in a custom metric (`kind` Ratio, Mean or Counter), or to a Judge.

    `margin` and `bound` are the spec's margin and max; `low` and `high` bound the values of a Mean, and `sign` −1 says
    that lower ones are worse.
    """

    name: str
    kind: str
    margin: float | None = None
    bound: float | None = None
    low: float = 0.0
    high: float = 1.0
    sign: int = 1


# --- plans ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Create:
    """POST; AlreadyExists is fine when the object carries our controller UID, else it is a NameConflict.

    With `adopt` (objects that are never owned) AlreadyExists is fine as it is.
    """

    manifest: Manifest
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply onto the object with this UID; another object's UID is refused by the API server."""

    manifest: Manifest
    uid: str
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """Set `/scale` of a Deployment."""

    ref: Ref
    replicas: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete in the background, only the object with this UID."""

    ref: Ref
    uid: str


@dataclass(frozen=True, slots=True)
class AnnotatePod:
    """Patch the operator's own annotation on a managed pod, so that kubelet refreshes its volumes."""

    namespace: str
    pod: str
    annotation: str
    value: str


@dataclass(frozen=True, slots=True)
class PutObject:
    """Put-if-absent into the store of the namespace; an object that is there stays."""

    namespace: str
    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class WriteKey:
    """Write one key of a ConfigMap, whatever happens to its others meanwhile; `value` None removes it.

    Refused when the object is another one, or when the key no longer is `before`; a key that was not there is written
    onto `resource_version` only.
    """

    ref: Ref
    uid: str
    key: str
    value: str | None
    before: str | None = None
    resource_version: str = ""


Action = Create | Apply | Scale | Delete | AnnotatePod | PutObject | WriteKey


@dataclass(frozen=True, slots=True)
class Notice:
    """A Kubernetes Event about the object in hand; the audit log gets the same."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one pass wants: `before` the status, then `status` (None: leave it), then `after`; `notices` last.

    `status` is the whole wanted status. `requeue_after` is in seconds (None: only events wake us).
    A plan with nothing in it says that the world is as it should be.
    """

    before: tuple[Action, ...] = ()
    status: Mapping[str, Any] | None = None
    after: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    requeue_after: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the install decides. `namespaces` is empty for the whole cluster."""

    namespace: str = "plimsoll-system"
    namespaces: tuple[str, ...] = ()
    serving_image: str = "localhost/plimsoll-serving:dev"
    training_image: str = "localhost/plimsoll-training:dev"
    image_pull_policy: str = "IfNotPresent"
    cluster_domain: str = "cluster.local"
    #: Address of the install's Prometheus; empty when there is none.
    prometheus_url: str = ""
    #: Added to every query of that server with the namespace as its value, for a proxy that enforces it.
    prometheus_namespace_parameter: str = ""
    #: Whether users may send PromQL of their own.
    allow_custom_queries: bool = False
    #: Hosts beyond the Services of their own namespace that users may have the operator ask: shell patterns, https
    #: unless they begin with http://.
    allowed_hosts: tuple[str, ...] = ()
