"""Gathering evidence that is not the pods' own, for one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from plimsoll.converge.ports import World
from plimsoll.core.pool import view
from plimsoll.core.release import judge_jobs, pace, sources, windows
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.windows import Taken
from plimsoll.facts import External, Manifest, Reading, Sample, Window

_NOT_ALLOWED = (
    "refused: this install runs no queries of users: set prometheus.allowCustomQueries of its chart, or remove custom"
)


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


async def with_outside(world: World, observed: Observed) -> tuple[Observed, Taken]:
    """With what custom metrics and judges say, in a pass whose sample becomes evidence, and what it becomes. Each is
    asked once of it."""
    analysis, sample, found = observed.spec.release.analysis, observed.sample, windows.taken(_seen(observed))
    if sample is None or found.full or not (found.base or found.window) or not pace.measured(observed.status):
        return observed, found
    if analysis.custom and not sample.external:
        sample = replace(sample, external=await _custom(world, observed))
        observed = replace(observed, sample=sample)
    window = found.window
    if window is None or window.gap is not None or not analysis.judges or sample.judged == window.index:
        return observed, found
    answers = await _answers(world, observed, windows.whole(_seen(observed), found.record, window))
    return replace(observed, sample=replace(sample, answers=answers, judged=window.index)), found


def _seen(observed: Observed) -> Observed:
    return view.as_seen(observed) if observed.pool is not None else observed


async def _custom(world: World, observed: Observed) -> Mapping[str, Reading]:
    source, metrics = sources.prometheus(observed), observed.spec.release.analysis.custom
    why = _NOT_ALLOWED if not observed.settings.allow_custom_queries else source if isinstance(source, str) else None
    if why is not None or isinstance(source, str) or world.sources is None:
        return {one.name: Reading(gap=why or "refused: this operator reads no Prometheus") for one in metrics}
    return await world.sources.custom(source, {one.name: sources.queries(observed, one) for one in metrics})


async def _answers(world: World, observed: Observed, window: Window) -> Mapping[str, External]:
    """Webhooks are asked now; of Jobs it is known what they have said so far."""
    asked = {
        sources.judge_key(one.name): (sources.webhook(observed, one.webhook), sources.document(observed, one, window))
        for one in observed.spec.release.analysis.judges
        if one.webhook is not None
    }
    answered = await world.sources.judge(asked) if asked and world.sources is not None else {}
    return {**answered, **judge_jobs.answers(observed, window)}
