"""ports.Metrics by Scrape: the raw counters of each pod, read from the pod itself, not differenced or judged."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from plimsoll import names
from plimsoll.edge import series as evidence
from plimsoll.edge.series import Labels, Series
from plimsoll.facts import Manifest, ModelState, PodCounters, PodInputs, Sample

#: `name[]` filters of servers differ in whether they take families or samples: both are asked for.
ASKED: Final = (
    names.METRIC_ARM_REQUESTS,
    names.METRIC_REQUESTS,
    names.METRIC_DURATION,
    f"{names.METRIC_DURATION}_bucket",
    names.METRIC_ROUTE_EPOCH,
    names.METRIC_START_TIME,
    names.POOL_METRIC_STATE,
    names.METRIC_MIRRORED_DURATION,
    f"{names.METRIC_MIRRORED_DURATION}_bucket",
    *evidence.METRICS,
)
_ANSWERED: Final = (names.METRIC_REQUESTS, names.METRIC_MIRRORED_REQUESTS)
ASKED_OF_INPUTS: Final = (
    names.METRIC_FEATURE_BINS,
    names.METRIC_FEATURE_BINS.removesuffix("_total"),
    names.METRIC_FEATURE_PROFILE,
    *_ANSWERED,
    names.METRIC_START_TIME,
)
_LONGEST: Final = 1 << 20

Pooled = tuple[tuple[PodCounters, ...], Mapping[str, ModelState]]
T = TypeVar("T")


class Down(Exception):
    """The pod did not answer."""


class Missing(Exception):
    """The pod answered without what was asked for."""


class Scrape:
    """`now` is Unix seconds; `timeout` bounds one pod's answer in seconds, `at_once` the pods asked together."""

    def __init__(
        self, now: Callable[[], float], *, port: int = names.PORT_METRICS, timeout: float = 1.5, at_once: int = 32
    ) -> None:
        self._now = now
        self._port = port
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._places = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def sample(self, namespace: str, pods: Sequence[Manifest]) -> Sample:
        """One scrape of each pod; a pod that does not answer is in `absent`, never an exception."""
        read = await asyncio.gather(*(self._read(pod) for pod in pods))
        return Sample(
            at=self._now(),
            pods=tuple(counters for _, counters in read if isinstance(counters, PodCounters)),
            absent={pod: reason for pod, reason in read if isinstance(reason, str)},
        )

    async def pooled(self, pods: Sequence[Manifest], revisions: Sequence[str]) -> Sample:
        """One scrape of each pod of a pool, for these revisions of one service, the stable one first.

        A pod gives one PodCounters for each revision that it knows. The first has the pod's name and what the arms
        were chosen for; the others are named `{pod}/{revision}`.
        """
        read = await asyncio.gather(*(self._read_pooled(pod, revisions) for pod in pods))
        seen = {pod: found for pod, found in read if not isinstance(found, str)}
        return Sample(
            at=self._now(),
            pods=tuple(one for counted, _ in seen.values() for one in counted),
            absent={pod: found for pod, found in read if isinstance(found, str)},
            models={pod: states for pod, (_, states) in seen.items()},
        )

    async def inputs(self, pods: Sequence[Manifest]) -> tuple[PodInputs, ...]:
        """What each pod was given, by feature; a pod that does not answer, or counts no features, is left out."""
        read = await asyncio.gather(*(self._read_inputs(pod) for pod in pods))
        return tuple(one for one in read if isinstance(one, PodInputs) and one.features)

    async def _read_inputs(self, pod: Manifest) -> PodInputs | str:
        name, revision = pod["metadata"]["name"], _revision_of(pod)
        return await self._tried(pod, (), lambda text: inputs(name, revision, text), ASKED_OF_INPUTS)

    async def _read(self, pod: Manifest) -> tuple[str, PodCounters | str]:
        name = pod["metadata"]["name"]
        revision = _revision_of(pod)
        return name, await self._tried(pod, (), lambda text: counters(name, revision, text))

    async def _read_pooled(self, pod: Manifest, revisions: Sequence[str]) -> tuple[str, Pooled | str]:
        name = pod["metadata"]["name"]
        return name, await self._tried(pod, revisions, lambda text: pooled_counters(name, revisions, text))

    async def _tried(
        self, pod: Manifest, revisions: Sequence[str], read: Callable[[str], T], asked: Sequence[str] = ASKED
    ) -> T | str:
        """What `read` makes of the pod's answer, or why there is nothing."""
        try:
            async with self._places:
                text = await self._fetch(pod, revisions, asked)
            return read(text)
        except Down as error:
            return f"down: {error}"
        except Missing as error:
            return f"missing: {error}"

    async def _fetch(self, pod: Manifest, revisions: Sequence[str], names_asked: Sequence[str]) -> str:
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise Down("it has no address yet")
        host = f"[{address}]" if ":" in address else address
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        asked = [("name[]", name) for name in names_asked] + [("revision[]", revision) for revision in revisions]
        try:
            async with self._session.get(f"http://{host}:{self._port}/metrics", params=asked) as response:
                if response.status != 200:
                    raise Down(f"HTTP {response.status}")
                return await _bounded(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Down(str(error) or f"no answer within {self._timeout.total:g} s") from error


def _revision_of(pod: Manifest) -> str:
    return str((pod["metadata"].get("labels") or {}).get(names.LABEL_REVISION, ""))


async def _bounded(response: aiohttp.ClientResponse) -> str:
    body = b""
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > _LONGEST:
            raise Missing(f"the answer is longer than {_LONGEST} bytes")
    return body.decode(errors="replace")


def counters(pod: str, revision: str, text: str) -> PodCounters:
    """One pod's counters from the Prometheus text format. Raises Missing, naming the series."""
    return counted(pod, revision, _parse(text))


def counted(pod: str, revision: str, series: Series) -> PodCounters:
    """One pod's counters from its series. Raises Missing, naming the series."""
    started, epoch, version = _started(series), _epoch(series, revision), _version(series, revision)
    counts = evidence.of_version(series, version) | evidence.of_pod(series)
    arms, latency, served = _arms(series), _latency(series, revision), _served(series, revision)
    return PodCounters(pod, revision, started, epoch, arms, latency, version, counts, served)


def inputs(pod: str, revision: str, text: str) -> PodInputs:
    """One pod's inputs by feature from the Prometheus text format. Raises Missing, naming the series."""
    series = _parse(text)
    # A shadow is given copies, which count with the features and not with the requests.
    requests = sum(
        int(n) for name in _ANSWERED for labels, n in series.get(name, ()) if labels.get("revision") == revision
    )
    counted, profile = (
        evidence.by_feature(series, name) for name in (names.METRIC_FEATURE_BINS, names.METRIC_FEATURE_PROFILE)
    )
    return PodInputs(pod, revision, _started(series), requests, counted, profile)


def pooled_counters(pod: str, revisions: Sequence[str], text: str) -> Pooled:
    """Counters of those of the revisions that a pool's pod knows, and what it says of each. Raises Missing."""
    series = _parse(text)
    started, states = _started(series), _states(series)
    arms = {key: count for key, count in _arms(series).items() if key[0] in revisions}
    found: list[PodCounters] = []
    for revision in (one for one in revisions if one in states):
        name, own = (f"{pod}/{revision}", {}) if found else (pod, arms)
        epoch, latency, version = _epoch(series, revision), _latency(series, revision), _version(series, revision)
        counts = evidence.of_version(series, version) | ({} if found else evidence.of_pod(series))
        found.append(PodCounters(name, revision, started, epoch, own, latency, version, counts))
    return tuple(found), states


def _started(series: Series) -> float:
    started = series.get(names.METRIC_START_TIME)
    if not started:
        raise Missing(names.METRIC_START_TIME)
    return started[0][1]


def _epoch(series: Series, revision: str) -> int | None:
    epochs = [value for labels, value in series.get(names.METRIC_ROUTE_EPOCH, ()) if labels.get("revision") == revision]
    return int(epochs[0]) if epochs else None


def _arms(series: Series) -> dict[tuple[str, str], int]:
    arms: dict[tuple[str, str], int] = defaultdict(int)
    for labels, value in series.get(names.METRIC_ARM_REQUESTS, ()):
        arms[labels.get("revision", ""), labels.get("outcome", "")] += int(value)
    return dict(arms)


def _served(series: Series, revision: str) -> dict[str, int]:
    """By outcome, as the arm that chose would call it."""
    served: dict[str, int] = defaultdict(int)
    for labels, value in series.get(names.METRIC_REQUESTS, ()):
        if labels.get("revision") == revision:
            code = int(labels.get("code", "500"))
            served["server_error" if code >= 500 else "client_error" if code >= 400 else "ok"] += int(value)
    return dict(served)


def _version(series: Series, revision: str) -> str:
    """The number of the version that a revision serves."""
    found = (labels for labels, _ in series.get(f"{names.METRIC_DURATION}_bucket", ()))
    return next((labels.get("version", "") for labels in found if labels.get("revision") == revision), "")


def _states(series: Series) -> dict[str, ModelState]:
    found = series.get(names.POOL_METRIC_STATE, ())
    return {
        labels.get("revision", ""): ModelState(labels.get("state", ""), labels.get("reason", "")) for labels, _ in found
    }


def _latency(series: Series, revision: str) -> tuple[int, ...]:
    buckets: dict[float, int] = defaultdict(int)
    for labels, value in series.get(f"{names.METRIC_DURATION}_bucket", ()):
        if labels.get("revision") == revision:
            buckets[float(labels["le"])] += int(value)
    edges = (*names.LATENCY_EDGES, float("inf"))
    # What it took to answer a copy is a time of the revision's as well; a server of an earlier release has none.
    for labels, value in series.get(f"{names.METRIC_MIRRORED_DURATION}_bucket", ()):
        if labels.get("revision") == revision and float(labels["le"]) in buckets:
            buckets[float(labels["le"])] += int(value)
    if set(buckets) != set(edges):
        raise Missing(f"{names.METRIC_DURATION} of revision {revision} with the agreed bucket edges")
    return tuple(buckets[edge] for edge in edges)


def _parse(text: str) -> Series:
    series: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series[sample.name].append((sample.labels, float(sample.value)))
    except (ValueError, KeyError, IndexError) as error:
        raise Missing(f"the answer is not in the Prometheus text format: {error}") from error
    return series
