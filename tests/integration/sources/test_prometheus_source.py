"""The counters of real servers through a real Prometheus are those that the pods themselves give."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from plimsoll.core.evidence import window_between
from plimsoll.edge.outward import Outward
from plimsoll.edge.prometheus import Prometheus
from plimsoll.facts import PodCounters, Sample, Window

from tests.integration.serving.harness import eventually
from tests.integration.sources.conftest import NAMESPACE, Served, scraped
from tests.ports import free_port


def counted(sample: Sample) -> list[PodCounters]:
    """The pods' counters in order; a route may be given to them anew meanwhile."""
    return sorted(sample.pods, key=lambda pod: pod.pod)


async def settled(reader: Prometheus, served: Served, **source: float) -> Sample:
    """The sample once Prometheus has scraped each pod after now."""
    asked = time.time()
    for _ in range(600):
        sample = await reader.sample(served.source(**source), NAMESPACE, served.pods())  # type: ignore[arg-type]
        if len(sample.pods) == len(served.servers) and sample.at > asked:
            return sample
        await asyncio.sleep(0.1)
    raise AssertionError(f"not scraped again within a minute: {sample}")


def window(before: Sample, after: Sample) -> Window:
    return window_between(before, after, index=1, step=1, weight=50, stable="r1", candidate="r2")


async def test_both_sources_give_the_same_samples_and_windows(reader: Prometheus, served: Served) -> None:
    served.ask(20)
    before = await scraped(served), await settled(reader, served)
    served.ask(60)
    after = await scraped(served), await settled(reader, served)

    for by_scrape, by_prometheus in (before, after):
        assert counted(by_prometheus) == counted(by_scrape)
        assert by_prometheus.absent == {} and by_prometheus.outage is None
    windows = [window(*pair) for pair in zip(before, after, strict=True)]
    assert windows[0].gap is None and windows[0].candidate.requests + windows[0].stable.requests == 60
    assert replace(windows[1], start=0.0, end=0.0) == replace(windows[0], start=0.0, end=0.0)


async def test_the_moments_are_those_of_the_scrapes_and_not_of_the_question(reader: Prometheus, served: Served) -> None:
    def oldest() -> float:
        rows = served.prometheus.values("timestamp(process_start_time_seconds)")
        return min(float(row["value"][1]) for row in rows)  # type: ignore[index]

    sample = await settled(reader, served)
    before = oldest()
    again = await reader.sample(served.source(), NAMESPACE, served.pods())
    after = oldest()
    assert sample.at < time.time()
    assert before <= again.at <= after, "however long the questions took"


async def test_a_process_that_began_anew_is_seen_as_one(reader: Prometheus, served: Served) -> None:
    served.ask(10)
    before = await settled(reader, served)
    # Linux dates a process to within a second of its start: it must not seem older than the sample.
    await asyncio.sleep(1.0)
    old = served.servers["b"]
    old.kill()
    old.start()
    old.wait_ready()
    served.ask(10)
    after = await settled(reader, served)
    starts = [{pod.pod: pod.started for pod in sample.pods} for sample in (before, after)]
    assert starts[0]["a"] == starts[1]["a"] and starts[0]["b"] < starts[1]["b"]
    assert window(before, after).gap is None
    assert counted(after) == counted(await scraped(served))


async def test_half_of_the_pods_missing_decide_nothing(reader: Prometheus, served: Served) -> None:
    """The pod that Prometheus was never told of."""
    ghost = {"metadata": {"name": "ghost", "labels": {"plimsoll.dev/revision": "r2"}}}
    pods = [*served.pods()[:1], ghost]
    sample = await reader.sample(served.source(), NAMESPACE, pods)
    assert [pod.pod for pod in sample.pods] == ["a"]
    assert sample.outage is not None and sample.outage.startswith(
        f"missing: {served.prometheus.url} has no fresh counters of 1 of 2 pods (ghost: no series of it)"
    )
    less = await reader.sample(served.source(), NAMESPACE, [*served.pods(), ghost])
    assert less.outage is None and set(less.absent) == {"ghost"}


async def test_samples_older_than_the_bound_are_stale(reader: Prometheus, served: Served) -> None:
    """However short the time in which the pod was scraped."""
    address, labels = served.groups()[0]
    brief = [{**served.pods()[0], "metadata": {**served.pods()[0]["metadata"], "name": "brief"}}]

    async def until(there: int) -> Sample:
        for _ in range(600):
            sample = await reader.sample(served.source(max_age=2.0), NAMESPACE, brief)
            if len(sample.pods) == there:
                return sample
            await asyncio.sleep(0.1)
        raise AssertionError(f"not {there} pods within a minute: {sample}")

    try:
        served.prometheus.targets([*served.groups(), (address, {**labels, "pod": "brief"})])
        await until(1)
    finally:
        served.prometheus.targets(served.groups())
    outage = (await until(0)).outage
    assert outage is not None and outage.startswith("stale: ")
    assert "brief: its last sample is of 2" in outage and "maxAge" in outage


async def test_a_process_that_is_scraped_twice_counts_once_and_another_of_its_name_not_at_all(
    reader: Prometheus, served: Served
) -> None:
    (address, labels), (other, _) = served.groups()
    more = [(address, {**labels, "job": "again"}), (other, {**labels, "job": "sidecar"})]
    try:
        served.prometheus.targets([*served.groups(), *more])
        eventually(lambda: len(served.prometheus.values("process_start_time_seconds")) == 4, "scraped by all")
        assert counted(await settled(reader, served)) == counted(await scraped(served))
    finally:
        served.prometheus.targets(served.groups())
        eventually(lambda: len(served.prometheus.values("process_start_time_seconds")) == 2, "the truth again")


async def test_nobody_there_is_down(reader: Prometheus, served: Served) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    sample = await reader.sample(served.source(url=url), NAMESPACE, served.pods())
    assert sample.pods == () and sample.absent == {"a": "down", "b": "down"}
    assert sample.outage is not None and sample.outage.startswith(f"down: {url} did not answer")


@pytest.fixture
async def liar() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Answers what a test tells it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        told = says["told"]
        if told == "silence":
            await asyncio.sleep(3600)
        if told == "redirect":
            raise web.HTTPFound("http://169.254.169.254/latest")
        return web.json_response(told[1], status=told[0])

    says: dict[str, Any] = {}
    app = web.Application()
    app.router.add_route("*", "/api/v1/query", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}", says
    await runner.cleanup()


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("silence", "slow: "),
        ("redirect", "refused: "),
        ((401, {"secret": "body"}), "refused: "),
        ((200, {"status": "success", "warnings": ["a store is away"], "data": {}}), "missing: "),
        ((503, {"status": "error", "errorType": "timeout"}), "slow: "),
        ((400, {"status": "error", "errorType": "bad_data", "error": "secret body"}), "invalid: "),
        ((502, ["not", "Prometheus"]), "down: "),
    ],
)
async def test_each_way_of_not_answering_has_its_reason(
    reader: Prometheus, served: Served, liar: tuple[str, dict[str, Any]], told: object, kind: str
) -> None:
    url, says = liar
    says["told"] = told
    timeout = 0.5 if told == "silence" else 30.0
    sample = await reader.sample(served.source(url=url, timeout=timeout), NAMESPACE, served.pods())
    assert sample.pods == ()
    assert sample.outage is not None and sample.outage.startswith(kind)
    assert "secret" not in sample.outage


async def test_an_address_that_the_install_does_not_allow_is_not_asked(outward: Outward, served: Served) -> None:
    reader = Prometheus(outward, time.time)
    sample = await reader.sample(served.source(url="http://prometheus.other.svc:9090"), NAMESPACE, served.pods())
    assert sample.outage is not None and sample.outage.startswith("refused: ") and "allowedHosts" in sample.outage
