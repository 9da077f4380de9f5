"""Gathering evidence that is not the pods' own, for one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from plimsoll.converge.ports import World
from plimsoll.core.release import sources
from plimsoll.core.release.observed import Observed
from plimsoll.facts import Manifest, Sample


async def from_prometheus(world: World, observed: Observed, scraped: Sample, pods: Sequence[Manifest]) -> Sample:
    """The counters from Prometheus with the epochs that the pods themselves reported: to steer takes no waiting.

    Until the pods follow the share there is nothing to count, and Prometheus is left in peace.
    """
    epochs = {pod.pod: -1 if pod.epoch is None else pod.epoch for pod in scraped.pods}
    scraped = replace(scraped, epochs=epochs)
    if not sources.counts(replace(observed, sample=scraped)):
        return scraped
    source = sources.prometheus(observed)
    if isinstance(source, str) or world.sources is None:
        outage = source if isinstance(source, str) else "refused: this operator reads no Prometheus"
        return Sample(
            scraped.at, (), {pod["metadata"]["name"]: "refused" for pod in pods}, epochs=epochs, outage=outage
        )
    counted = await world.sources.counters(source, observed.namespace, pods)
    return replace(counted, epochs=epochs)
