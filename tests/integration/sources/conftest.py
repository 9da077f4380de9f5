"""Two real servers that share the requests of a release, and a real Prometheus that scrapes them every second."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from plimsoll import names
from plimsoll.edge.metrics import Scrape
from plimsoll.edge.outward import Outward
from plimsoll.edge.prometheus import Prometheus
from plimsoll.facts import Endpoint, PrometheusSource, Ref, Sample, Settings

from tests.builders.prometheus import PrometheusServer, running_prometheus
from tests.integration.serving.harness import RIGHT, Server, eventually, v2, write_route

NAMESPACE = "demo"


@dataclass(frozen=True)
class Served:
    """The pods `a` (stable) and `b` (candidate), and the Prometheus."""

    servers: dict[str, Server]
    prometheus: PrometheusServer

    def pods(self) -> list[dict[str, Any]]:
        return [pod(name, server.revision) for name, server in self.servers.items()]

    def groups(self) -> list[tuple[str, dict[str, str]]]:
        """What Prometheus scrapes: each pod by its name."""
        return [
            (f"127.0.0.1:{server.ports['metrics']}", {"namespace": NAMESPACE, "pod": name})
            for name, server in self.servers.items()
        ]

    def ask(self, times: int) -> None:
        for _ in range(times):
            assert self.servers["a"].infer(v2([1, 2, 3, 4])).status_code == 200

    def source(self, *, url: str = "", timeout: float = 30.0, max_age: float = 60.0) -> PrometheusSource:
        return PrometheusSource(Endpoint(url or self.prometheus.url, NAMESPACE, timeout), max_age)


def pod(name: str, revision: str) -> dict[str, Any]:
    labels = {names.LABEL_REVISION: revision}
    return {"metadata": {"name": name, "labels": labels}, "status": {"podIP": "127.0.0.1"}}


async def scraped(served: Served) -> Sample:
    """What the other source makes of the same servers: each has a port of its own here."""
    found = []
    for one, server in zip(served.pods(), served.servers.values(), strict=True):
        scrape = Scrape(time.time, port=server.ports["metrics"], timeout=30.0)
        found.append(await scrape.sample(NAMESPACE, [one]))
        await scrape.close()
    absent = {name: why for sample in found for name, why in sample.absent.items()}
    return Sample(found[-1].at, tuple(one for sample in found for one in sample.pods), absent)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sources")
    servers = {name: Server(folder / name, RIGHT, f"r{i}", str(i)) for i, name in enumerate("ab", 1)}
    with running_prometheus(folder / "prometheus") as prometheus:
        try:
            for server in servers.values():
                server.start()
            for server in servers.values():
                server.wait_ready()
            found = Served(servers, prometheus)
            write_route(list(servers.values()), servers["a"], 1, [50, 50])
            prometheus.targets(found.groups())
            eventually(lambda: len(prometheus.values(names.METRIC_START_TIME)) == 2, "both pods are scraped")
            yield found
        finally:
            for server in servers.values():
                server.kill()


async def unread(ref: Ref) -> None:
    """There are no Secrets."""


@pytest.fixture
async def outward() -> AsyncIterator[Outward]:
    outward = Outward(unread, Settings(allowed_hosts=("http://127.0.0.1",)))
    yield outward
    await outward.close()


@pytest.fixture
def reader(outward: Outward) -> Prometheus:
    return Prometheus(outward, time.time)
