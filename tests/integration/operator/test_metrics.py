"""Scraping real HTTP servers of prometheus_client."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from plimsoll import names
from plimsoll.edge.metrics import Scrape
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge(names.METRIC_START_TIME, "x", registry=registry).set(1.0)
    Gauge(names.METRIC_ROUTE_EPOCH, "x", ("revision",), registry=registry).labels("r1").set(3)
    Counter(names.METRIC_ARM_REQUESTS, "x", ("model", "revision", "outcome"), registry=registry).labels(
        "m", "r1", "ok"
    ).inc(7)
    Histogram(
        names.METRIC_DURATION, "x", ("model", "version", "revision"), buckets=names.LATENCY_EDGES, registry=registry
    ).labels("m", "1", "r1").observe(0.02)
    Counter("unrelated_total", "x", registry=registry).inc()
    return registry


@pytest.fixture
def port(registry: CollectorRegistry) -> Iterator[int]:
    with make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
async def scrape(port: int) -> AsyncIterator[Scrape]:
    scrape = Scrape(lambda: 1234.0, port=port, timeout=30.0)
    yield scrape
    await scrape.close()


def a_pod(name: str, address: str | None = "127.0.0.1") -> dict[str, Any]:
    labels = {names.LABEL_REVISION: "r1"}
    return {"metadata": {"name": name, "labels": labels}, "status": {"podIP": address} if address else {}}


async def test_a_pod_that_answers_is_read(scrape: Scrape) -> None:
    sample = await scrape.sample("demo", [a_pod("a")])

    (read,) = sample.pods
    assert (sample.at, read.pod, read.epoch, read.arm_requests) == (1234.0, "a", 3, {("r1", "ok"): 7})
    assert read.latency[-1] == 1
    assert sample.absent == {}


async def test_a_pod_that_does_not_answer_is_down_with_its_reason(scrape: Scrape) -> None:
    sample = await scrape.sample("demo", [a_pod("a"), a_pod("b", "127.0.0.2"), a_pod("c", None)])

    assert [read.pod for read in sample.pods] == ["a"]
    assert sample.absent["b"].startswith("down: ")
    assert sample.absent["c"] == "down: it has no address yet"


async def test_a_pod_that_accepts_and_says_nothing_is_down_after_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        scrape = Scrape(lambda: 0.0, port=silent.getsockname()[1], timeout=0.3)
        sample = await scrape.sample("demo", [a_pod("a")])
        await scrape.close()

    assert sample.absent == {"a": "down: no answer within 0.3 s"}


async def test_a_pod_without_what_was_asked_for_is_missing(scrape: Scrape, registry: CollectorRegistry) -> None:
    pod = a_pod("a")
    pod["metadata"]["labels"] = {names.LABEL_REVISION: "r9"}

    sample = await scrape.sample("demo", [pod])

    assert sample.absent["a"].startswith("missing: plimsoll_request_duration_seconds of revision r9")
