"""What it costs the server to choose an arm, to delegate, to answer in place of one that is away, and to mirror."""

import statistics
from contextlib import ExitStack
from dataclasses import dataclass, replace

from bench.serving import load, payloads
from bench.serving.measure import WARM_SECONDS, Plan, Row, checked
from bench.serving.models import ModelFile
from bench.serving.pair import Pair
from bench.serving.scenarios import HALF

STICKY = "x-user-id"
DIRECT, DELEGATED = "direct", "delegated"


@dataclass(frozen=True, slots=True)
class Way:
    """One way for requests to take.

    ``weights`` and ``mode`` (of the second arm) are the route's; ``sticky``: the arm is chosen by a header that all
    requests have; ``away``: nothing listens at the second arm's address, so that the first answers in its place.
    """

    name: str
    weights: tuple[int, int]
    mode: str = "Serve"
    sticky: bool = False
    away: bool = False


WAYS = (
    Way(DIRECT, (100, 0)),
    Way("own arm of two, by chance", (99, 1)),
    Way("own arm of two, by a sticky header", (99, 1), sticky=True),
    Way(DELEGATED, (0, 100)),
    Way("delegated, by a sticky header", (1, 99), sticky=True),
    Way("answered in place of an arm that is away", (0, 100), away=True),
    Way("one of ten mirrored", (100, 10), "Mirror"),
    Way("all mirrored", (100, 100), "Mirror"),
)


def routing(plan: Plan, model: ModelFile) -> list[Row]:
    """A row for each way: rate, p99, errors, and CPU a request of the process that is asked and of both."""
    with ExitStack() as stack:
        pair = Pair(plan, model, stack)
        return [_taken(plan, pair, model, way) for way in WAYS]


def _taken(plan: Plan, pair: Pair, model: ModelFile, way: Way) -> Row:
    pair.route(way.weights, mode=way.mode, sticky=STICKY if way.sticky else None, away=way.away)
    pair.follow()
    request = payloads.payload(HALF.protocol, model.rows(HALF.rows))
    if way.sticky:
        request = replace(request, headers={**request.headers, STICKY: "somebody"})
    first = pair.servers[0]
    checked(plan, first, model, HALF)
    load.wrk(first.launch.base, request, HALF.connections, WARM_SECONDS, plan.client_core)
    taken, asked, both = [], [], []
    for _ in range(plan.repeats):
        before = [server.cpu_seconds() for server in pair.servers]
        taken.append(load.wrk(first.launch.base, request, HALF.connections, plan.seconds, plan.client_core))
        used = [server.cpu_seconds() - one for server, one in zip(pair.servers, before, strict=True)]
        asked.append(used[0] / taken[-1].requests * 1e6)
        both.append(sum(used) / taken[-1].requests * 1e6)
    return {
        "way": way.name,
        "requests_per_second": round(statistics.median(one.rate for one in taken), 1),
        "p99_ms": round(statistics.median(one.p99_ms for one in taken), 3),
        "cpu_us_per_request": round(statistics.median(both), 1),
        "asked_cpu_us_per_request": round(statistics.median(asked), 1),
        "errors": sum(one.errors for one in taken),
    }
