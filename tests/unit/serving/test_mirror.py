"""When copies are sent, what they wait for, and what is dropped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from plimsoll_serving.http.message import Request, Response
from plimsoll_serving.route import Arm
from plimsoll_serving.shadow.compare import Tolerance
from plimsoll_serving.shadow.counters import Outcome, ShadowCounters
from plimsoll_serving.shadow.limits import MirrorLimits
from plimsoll_serving.shadow.mirror import GATHER_SECONDS, Mirror

ANSWER = Response(200, b'{"outputs": []}')
REQUEST = Request("POST", "/v2/models/digits/infer", "", [], b"{}", True)


class Noted(ShadowCounters):
    """Notes outcomes, and wakes whoever waits for one."""

    def __init__(self) -> None:
        super().__init__("digits")
        self.outcomes: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def count(self, stable: str, candidate: str, outcome: Outcome) -> None:
        super().count(stable, candidate, outcome)
        self.outcomes.put_nowait((candidate, outcome.value))

    def seen(self) -> list[str]:
        return [self.outcomes.get_nowait()[1] for _ in range(self.outcomes.qsize())]


class Stage:
    """A mirror and a server that answers as the test says."""

    def __init__(self, limits: MirrorLimits, point: Callable[[], float]) -> None:
        self.counters = Noted()
        self.mirror = Mirror(self.counters, limits, point)
        self.connections = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                await self.gate.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\nplimsoll-together: 0\r\n\r\n" + ANSWER.body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def follow(self, *weights: int) -> None:
        arms = [Arm(f"shadow-{i}", "2", weight, "Mirror", "127.0.0.1", self.port) for i, weight in enumerate(weights)]
        self.mirror.follow(tuple(arms), "stable", 20.0, Tolerance())

    def offer(self, times: int = 1, answer: Response = ANSWER) -> None:
        for _ in range(times):
            self.mirror.offer(self.mirror.draw(), REQUEST, answer, "stable")


Make = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def stage() -> AsyncIterator[Make]:
    made: list[Stage] = []

    async def make(point: Callable[[], float] = lambda: 0.5, **limits: int) -> Stage:
        made.append(Stage(MirrorLimits(**limits), point))
        await made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.mirror.close()
        each.gate.set()
        each.server.close()


async def test_nothing_is_sent_in_the_loop_turn_of_the_answer(stage: Make) -> None:
    there = await stage()
    there.follow(100)
    there.offer()
    assert there.mirror._under_way == 0
    assert await there.counters.outcomes.get() == ("shadow-0", "match")


async def test_each_shadow_has_a_share_of_its_own(stage: Make) -> None:
    there = await stage(point=lambda: 0.3)
    there.follow(31, 30, 0, 100)
    there.offer()
    got = {await there.counters.outcomes.get() for _ in range(2)}
    assert got == {("shadow-0", "match"), ("shadow-3", "match")}
    assert there.counters.seen() == []


@pytest.mark.parametrize("status", [429, 503, 504])
async def test_answers_for_which_no_model_was_asked_are_not_compared(stage: Make, status: int) -> None:
    there = await stage()
    there.follow(100)
    there.offer(answer=Response(status))
    there.offer()
    assert await there.counters.outcomes.get() == ("shadow-0", "match")
    assert there.counters.seen() == []
    assert there.connections == 1


async def test_what_finds_no_place_is_dropped_and_connections_are_bounded(stage: Make) -> None:
    there = await stage(queue=3, concurrency=2)
    there.follow(100)
    there.gate.clear()
    there.offer(3)
    await _turns()
    there.offer(6)
    assert there.counters.seen() == ["dropped"] * 4, "two under way, three wait"
    there.gate.set()
    assert [(await there.counters.outcomes.get())[1] for _ in range(5)] == ["match"] * 5
    assert there.connections == 2
    assert (there.mirror._held.bytes, there.mirror._under_way) == (0, 0)


async def test_copies_that_wait_for_a_shadow_that_leaves_the_route_are_dropped(stage: Make) -> None:
    there = await stage(concurrency=1)
    there.follow(100)
    there.gate.clear()
    there.offer(1)
    await _turns()
    there.offer(2)
    there.follow()
    assert not there.mirror.active
    there.gate.set()
    got = [(await there.counters.outcomes.get())[1] for _ in range(3)]
    assert got == ["match", "dropped", "dropped"]
    assert there.mirror._held.bytes == 0


async def test_large_pairs_are_compared_in_a_thread(stage: Make) -> None:
    there = await stage()
    there.follow(100)
    there.offer(answer=Response(200, b'{"outputs": [], "x": "%s"}' % (b"a" * 50_000)))
    assert await there.counters.outcomes.get() == ("shadow-0", "match")
    assert there.mirror._held.bytes == 0
    assert there.mirror._thread._threads


async def _turns() -> None:
    await asyncio.sleep(3 * GATHER_SECONDS)
