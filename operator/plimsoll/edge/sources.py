"""ports.Sources: the evidence that does not come from the pods themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plimsoll.edge.outward import Outward
from plimsoll.edge.prometheus import Prometheus
from plimsoll.facts import Manifest, PrometheusSource, Sample, Settings


class Sources:
    """`now` is Unix seconds."""

    def __init__(self, outward: Outward, settings: Settings, now: Callable[[], float]) -> None:
        self._prometheus = Prometheus(outward, now, settings.prometheus_namespace_parameter)

    async def counters(self, source: PrometheusSource, namespace: str, pods: Sequence[Manifest]) -> Sample:
        """The pods' counters as a Prometheus scraped them."""
        return await self._prometheus.sample(source, namespace, pods)
