"""ports.Metrics by Scrape: the raw counters of each pod, read from the pod itself, not differenced or judged."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from plimsoll import names
from plimsoll.facts import Manifest, PodCounters, Sample

#: `name[]` filters of servers differ in whether they take families or samples: both are asked for.
_ASKED: Final = (
    names.METRIC_ARM_REQUESTS,
    names.METRIC_DURATION,
    f"{names.METRIC_DURATION}_bucket",
    names.METRIC_ROUTE_EPOCH,
    names.METRIC_START_TIME,
)
_LONGEST: Final = 1 << 20

Labels = Mapping[str, str]
Series = Mapping[str, Sequence[tuple[Labels, float]]]


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

    async def _read(self, pod: Manifest) -> tuple[str, PodCounters | str]:
        name = pod["metadata"]["name"]
        revision = (pod["metadata"].get("labels") or {}).get(names.LABEL_REVISION, "")
        try:
            async with self._places:
                text = await self._fetch(pod)
            return name, counters(name, revision, text)
        except Down as error:
            return name, f"down: {error}"
        except Missing as error:
            return name, f"missing: {error}"

    async def _fetch(self, pod: Manifest) -> str:
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise Down("it has no address yet")
        host = f"[{address}]" if ":" in address else address
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        asked = [("name[]", name) for name in _ASKED]
        try:
            async with self._session.get(f"http://{host}:{self._port}/metrics", params=asked) as response:
                if response.status != 200:
                    raise Down(f"HTTP {response.status}")
                return await _bounded(response)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Down(str(error) or f"no answer within {self._timeout.total:g} s") from error


async def _bounded(response: aiohttp.ClientResponse) -> str:
    body = b""
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > _LONGEST:
            raise Missing(f"the answer is longer than {_LONGEST} bytes")
    return body.decode(errors="replace")


def counters(pod: str, revision: str, text: str) -> PodCounters:
    """One pod's counters from the Prometheus text format. Raises Missing, naming the series."""
    series = _parse(text)
    started = series.get(names.METRIC_START_TIME)
    if not started:
        raise Missing(names.METRIC_START_TIME)
    epochs = [value for labels, value in series.get(names.METRIC_ROUTE_EPOCH, ()) if labels.get("revision") == revision]
    arms: dict[tuple[str, str], int] = defaultdict(int)
    for labels, value in series.get(names.METRIC_ARM_REQUESTS, ()):
        arms[labels.get("revision", ""), labels.get("outcome", "")] += int(value)
    return PodCounters(
        pod=pod,
        revision=revision,
        started=started[0][1],
        epoch=int(epochs[0]) if epochs else None,
        arm_requests=dict(arms),
        latency=_latency(series, revision),
    )


def _latency(series: Series, revision: str) -> tuple[int, ...]:
    buckets: dict[float, int] = defaultdict(int)
    for labels, value in series.get(f"{names.METRIC_DURATION}_bucket", ()):
        if labels.get("revision") == revision:
            buckets[float(labels["le"])] += int(value)
    edges = (*names.LATENCY_EDGES, float("inf"))
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
