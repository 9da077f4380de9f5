"""What throughput does not tell: half load, overload, a swap under load."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

from bench.serving import payloads
from bench.serving.measure import Plan, Row
from bench.serving.models import ModelFile
from bench.serving.open_loop import OpenLoop, Paced
from bench.serving.pair import Pair
from bench.serving.priority import pieces, real_time
from bench.serving.process import Running
from bench.serving.works import Protocol, Work

HALF = Work(Protocol.JSON, 1, 16)
# So slow that one client process can send three times what the server answers.
OVERLOAD = Work(Protocol.JSON, 64, 16, "forest")
HALF_CONNECTIONS = 64
OVERLOAD_CONNECTIONS = 2000
TIMES_CAPACITY = 3
SWAP_SECONDS = 0.25


def half_load(plan: Plan, running: Running, model: ModelFile, server: str, capacity: float) -> Row:
    """Half of the rate that was measured at most, arriving at random: what users see on an ordinary day.

    Undisturbed where the kernel allows it (`real_time`), in as many seconds as a work's repeats have together.
    """
    found = Paced(capacity / 2)
    for number, seconds in pieces(plan.seconds * plan.repeats):
        with real_time(running) as undisturbed:
            found.add(_run(running, model, HALF, found.offered, HALF_CONNECTIONS, seconds, number))
    return {"server": server, **_paced_row(found), "real_time": undisturbed}


def overload(plan: Plan, running: Running, model: ModelFile, server: str, capacity: float) -> Row:
    """Three times what it can do: how long do those wait that are served, and what becomes of the rest."""
    seconds = plan.seconds * plan.repeats
    paced = _run(running, model, OVERLOAD, TIMES_CAPACITY * capacity, OVERLOAD_CONNECTIONS, seconds)
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
    return _run(running, model, work, rate, connections, plan.seconds)


def _run(
    running: Running, model: ModelFile, work: Work, rate: float, connections: int, seconds: float, seed: int = 0
) -> Paced:
    port = urlsplit(running.launch.base).port
    request = payloads.payload(work.protocol, model.rows(work.rows))
    return OpenLoop(port or 80, request, rate, connections, seconds, seed=seed).run()


def _paced_row(paced: Paced) -> Row:
    return {
        "offered_per_second": round(paced.offered, 1),
        "sent_per_second": round(paced.sent / paced.sending, 1),
        "p50_ms": round(paced.percentile_ms(50), 3),
        "p99_ms": round(paced.percentile_ms(99), 3),
        "served_p99_ms": round(paced.served_percentile_ms(99), 3),
        "errors": paced.sent - paced.accepted + paced.unsent,
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
