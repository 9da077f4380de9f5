"""What pods, queries and judges said at one moment, never differenced; and where to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    * ("pair", stable, candidate, outcome): mirrored requests;
    * ("difference", stable, candidate, output, what): of their outputs of one number a row, requests by the shares of
      their rows that are above, below, level and not_finite, the rows, and sums of the distances: excess, shortfall.

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
    affair, unless a reason says that it is kept out.
    """

    state: str
    reason: str = ""


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
