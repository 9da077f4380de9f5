"""What is made of another pod's answer, and how long it is waited for."""

import asyncio
import json
from collections.abc import Callable

import pytest
from plimsoll_serving.breaker import Breaker
from plimsoll_serving.delegate import Outcome
from plimsoll_serving.forwarding import Forwarding
from plimsoll_serving.http.client import Failure, Reason
from plimsoll_serving.http.message import EXPIRED, Request, Respond, Response
from plimsoll_serving.metrics import ServingMetrics
from plimsoll_serving.route import Arm, parse
from plimsoll_serving.routing import Routing
from plimsoll_serving.settings import Identity

ARM = Arm("candidate", "2", 100, "Serve", "localhost", 1)
OWN = Response(200, b"own")
TIMEOUT = Failure(Reason.TIMEOUT, "no answer in time")


class Arms:
    """Notes how long it may wait and says what the test wants."""

    def __init__(self) -> None:
        self.kept = Breaker(asyncio.get_running_loop().time())
        self.seconds: list[float] = []
        self.result: Response | Failure = Response(200, b"arm")
        self.before: Callable[[], None] = lambda: None

    def breaker(self, _: Arm) -> Breaker:
        return self.kept

    def send(self, arm: Arm, request: Request, seconds: float, settled: Callable[[Response | Failure], None]) -> None:
        self.seconds.append(seconds)
        self.before()
        settled(self.result)


class Stage:
    """A `Forwarding` over `Arms`, with the answers that came of it."""

    def __init__(self) -> None:
        identity = Identity("digits", "1", "stable", "digits", "demo", "pod")
        arms = [
            {"revision": "stable", "version": "1", "weight": 0, "mode": "Serve", "address": "localhost:1"},
            {"revision": "candidate", "version": "2", "weight": 100, "mode": "Serve", "address": "localhost:2"},
        ]
        document = {"formatVersion": 1, "epoch": 1, "primary": "stable", "arms": arms, "delegateTimeoutSeconds": 1.5}
        metrics = ServingMetrics(identity)
        metrics.add_arm("candidate")
        routing = Routing("stable", lambda _: None, lambda: 0.5)
        routing.apply(parse(json.dumps(document).encode()))
        self.arms = Arms()
        self.metrics = metrics
        self.forwarding = Forwarding(routing, self.arms, metrics)
        self.answers: list[Response] = []

    def delegate(self, deadline: float | None = None, local: Callable[[Respond], None] | None = None) -> Response:
        request = Request("POST", "/", "", [], b"", True)
        request.deadline = deadline
        self.forwarding.delegate(ARM, request, local or (lambda respond: respond(OWN)), self.answers.append)
        assert len(self.answers) == 1, "answered once"
        return self.answers.pop()


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_a_request_without_a_deadline_is_given_the_time_of_the_route(stage: Stage) -> None:
    assert stage.delegate().body == b"arm"
    assert stage.arms.seconds == [1.5]


async def test_a_nearer_deadline_of_the_caller_shortens_the_wait(stage: Stage) -> None:
    now = asyncio.get_running_loop().time()
    stage.delegate(deadline=now + 0.5)
    stage.delegate(deadline=now + 60)
    assert 0 < stage.arms.seconds[0] <= 0.5
    assert stage.arms.seconds[1] == 1.5


async def test_timeouts_of_the_route_open_the_breaker(stage: Stage) -> None:
    stage.arms.result = TIMEOUT
    for _ in range(5):
        assert stage.delegate() is OWN
    assert stage.arms.kept.is_open(asyncio.get_running_loop().time())


async def test_impatient_callers_do_not_open_the_breaker(stage: Stage) -> None:
    stage.arms.result = TIMEOUT
    now = asyncio.get_running_loop().time()
    for _ in range(20):
        assert stage.delegate(deadline=now) is OWN
    assert not stage.arms.kept.is_open(now)


async def test_a_deadline_of_the_caller_that_the_arm_tells_of_is_passed_on_and_blames_nobody(stage: Stage) -> None:
    late = Response(504, b"late", headers=[EXPIRED])
    stage.arms.result = late
    for _ in range(20):
        assert stage.delegate() is late
    assert not stage.arms.kept.is_open(asyncio.get_running_loop().time())
    samples = next(iter(stage.metrics.arms.collect())).samples
    counts = {one.labels["outcome"]: one.value for one in samples if one.labels["revision"] == "candidate"}
    assert counts == dict.fromkeys(map(str, Outcome), 0) | {"deadline": 20}


async def test_a_fallback_that_fails_is_answered_too(stage: Stage) -> None:
    stage.arms.result = TIMEOUT

    def fails(_: Respond) -> None:
        raise RuntimeError("no model")

    response = stage.delegate(local=fails)
    assert (response.status, b"its log has the trace" in response.body) == (500, True)
