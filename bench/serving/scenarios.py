"""What throughput does not tell: half load, overload, delegation, a swap under load."""

import json
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx

from bench.serving import load, payloads
from bench.serving.launches import plimsoll_process
from bench.serving.measure import WARM_SECONDS, Plan, Row, checked
from bench.serving.models import ModelFile
from bench.serving.open_loop import OpenLoop, Paced
from bench.serving.process import Launch, Running, serving
from bench.serving.works import Protocol, Work

HALF = Work(Protocol.JSON, 1, 16)
OVERLOAD = Work(Protocol.JSON, 32, 16, "forest")
HALF_CONNECTIONS = 64
OVERLOAD_CONNECTIONS = 2000
TIMES_CAPACITY = 3
SWAP_SECONDS = 0.25
REVISIONS = ("bench-1", "bench-2")


def half_load(plan: Plan, running: Running, model: ModelFile, server: str, capacity: float) -> Row:
    """Half of the rate that was measured at most, arriving at random: what users see on an ordinary day."""
    return {"server": server, **_paced_row(_paced(plan, running, model, HALF, capacity / 2, HALF_CONNECTIONS))}


def overload(plan: Plan, running: Running, model: ModelFile, server: str, capacity: float) -> Row:
    """Three times what it can do: how long do those wait that are served, and what becomes of the rest."""
    paced = _paced(plan, running, model, OVERLOAD, TIMES_CAPACITY * capacity, OVERLOAD_CONNECTIONS)
    refused = sum(count for status, count in paced.statuses.items() if status in (429, 503))
    return {
        "server": server,
        "capacity": round(capacity, 1),
        **_paced_row(paced),
        "accepted_per_second": round(paced.accepted / paced.seconds, 1),
        "refused": refused,
        "errors": paced.sent - paced.accepted - refused,
        "unsent": paced.unsent,
    }


def _paced(plan: Plan, running: Running, model: ModelFile, work: Work, rate: float, connections: int) -> Paced:
    port = urlsplit(running.launch.base).port
    request = payloads.payload(work.protocol, model.rows(work.rows))
    return OpenLoop(port or 80, request, rate, connections, plan.seconds).run()


def _paced_row(paced: Paced) -> Row:
    return {
        "offered_per_second": round(paced.offered, 1),
        "sent_per_second": round(paced.sent / paced.seconds, 1),
        "p50_ms": round(paced.percentile_ms(50), 3),
        "p99_ms": round(paced.percentile_ms(99), 3),
        "served_p99_ms": round(paced.served_percentile_ms(99), 3),
        "errors": paced.sent - paced.accepted + paced.unsent,
    }


class Pair:
    """Two processes of this server, and a route document that both follow."""

    def __init__(self, plan: Plan, model: ModelFile, stack: ExitStack) -> None:
        self._epoch = 0
        self.folders = [(plan.build / "run" / revision).absolute() for revision in REVISIONS]
        for folder in self.folders:
            (folder / "route.json").unlink(missing_ok=True)
        launches = [
            plimsoll_process(model, folder, revision, {})
            for folder, revision in zip(self.folders, REVISIONS, strict=True)
        ]
        self.servers = [stack.enter_context(serving(launch, plan.server_core)) for launch in launches]
        self._addresses = [f"127.0.0.1:{launch.env['PLIMSOLL_DIRECT_PORT']}" for launch in launches]

    def route(self, weights: tuple[int, int]) -> None:
        """Share the requests that reach the first one; both get the document in one rename."""
        self._epoch += 1
        text = json.dumps(route_document(self._epoch, self._addresses, weights))
        for folder in self.folders:
            fresh = folder / "route.new"
            fresh.write_text(text)
            fresh.replace(folder / "route.json")

    def follow(self) -> None:
        """Until both report the newest document."""
        deadline = time.monotonic() + 20
        for server in self.servers:
            while httpx.get(_route_url(server.launch)).json()["epoch"] != self._epoch:
                if time.monotonic() > deadline:
                    raise RuntimeError("the servers do not follow the route document")
                time.sleep(0.02)

    def cpu_seconds(self) -> float:
        return sum(server.cpu_seconds() for server in self.servers)


def route_document(epoch: int, addresses: list[str], weights: tuple[int, int]) -> Row:
    """The document of two arms (docs/contracts.md)."""
    arms = [
        {"revision": revision, "version": "1", "weight": weight, "mode": "Serve", "address": address}
        for revision, address, weight in zip(REVISIONS, addresses, weights, strict=True)
    ]
    bounds = {"delegateTimeoutSeconds": 2.0, "validUntil": None, "maxBlindSeconds": 900}
    return {"formatVersion": 1, "epoch": epoch, "primary": REVISIONS[0], "arms": arms, "sticky": None, **bounds}


def _route_url(launch: Launch) -> str:
    return launch.ready.replace("/readyz", "/route")


def delegation(plan: Plan, model: ModelFile) -> Row:
    """All requests answered by the first process, then all passed on by it to the second, on the same core."""
    with ExitStack() as stack:
        pair = Pair(plan, model, stack)
        found = {}
        for name, weights in (("direct", (100, 0)), ("delegated", (0, 100))):
            pair.route(weights)
            pair.follow()
            found[name] = _pair_run(plan, pair, model)
    direct, delegated = found["direct"], found["delegated"]
    return {
        **{f"{name}_{key}": value for name, one in found.items() for key, value in one.items()},
        "cpu_ratio": round(delegated["cpu_us_per_request"] / direct["cpu_us_per_request"], 2),
        "throughput_ratio": round(direct["requests_per_second"] / delegated["requests_per_second"], 2),
    }


def _pair_run(plan: Plan, pair: Pair, model: ModelFile) -> Row:
    request = payloads.payload(HALF.protocol, model.rows(HALF.rows))
    first = pair.servers[0]
    checked(plan, first, model, HALF)
    load.wrk(first.launch.base, request, HALF.connections, WARM_SECONDS, plan.client_core)
    taken, cpu = [], []
    for _ in range(plan.repeats):
        before = pair.cpu_seconds()
        taken.append(load.wrk(first.launch.base, request, HALF.connections, plan.seconds, plan.client_core))
        cpu.append((pair.cpu_seconds() - before) / taken[-1].requests * 1e6)
    return {
        "requests_per_second": round(statistics.median(one.rate for one in taken), 1),
        "p99_ms": round(statistics.median(one.p99_ms for one in taken), 3),
        "cpu_us_per_request": round(statistics.median(cpu), 1),
        "errors": sum(one.errors for one in taken),
    }


def hot_swap(plan: Plan, model: ModelFile, delegated_rate: float) -> Row:
    """At half of what a delegating pair can do: still, delegating, and flipping between both four times a second."""
    rate = delegated_rate / 2
    with ExitStack() as stack:
        pair = Pair(plan, model, stack)
        steady = {}
        for name, weights in (("direct", (100, 0)), ("delegated", (0, 100))):
            pair.route(weights)
            pair.follow()
            steady[name] = _paced(plan, pair.servers[0], model, HALF, rate, HALF_CONNECTIONS)
        flips, swapped = _flipping(pair, lambda: _paced(plan, pair.servers[0], model, HALF, rate, HALF_CONNECTIONS))
    still = max(one.percentile_ms(99) for one in steady.values())
    return {
        "offered_per_second": round(rate, 1),
        "flips": flips,
        **{f"{name}_p99_ms": round(one.percentile_ms(99), 3) for name, one in steady.items()},
        "swapping_p99_ms": round(swapped.percentile_ms(99), 3),
        "added_p99_ms": round(swapped.percentile_ms(99) - still, 3),
        "errors": _paced_row(swapped)["errors"],
    }


def _flipping(pair: Pair, run: Callable[[], Paced]) -> tuple[int, Paced]:
    """Run while another thread flips the route; how often it did."""
    stop, flips = threading.Event(), [0]

    def flip() -> None:
        while not stop.wait(SWAP_SECONDS):
            flips[0] += 1
            pair.route((100, 0) if flips[0] % 2 else (0, 100))

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        found = run()
    finally:
        stop.set()
        thread.join()
    pair.follow()
    return flips[0], found
