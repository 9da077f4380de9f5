"""Requests of one turn of the loop over one connection: who shares, who waits for whom, what a lost one costs."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from plimsoll_serving.http.client import Failure, Reason
from plimsoll_serving.http.deadlines import Deadlines
from plimsoll_serving.http.limits import TOGETHER_DEPTH, Budget, Limits
from plimsoll_serving.http.listener import Listener
from plimsoll_serving.http.message import Request, Respond, Response
from plimsoll_serving.http.pool import GATHER_SECONDS, SPREAD, TOGETHER_BYTES, ConnectionPool

Result = Response | Failure
REQUEST = re.compile(rb"POST /(\w+) HTTP/1.1\r\nhost: t\r\nplimsoll-delegated: 1\r\ncontent-length: (\d+)\r\n\r\n")


def asked(name: str, size: int = 2) -> tuple[bytes, bytes]:
    body = b"x" * size
    return b"POST /%b HTTP/1.1\r\nhost: t\r\nplimsoll-delegated: 1\r\ncontent-length: %d\r\n\r\n" % (
        name.encode(),
        size,
    ), body


@dataclass
class Pod:
    """A real listener whose handler waits until the test answers, or answers at once."""

    together: bool = True
    waits: bool = False
    held: list[tuple[Request, Respond]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    connections: int = 0
    fails: str = ""

    def __post_init__(self) -> None:
        self.listener = Listener(self._handle, Limits(), Budget(1 << 20), together=lambda: self.together)

    def connect(self) -> asyncio.Protocol:
        self.connections += 1
        return self.listener.connect()

    def _handle(self, request: Request, respond: Respond) -> None:
        self.seen.append(request.path[1:])
        if request.path[1:] == self.fails:
            raise RuntimeError("as the test wants")
        if self.waits:
            self.held.append((request, respond))
        else:
            respond(Response(200, request.path.encode()))

    def answer(self, name: str) -> None:
        (one,) = [one for one in self.held if one[0].path[1:] == name]
        self.held.remove(one)
        one[1](Response(200, one[0].path.encode()))


@asynccontextmanager
async def serving(pod: Pod) -> AsyncIterator[ConnectionPool]:
    await pod.listener.start("127.0.0.1", 0)
    counted = await asyncio.get_running_loop().create_server(pod.connect, "127.0.0.1", 0)
    pool = ConnectionPool("127.0.0.1", counted.sockets[0].getsockname()[1], Deadlines())
    try:
        yield pool
    finally:
        pool.close()
        counted.close()
        pod.listener.stop_accepting()
        pod.listener.stop()


def ask(pool: ConnectionPool, names: list[str], seconds: float = 20.0, size: int = 2) -> "list[asyncio.Future[Result]]":
    """All in this turn of the loop."""
    results = []
    for name in names:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        pool.exchange(asked(name, size), seconds, 1000, future.set_result)
        results.append(future)
    return results


async def bodies(results: "list[asyncio.Future[Result]]") -> list[str]:
    return [told.body.decode()[1:] if isinstance(told, Response) else told.reason.name for told in await _all(results)]


async def _all(results: "list[asyncio.Future[Result]]") -> list[Result]:
    return list(await asyncio.wait_for(asyncio.gather(*results), 20))


async def until(fact: Callable[[], bool]) -> None:
    for _ in range(4000):
        if fact():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError("it did not come about")


def names(count: int, prefix: str = "r") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


async def warm(pool: ConnectionPool) -> None:
    """As many connections as are kept apart, each of which has had an answer."""
    assert await bodies(ask(pool, names(SPREAD))) == names(SPREAD)


async def test_requests_of_one_turn_share_connections_once_there_are_enough_and_each_gets_its_own_answer() -> None:
    pod = Pod()
    async with serving(pod) as pool:
        await warm(pool)
        assert pod.connections == SPREAD
        pod.waits = True
        wanted = names(2 * TOGETHER_DEPTH + 1)
        results = ask(pool, wanted)
        await until(lambda: len(pod.held) == len(wanted))
        for name in reversed(wanted):
            pod.answer(name)
        assert await bodies(results) == wanted
        assert pod.connections == SPREAD


@asynccontextmanager
async def warmed(peer: "Peer") -> AsyncIterator[ConnectionPool]:
    """Connections to a peer that knows nothing of the requests which opened them."""
    async with await asyncio.start_server(peer, "127.0.0.1", 0) as server:
        pool = ConnectionPool("127.0.0.1", server.sockets[0].getsockname()[1], Deadlines())
        await warm(pool)
        peer.rounds.clear()
        yield pool
        pool.close()


async def test_requests_of_turns_that_follow_one_another_go_together() -> None:
    peer = Peer(lambda _: None)
    async with warmed(peer) as pool:
        for _ in range(500):  # a busy machine may take longer for a turn than the first waits
            results = ask(pool, ["first"])
            await asyncio.sleep(0)
            results += ask(pool, ["second"])
            assert await bodies(results) == ["first", "second"]
            if 2 in peer.rounds:
                break
        assert 2 in peer.rounds


async def test_nobody_waits_long_for_others_that_keep_coming() -> None:
    """Each turn brings one more, and takes longer than any may wait."""
    peer = Peer(lambda _: None)
    async with warmed(peer) as pool:
        results = []
        for name in names(6):
            results += ask(pool, [name])
            asyncio.get_running_loop().call_soon(time.sleep, 2 * GATHER_SECONDS)
            await asyncio.sleep(0)
        assert await bodies(results) == names(6)
        assert peer.rounds[0] < 6


async def test_a_shared_connection_carries_no_more_than_its_share() -> None:
    pod = Pod()
    async with serving(pod) as pool:
        await warm(pool)
        pod.waits = True
        results = ask(pool, names(TOGETHER_DEPTH + 1))
        await until(lambda: len(pod.held) == TOGETHER_DEPTH + 1)
        pod.answer(names(TOGETHER_DEPTH + 1)[-1])
        assert (await asyncio.wait_for(results[-1], 20)).body.endswith(b"/r16"), "it waits for nobody"  # type: ignore[union-attr]
        assert not any(result.done() for result in results[:-1])
        for name in names(TOGETHER_DEPTH):
            pod.answer(name)
        await _all(results)


async def test_a_pod_whose_model_is_slow_gets_each_request_on_a_connection_of_its_own() -> None:
    pod = Pod(together=False)
    async with serving(pod) as pool:
        await warm(pool)
        pod.waits = True
        results = ask(pool, ["slow", "quick"])
        await until(lambda: len(pod.held) == 2)
        pod.answer("quick")
        assert await bodies(results[1:]) == ["quick"]
        assert not results[0].done()
        pod.answer("slow")
        await _all(results)


async def test_a_large_request_makes_nobody_wait() -> None:
    pod = Pod()
    async with serving(pod) as pool:
        await warm(pool)
        pod.waits = True
        large = ask(pool, ["large"], size=TOGETHER_BYTES + 1)
        small = ask(pool, ["small"])
        await until(lambda: len(pod.held) == 2)
        pod.answer("small")
        assert await bodies(small) == ["small"]
        pod.answer("large")
        assert await bodies(large) == ["large"]


async def test_one_whose_time_is_over_leaves_alone_and_the_others_get_their_own_answers() -> None:
    pod = Pod()
    async with serving(pod) as pool:
        await warm(pool)
        pod.waits = True
        hurried, patient = ask(pool, ["hurried"], seconds=0.05), ask(pool, ["patient"])
        assert await bodies(hurried) == ["TIMEOUT"]
        pod.answer("hurried")
        pod.answer("patient")
        assert await bodies(patient) == ["patient"]
        assert pod.connections == SPREAD


async def test_when_all_of_a_connection_have_left_it_ends() -> None:
    pod = Pod()
    async with serving(pod) as pool:
        await warm(pool)
        pod.waits = True
        assert await bodies(ask(pool, names(2), seconds=0.05)) == ["TIMEOUT"] * 2
        for name in names(2):
            pod.answer(name)
        await until(lambda: pod.listener.open_connections == SPREAD - 1)


async def test_a_handler_that_fails_is_answered_in_its_place() -> None:
    pod = Pod()
    async with serving(pod) as pool:
        await warm(pool)
        pod.fails = "r1"
        told = await _all(ask(pool, names(3)))
        assert [one.status for one in told if isinstance(one, Response)] == [200, 500, 200]


async def test_what_no_pod_sent_on_is_answered_one_at_a_time() -> None:
    pod = Pod(waits=True)
    async with serving(pod):
        reader, writer = await asyncio.open_connection("127.0.0.1", pod.listener.port)
        plain = b"POST /%b HTTP/1.1\r\nhost: t\r\ncontent-length: 0\r\n\r\n"
        delegated = b"".join(asked("c"))
        writer.write(plain % b"a" + plain % b"b" + delegated + delegated.replace(b"/c", b"/d") + plain % b"e")
        for name in ("a", "b"):
            await until(lambda name=name: bool(pod.held) and pod.held[0][0].path == "/" + name)  # type: ignore[misc]
            assert len(pod.held) == 1
            pod.answer(name)
        await until(lambda: len(pod.held) == 2)
        pod.answer("d")
        pod.answer("c")
        await until(lambda: bool(pod.held))
        pod.answer("e")
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 5 or not received.endswith(b"/e"):
            received += await asyncio.wait_for(reader.read(65536), 20)
        assert re.findall(rb"\r\n\r\n/(\w)", received) == [b"a", b"b", b"c", b"d", b"e"]
        writer.close()


class Peer:
    """Answers by a script: for each message of a connection how many of its requests are answered before it ends."""

    def __init__(self, answers: Callable[[int], int | None]) -> None:
        self._answers = answers
        self.seen: list[str] = []
        self.rounds: list[int] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            found = [name.decode() for name, _ in REQUEST.findall(data)]
            self.seen += found
            self.rounds.append(len(found))
            most = self._answers(len(found))
            head = b"HTTP/1.1 200 OK\r\nplimsoll-together: 1\r\ncontent-length: %d\r\n\r\n/%b"
            for name in found[:most]:
                writer.write(head % (len(name) + 1, name.encode()))
            if most is not None:
                break
        writer.close()


@pytest.mark.parametrize("answered", [0, 1, 3])
async def test_a_lost_connection_costs_nobody_his_answer_and_nobody_gets_two(answered: int) -> None:
    """Those without a byte of an answer are sent again, each over a connection of its own."""
    peer = Peer(lambda count: answered if count > 1 else None)
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    async with server:
        pool = ConnectionPool("127.0.0.1", server.sockets[0].getsockname()[1], Deadlines())
        await warm(pool)
        peer.seen.clear()
        assert await bodies(ask(pool, names(4))) == names(4)
        assert sorted(peer.seen) == sorted(names(4) + names(4)[answered:])
        pool.close()


async def test_a_request_that_was_sent_again_is_not_sent_a_third_time() -> None:
    ends: list[bool] = []
    peer = Peer(lambda _: 0 if ends else None)
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    async with server:
        pool = ConnectionPool("127.0.0.1", server.sockets[0].getsockname()[1], Deadlines())
        await warm(pool)
        peer.seen.clear()
        ends.append(True)
        told = await _all(ask(pool, names(3)))
        assert [one.reason for one in told if isinstance(one, Failure)] == [Reason.BROKEN] * 3
        assert sorted(peer.seen) == sorted(names(3) * 2)
        pool.close()
