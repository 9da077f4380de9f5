"""Counters of the data plane: plain integers on the hot path, turned into Prometheus families when they are read.

All of them are touched on the event loop only, so they need no lock.
"""

from collections.abc import Iterable, Iterator

from plimsoll_serving import build
from plimsoll_serving.delegate import Outcome
from plimsoll_serving.families import Collects, CounterFamily, Family, GaugeFamily, HistogramFamily
from plimsoll_serving.process import ProcessMetrics
from plimsoll_serving.settings import Identity
from plimsoll_serving.shadow.counters import ShadowCounters

LATENCY_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_EDGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
PRESET_CODES = (200, 400, 500)


class Histogram:
    """Counts of observations by upper edge."""

    __slots__ = ("_counts", "_edges", "_sum")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        at = 0
        for edge in self._edges:  # nearly all are among the first
            if value <= edge:
                break
            at += 1
        self._counts[at] += 1
        self._sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by the ``le`` label."""
        total = 0
        buckets = []
        for edge, count in zip((*map(str, self._edges), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((edge, float(total)))
        return buckets

    @property
    def sum(self) -> float:
        return self._sum


class ArmMetrics:
    """What became of requests by the arm chosen for them. In a pool the revisions of a service share one."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._arms: dict[str, dict[Outcome, int]] = {}
        self._fallbacks: dict[str, int] = {}

    def add(self, revision: str) -> None:
        self._arms.setdefault(revision, dict.fromkeys(Outcome, 0))
        self._fallbacks.setdefault(revision, 0)

    def keep(self, revisions: Iterable[str]) -> None:
        """Drop the series of all others."""
        kept = set(revisions)
        self._arms = {name: counts for name, counts in self._arms.items() if name in kept}
        self._fallbacks = {name: count for name, count in self._fallbacks.items() if name in kept}

    def answered(self, revision: str, outcome: Outcome) -> None:
        """Count it; not of a revision that no document names any more: its series are gone."""
        counts = self._arms.get(revision)
        if counts is not None:
            counts[outcome] += 1

    def fell_back(self, revision: str) -> None:
        if revision in self._fallbacks:
            self._fallbacks[revision] += 1

    def collect(self) -> Iterator[Family]:
        arms = CounterFamily(
            "plimsoll_arm_requests",
            "Inferences by the arm chosen for them and what came of it.",
            labels=("model", "revision", "outcome"),
        )
        for revision, outcomes in self._arms.items():
            for outcome, count in outcomes.items():
                arms.add((self._model, revision, outcome.value), count)
        yield arms
        fallbacks = CounterFamily(
            "plimsoll_fallback_requests",
            "Inferences answered by this pod's own model in place of a failed arm.",
            labels=("model", "revision"),
        )
        for revision, count in self._fallbacks.items():
            fallbacks.add((self._model, revision), count)
        yield fallbacks


class ServingMetrics:
    """Every series that the server exports; those of its own revision exist from the start.

    ``others`` keep counters of their own, and are exported with these.
    """

    def __init__(self, identity: Identity, arms: ArmMetrics | None = None) -> None:
        self._identity = identity
        self._requests = dict.fromkeys(PRESET_CODES, 0)
        self._duration = Histogram(LATENCY_EDGES)
        self._mirrored = dict.fromkeys(PRESET_CODES, 0)
        self._mirrored_duration = Histogram(LATENCY_EDGES)
        self._batch = Histogram(BATCH_EDGES)
        self.arms = arms or ArmMetrics(identity.model)
        self._process = ProcessMetrics()
        self.shadow = ShadowCounters(identity.model)
        self.others: list[Collects] = []
        self.inflight = 0
        self.route_epoch = 0
        self.add_arm(identity.revision)

    def add_arm(self, revision: str) -> None:
        """Let every series of an arm exist with the value 0."""
        self.arms.add(revision)

    def answered(self, code: int, seconds: float) -> None:
        """One inference answered by this pod's own model."""
        self._requests[code] = self._requests.get(code, 0) + 1
        self._duration.observe(seconds)

    def ran(self, rows: int) -> None:
        """One run of the model."""
        self._batch.observe(rows)

    def mirrored_answered(self, code: int, seconds: float) -> None:
        """One copy of a request answered by this pod's own model; no user got the answer."""
        self._mirrored[code] = self._mirrored.get(code, 0) + 1
        self._mirrored_duration.observe(seconds)

    def arm_answered(self, revision: str, outcome: Outcome) -> None:
        self.arms.answered(revision, outcome)

    def fell_back(self, revision: str) -> None:
        """One answer given by this pod's own model in place of an arm that failed."""
        self.arms.fell_back(revision)

    def collect(self) -> Iterator[Family]:
        yield build.info()
        yield from self.own()
        yield from self.arms.collect()
        yield from self._process.collect()

    def own(self) -> Iterator[Family]:
        """The series of this revision alone."""
        me = self._identity
        requests = CounterFamily(
            "plimsoll_requests",
            "Inferences answered by the model of this pod.",
            labels=("model", "version", "revision", "code"),
        )
        for code, count in self._requests.items():
            requests.add((me.model, me.version, me.revision, str(code)), count)
        duration = HistogramFamily(
            "plimsoll_request_duration_seconds",
            "Time from a complete request to its answer, in the pod that serves.",
            labels=("model", "version", "revision"),
        )
        duration.add_histogram((me.model, me.version, me.revision), self._duration.buckets(), self._duration.sum)
        batch = HistogramFamily("plimsoll_batch_size", "Rows of one run of the model.", labels=("model", "version"))
        batch.add_histogram((me.model, me.version), self._batch.buckets(), self._batch.sum)
        inflight = GaugeFamily(
            "plimsoll_inflight_requests", "Inferences under way in the model of this pod.", labels=("model", "version")
        )
        inflight.add((me.model, me.version), self.inflight)
        epoch = GaugeFamily("plimsoll_route_epoch", "Epoch of the route in force; 0 without one.", labels=("revision",))
        epoch.add((me.revision,), self.route_epoch)
        yield from (requests, duration, *self._shadows(), batch, inflight, epoch)
        for other in self.others:
            yield from other.collect()

    def _shadows(self) -> Iterator[Family]:
        me = self._identity
        requests = CounterFamily(
            "plimsoll_mirrored_requests",
            "Copies of requests answered by the model of this pod for comparison; no user got these answers.",
            labels=("model", "version", "revision", "code"),
        )
        for code, count in self._mirrored.items():
            requests.add((me.model, me.version, me.revision, str(code)), count)
        duration = HistogramFamily(
            "plimsoll_mirrored_request_duration_seconds",
            "Time from a complete copy of a request to its answer.",
            labels=("model", "version", "revision"),
        )
        duration.add_histogram(
            (me.model, me.version, me.revision), self._mirrored_duration.buckets(), self._mirrored_duration.sum
        )
        yield from (requests, duration, *self.shadow.collect())
