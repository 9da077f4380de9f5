"""Evidence from elsewhere in the world of one service: a Prometheus that scrapes late, custom counters, judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from plimsoll.facts import Endpoint, External, Manifest, PodCounters, PrometheusSource, Reading, Sample

from tests.builders.release import Life

PASS = External(answer="Pass")


@dataclass
class FakeSources:
    """Implements `plimsoll.converge.ports.Sources`; `every` is the scrape interval in seconds, `away` an outage.

    `lost` is of how many pods nothing is known, where that is an outage.
    `metric` gives a custom metric's value for a query, or all of them have these `series`; `verdict` gives a judge's
    answer to a document.
    """

    life: Life
    every: float = 5.0
    away: str | None = None
    lost: int = 0
    metric: Callable[[str], float | str] = lambda query: 0.0
    series: Mapping[str, float] = field(default_factory=dict)
    verdict: Callable[[Mapping[str, Any]], External] = lambda document: PASS
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    _last: Sample | None = None

    async def counters(self, source: PrometheusSource, namespace: str, pods: Sequence[Manifest]) -> Sample:
        self.endpoints.append(source.endpoint)
        if self.away:
            names = [pod["metadata"]["name"] for pod in pods]
            return Sample(self.life.time, (), dict.fromkeys(names, "down"), outage=self.away)
        if self._last is None or self.life.time - self._last.at >= self.every:
            self._last = await self.life.metrics.sample(namespace, pods)
        named = {pod["metadata"]["name"] for pod in pods}
        # What Prometheus stores says nothing of epochs that the pods do not say themselves.
        kept = tuple(replace(one, epoch=None) for one in self._last.pods if one.pod in named)
        absent = dict.fromkeys([one.pod for one in kept[: self.lost]], "stale: no fresh sample")
        return Sample(self._last.at, kept[self.lost :], absent, outage="stale: too few pods" if absent else None)

    async def custom(self, source: PrometheusSource, queries: Mapping[str, Mapping[str, str]]) -> Mapping[str, Reading]:
        return {name: self._read(asked) for name, asked in queries.items()}

    def _read(self, queries: Mapping[str, str]) -> Reading:
        self.queries += queries.values()
        if self.series:
            return Reading(dict.fromkeys(queries, self.series))
        found = {key: self.metric(query) for key, query in queries.items()}
        gaps = [value for value in found.values() if isinstance(value, str)]
        if gaps:
            return Reading(gap=gaps[0])
        return Reading({key: {"one": float(value)} for key, value in found.items()})

    async def judge(self, asked: Mapping[str, tuple[Endpoint, Mapping[str, Any]]]) -> Mapping[str, External]:
        self.endpoints += [endpoint for endpoint, _ in asked.values()]
        self.asked += [document for _, document in asked.values()]
        return {name: self.verdict(document) for name, (_, document) in asked.items()}


@dataclass
class TwoPrometheus(FakeSources):
    """Two replicas behind one address, which answer in turn. Each scrapes each pod at moments of its own."""

    every: float = 15.0
    _scraped: dict[tuple[int, str], tuple[float, PodCounters]] = field(default_factory=dict)

    async def counters(self, source: PrometheusSource, namespace: str, pods: Sequence[Manifest]) -> Sample:
        self.endpoints.append(source.endpoint)
        now, there = self.life.time, (await self.life.metrics.sample(namespace, pods)).pods
        for replica in (0, 1):
            for number, pod in enumerate(there):
                offset = 7.0 * replica + 5.0 * number
                at, _ = self._scraped.get((replica, pod.pod), (0.0, pod))
                if (now - offset) // self.every > (at - offset) // self.every:
                    self._scraped[replica, pod.pod] = now, replace(pod, epoch=None)
        answer = [self._scraped[len(self.endpoints) % 2, pod.pod] for pod in there]
        moments = [at for at, _ in answer]
        return Sample(min(moments), tuple(pod for _, pod in answer), until=max(moments))
