"""Which models of a pool are in memory: never more than the budget, whoever asks for what while others are at work."""

import asyncio
import random
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plimsoll_serving.errors import ArtifactError
from plimsoll_serving.pool import residents as module
from plimsoll_serving.pool.host import MAX_WAITING, State, Waiting
from plimsoll_serving.pool.residents import FIXED_BYTES, KEPT_FACTOR, LOADING_FACTOR, NO_ROOM, NO_ROOM_BESIDE, Residents

FILE_BYTES = 1000
#: What each model is expected to take while it is loaded, and then.
SIZE = LOADING_FACTOR * FILE_BYTES + FIXED_BYTES
KEPT = KEPT_FACTOR * FILE_BYTES + FIXED_BYTES


class FakeHost:
    """A revision without a server. ``under_way`` is its requests; ``released`` lets a load end."""

    def __init__(self, folder: Path, name: str, size: int = FILE_BYTES) -> None:
        self.revision, self.reason = name, ""
        self.settings = SimpleNamespace(model_dir=folder / name)
        self.settings.model_dir.mkdir()
        (self.settings.model_dir / "model.onnx").write_bytes(bytes(size))
        self.in_memory = self.dropped = self.pinned = False
        self.state = State.WAITING
        self.took_at = 0.0
        self.size, self.took, self.used_at, self.under_way, self.deaths = 0, 0, 0.0, 0, 0
        self.waiting: list[Waiting] = []
        self.said: list[str] = []

    @property
    def idle(self) -> bool:
        return self.in_memory and not self.under_way

    def loads(self) -> None:
        if self.state is not State.READY:
            self.state, self.reason = State.LOADING, ""

    def lacks(self, what: str) -> None:
        if self.state is State.LOADING:
            self.reason = what

    def misses(self, what: str) -> None:
        self.reason = what

    def serves(self, engine: Any, size: int) -> None:
        self.in_memory, self.size, self.state, self.reason = True, size, State.READY, ""

    def fails(self, why: str) -> None:
        self.reason = why

    def put_out(self) -> None:
        self.in_memory, self.size = False, 0

    def heard(self, why: str) -> None:
        """What a request is told that waits; it is under way from then on if the model is there."""
        self.said.append(why)
        self.under_way += self.in_memory


class World:
    """Hosts, and residents with room for so many of them."""

    def __init__(self, folder: Path, hosts: int, room: int, queue_seconds: float = 600.0) -> None:
        self.hosts = [FakeHost(folder, f"m{number}") for number in range(hosts)]
        self.residents: Any = Residents(room * SIZE, queue_seconds, folder / "marks")

    def ask(self, host: FakeHost) -> bool:
        """A request: it is under way, or waits."""
        if host.in_memory:
            host.heard("")
            return True
        return bool(self.residents.want(host, host.heard))


async def until(fact: Any) -> None:
    async with asyncio.timeout(60):
        while not fact():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def a_while() -> None:
    """Long enough for whoever waits for room to have looked more than once."""
    await asyncio.sleep(5 * module.ROOM_SECONDS)


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading is quick, and the process does not grow."""
    monkeypatch.setattr(module, "load", lambda settings: object())
    monkeypatch.setattr(module, "_resident_bytes", lambda: 0)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_a_model_waits_until_one_that_is_at_work_has_ended_and_takes_its_place(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=1)
        busy, late = world.hosts
        world.ask(busy)
        await until(lambda: busy.said == [""])
        world.ask(late)
        await a_while()
        assert (late.said, late.reason, busy.in_memory) == ([], NO_ROOM, True)
        assert world.residents.used == KEPT
        busy.under_way -= 1
        await until(lambda: late.said == [""])
        assert (busy.in_memory, late.in_memory, late.reason, world.residents.used) == (False, True, "", KEPT)
        assert (world.residents.loads, world.residents.evictions) == (2, 1)

    play(story())


async def a_release(world: World) -> tuple[FakeHost, FakeHost]:
    """Two versions of one, proven; there was no room for the second beside the first."""
    stable, candidate = world.hosts[:2]
    for host in (candidate, stable):
        world.residents.want(host)
        await until(lambda host=host: host.in_memory)
        host.pinned = True
    assert not candidate.in_memory
    return stable, candidate


LONG_AGO = -2 * module.IN_USE_SECONDS


def test_a_candidate_that_is_called_back_puts_out_neither_its_stable_version_nor_another_in_a_release(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=1)
        stable, candidate = await a_release(world)
        stable.used_at += LONG_AGO
        world.residents.recall(candidate)
        await a_while()
        assert (stable.in_memory, candidate.in_memory, candidate.reason) == (True, False, NO_ROOM_BESIDE)
        stable.pinned = False  # its release is over
        world.residents.recall(candidate)
        await until(lambda: candidate.in_memory)
        assert (stable.in_memory, candidate.reason) == (False, "")

    play(story())


def test_a_candidate_that_is_called_back_takes_the_room_of_whoever_is_not_in_use_and_of_nobody_else(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=3, room=1)
        stable, candidate = await a_release(world)
        world.residents.budget = SIZE + KEPT
        other = world.hosts[2]
        world.ask(other)
        await until(lambda: other.said == [""])
        other.used_at += LONG_AGO
        for under_way, used_at in ((1, other.used_at), (0, world.residents.now())):
            idle, other.under_way, other.used_at = other.used_at, under_way, used_at
            world.residents.recall(candidate)
            await a_while()
            assert (other.in_memory, candidate.in_memory, candidate.reason) == (True, False, NO_ROOM_BESIDE)
        other.used_at = idle
        world.residents.recall(candidate)
        await until(lambda: candidate.in_memory)
        assert (stable.in_memory, other.in_memory, candidate.reason) == (True, False, "")

    play(story())


def test_what_a_model_took_long_ago_does_not_keep_it_out_for_good(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=1)
        _, candidate = await a_release(world)
        world.residents.budget = SIZE + KEPT
        candidate.took = world.residents.budget
        assert not world.residents.reconsider(candidate)
        assert not world.residents.reconsider(candidate)
        candidate.took_at += LONG_AGO
        assert not world.residents.reconsider(candidate)
        assert world.residents.reconsider(candidate)

    play(story())


def test_a_candidate_on_its_way_in_is_not_said_to_lack_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=1)
        _, candidate = await a_release(world)
        world.residents.budget = SIZE + KEPT
        gate = loads_wait(monkeypatch)
        world.residents.recall(candidate)
        await until(lambda: candidate.size)
        world.residents.recall(candidate)
        assert (candidate.in_memory, candidate.reason) == (False, "")
        gate.set()
        await until(lambda: candidate.in_memory)

    play(story())


def test_a_lack_of_room_is_not_told_any_more_once_there_is_room_though_nobody_asks(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=1)
        _, candidate = await a_release(world)
        world.residents.recall(candidate)
        assert candidate.reason == NO_ROOM_BESIDE
        world.residents.budget = SIZE + KEPT
        assert world.residents.reconsider(candidate)
        assert (candidate.reason, candidate.in_memory) == ("", False)

    play(story())


def test_what_was_never_proven_is_not_called_back(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=1, room=1)
        world.residents.recall(world.hosts[0])
        await a_while()
        assert not world.hosts[0].in_memory

    play(story())


def test_what_is_being_loaded_has_its_room_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=1, room=1)
        seen: list[int] = []
        monkeypatch.setattr(module, "load", lambda settings: seen.append(world.residents.used))
        world.residents.want(world.hosts[0])
        await until(lambda: world.hosts[0].in_memory)
        assert seen == [SIZE]

    play(story())


def test_a_request_that_waits_for_room_for_too_long_is_refused_and_the_model_comes_all_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=1, queue_seconds=0.05)
        busy, late = world.hosts
        world.ask(busy)
        await until(lambda: busy.said == [""])
        asked = world.residents.now()
        world.ask(late)
        world.ask(late)
        await until(lambda: late.said == [NO_ROOM, NO_ROOM])
        assert world.residents.now() - asked >= 0.05
        assert late.waiting == []
        busy.under_way -= 1
        await until(lambda: late.in_memory)

    play(story())


def loads_wait(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Loads end when it is set."""
    gate, loop = asyncio.Event(), asyncio.get_running_loop()
    monkeypatch.setattr(module, "load", lambda settings: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result())
    return gate


def test_a_request_that_waits_behind_a_load_is_not_refused_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=2, queue_seconds=0.0)
        gate = loads_wait(monkeypatch)
        for host in world.hosts:
            world.ask(host)
        await a_while()
        assert [host.said for host in world.hosts] == [[], []]
        gate.set()
        await until(lambda: [host.said for host in world.hosts] == [[""], [""]])

    play(story())


def test_a_request_without_room_is_refused_in_time_while_another_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=1, queue_seconds=0.02)
        gate = loads_wait(monkeypatch)
        for host in world.hosts:
            world.ask(host)
        await until(lambda: world.hosts[1].said == [NO_ROOM])
        assert world.hosts[0].said == []
        gate.set()
        await until(lambda: world.hosts[0].said == [""])

    play(story())


def test_a_small_model_does_not_wait_behind_a_large_one_that_lacks_room(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=2)
        busy, small = world.hosts
        large = FakeHost(tmp_path, "large", FILE_BYTES + SIZE // LOADING_FACTOR)
        world.ask(busy)
        await until(lambda: busy.said == [""])
        world.ask(large)
        await a_while()
        world.ask(small)
        await until(lambda: small.said == [""])
        assert large.said == []
        busy.under_way = small.under_way = 0
        await until(lambda: large.said == [""])

    play(story())


def test_a_model_that_no_memory_would_hold_fails_at_once_though_all_others_are_at_work(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=1, room=1)
        large = FakeHost(tmp_path, "large", 2 * SIZE)
        world.ask(world.hosts[0])
        await until(lambda: world.hosts[0].said == [""])
        world.ask(large)
        await until(lambda: large.said == [""])
        assert "raise spec.resources.memory of the ServingPool" in large.reason
        assert (large.in_memory, world.residents.used) == (False, KEPT)

    play(story())


def test_a_model_that_cannot_be_loaded_gives_its_room_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(settings: Any) -> None:
        raise ArtifactError("not the artifact")

    async def story() -> None:
        world = World(tmp_path, hosts=1, room=1)
        monkeypatch.setattr(module, "load", refused)
        world.ask(world.hosts[0])
        await until(lambda: world.hosts[0].said == [""])
        assert (world.hosts[0].reason, world.residents.used) == ("not the artifact", 0)

    play(story())


def test_a_model_that_no_document_names_any_more_holds_its_room_while_it_answers(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=1)
        leaving, late = world.hosts
        world.ask(leaving)
        await until(lambda: leaving.said == [""])
        leaving.dropped = True
        world.residents.look()
        world.ask(late)
        await a_while()
        assert (world.residents.used, late.said) == (KEPT, [])
        leaving.under_way -= 1
        await until(lambda: late.said == [""])
        late.under_way, late.dropped = 0, True
        world.residents.look()
        assert world.residents.used == 0

    play(story())


def test_requests_for_a_model_that_is_dropped_while_it_waits_for_room_are_answered_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=1)
        busy, late = world.hosts
        world.ask(busy)
        await until(lambda: busy.said == [""])
        world.ask(late)
        await a_while()
        late.dropped = True
        await until(lambda: late.said == [""])
        assert not late.in_memory

    play(story())


def test_what_is_over_the_budget_because_a_model_grew_goes_unless_it_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=2)
        readings = iter((0, SIZE, SIZE, 9 * SIZE))
        monkeypatch.setattr(module, "_resident_bytes", lambda: next(readings))
        busy, grown = world.hosts
        world.ask(busy)
        await until(lambda: busy.said == [""])
        world.residents.want(grown)
        await until(lambda: world.residents.loads == 2)
        await until(lambda: not grown.in_memory)
        assert (busy.in_memory, world.residents.used) == (True, SIZE)

    play(story())


def test_a_model_that_seems_to_take_more_than_the_whole_budget_stays_while_it_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=1, room=1)
        readings = iter((0, 9 * SIZE))
        monkeypatch.setattr(module, "_resident_bytes", lambda: next(readings))
        world.residents.want(world.hosts[0])
        await until(lambda: world.hosts[0].in_memory)
        world.residents.look()
        assert (world.hosts[0].in_memory, world.residents.used) == (True, SIZE)

    play(story())


def test_a_model_that_comes_back_is_expected_to_take_what_it_took_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=2, room=3)
        readings = iter((0, 2 * SIZE + 1, 0, 0))
        monkeypatch.setattr(module, "_resident_bytes", lambda: next(readings))
        grown, busy = world.hosts
        world.residents.want(grown)
        await until(lambda: grown.in_memory)
        assert world.residents.used == 2 * SIZE + 1
        world.ask(busy)
        await until(lambda: busy.said == [""])
        assert not grown.in_memory
        busy.size = SIZE
        world.residents.want(grown)
        await a_while()
        assert not grown.in_memory

    play(story())


def test_only_so_many_requests_wait_for_one_model(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(tmp_path, hosts=1, room=1)
        asked = [world.ask(world.hosts[0]) for _ in range(MAX_WAITING + 1)]
        assert asked == [True] * MAX_WAITING + [False]
        await until(lambda: len(world.hosts[0].said) == MAX_WAITING)

    play(story())


@pytest.mark.parametrize("room", [1, 2, 5])
def test_many_requests_for_each_of_many_models_are_all_answered_within_the_budget(tmp_path: Path, room: int) -> None:
    """Twenty requests for each of twelve, at random times, each at work for a while: none is lost, nothing is stuck."""

    async def story() -> None:
        random_ = random.Random(room)
        world = World(tmp_path, hosts=12, room=room)
        over: list[int] = []

        async def request(host: FakeHost) -> None:
            await asyncio.sleep(random_.random() / 4)
            told = asyncio.get_running_loop().create_future()

            def heard(why: str) -> None:
                host.heard(why)
                told.set_result(host.in_memory)

            if host.in_memory:
                heard("")
            else:
                assert world.residents.want(host, heard)
            assert await told
            over.append(max(0, world.residents.used - world.residents.budget))
            await asyncio.sleep(random_.random() / 100)
            assert host.in_memory, "it was put out while it was at work"
            host.under_way -= 1

        async with asyncio.timeout(120):
            await asyncio.gather(*(request(host) for host in world.hosts for _ in range(20)))
        assert over == [0] * 240
        assert [len(host.said) for host in world.hosts] == [20] * 12
        assert {why for host in world.hosts for why in host.said} == {""}
        assert not any(host.waiting or host.under_way for host in world.hosts)

    play(story())
