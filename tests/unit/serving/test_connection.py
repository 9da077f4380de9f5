"""What peers that do not read their answers may cost."""

from __future__ import annotations

import asyncio

from plimsoll_serving.http.connection import Connection
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.listener import Listener
from plimsoll_serving.http.message import Request, Respond, Response

BUDGET = 1 << 20
ANSWER = 300 * 1024
HIGH_WATER = 64 * 1024
REQUEST = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n"


class Peer(asyncio.Transport):
    """A transport whose other side takes what the test says."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.unsent, self.open, self.paused = 0, True, False
        self.connection = Connection(shop.listener)
        self.connection.connection_made(self)
        self.connection.data_received(REQUEST)

    def take(self, size: int) -> None:
        self.unsent = max(0, self.unsent - size)
        if self.paused and self.unsent <= HIGH_WATER // 4:
            self.paused = False
            self.connection.resume_writing()

    # asyncio.Transport

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.unsent += len(data)
        if self.unsent > HIGH_WATER and not self.paused:
            self.paused = True
            self.connection.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return not self.open

    def abort(self) -> None:
        self.open = False
        self.connection.connection_lost(None)


class Shop:
    """A listener with a clock that the test turns."""

    def __init__(self) -> None:
        def handler(_: Request, respond: Respond) -> None:
            respond(Response(200, bytes(ANSWER)))

        self.budget = Budget(BUDGET)
        self.listener = Listener(handler, Limits(), self.budget)
        self.time = 0.0
        self.listener.now = lambda: self.time

    def pass_time(self, seconds: float, peers: list[Peer], taken: int = 0) -> list[bool]:
        """Let time pass while every peer takes as many bytes a second; who is connected then."""
        for _ in range(int(seconds * 4)):
            self.time += 0.25
            for peer in peers:
                if peer.open:
                    peer.take(taken // 4)
                    peer.connection.check(self.time)
        return [peer.open for peer in peers]


async def test_unread_answers_are_within_the_budget_of_all_connections() -> None:
    shop = Shop()
    peers = [Peer(shop) for _ in range(10)]
    assert shop.budget.unread > 10 * ANSWER
    assert not shop.budget.take(100_000), "no room for a large body, of which a large answer may come"
    assert shop.budget.take(1000), "small ones are served on"
    shop.pass_time(2, peers)
    assert 0 < shop.budget.unread <= BUDGET
    shop.pass_time(32, peers)
    assert (shop.budget.unread, [peer for peer in peers if peer.open]) == (0, [])


async def test_who_reads_is_not_dropped_for_those_who_do_not() -> None:
    shop = Shop()
    deaf, reading = [Peer(shop) for _ in range(10)], [Peer(shop) for _ in range(10)]
    for _ in range(3):
        shop.pass_time(0.25, deaf)
        shop.pass_time(0.75, reading, taken=120_000)
    assert [peer.open for peer in reading] == [True] * 10
    assert shop.pass_time(2, deaf).count(True) <= 3


async def test_a_byte_now_and_then_is_not_reading() -> None:
    shop = Shop()
    peers = [Peer(shop)]
    assert shop.pass_time(29, peers, taken=400) == [True]
    assert shop.pass_time(4, peers, taken=400) == [False]
    assert shop.budget.unread == 0


async def test_an_answer_larger_than_the_budget_comes_to_who_reads_it() -> None:
    shop = Shop()
    shop.listener.handler = lambda _, respond: respond(Response(200, bytes(3 * BUDGET)))
    peers = [Peer(shop) for _ in range(2)]
    assert shop.pass_time(10, peers, taken=400_000) == [True, True]
    assert (shop.budget.unread, peers[0].unsent) == (0, 0)
