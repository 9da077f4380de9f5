"""Exchanges with one address over kept connections: no task, no future and no timer of their own."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from plimsoll_serving.http.client import AnswerHeads, Asker, ClientConnection, Failure, Reason
from plimsoll_serving.http.deadlines import Deadlines
from plimsoll_serving.http.limits import TOGETHER_DEPTH
from plimsoll_serving.http.message import Response

MAX_AGE_SECONDS: Final = 30.0
# Requests of one turn of the loop go over one connection, where the peer works on them at once: most of what sending
# one on costs are system calls. Each waits for those before it, with which it shares a run anyway, so they are small.
TOGETHER_BYTES: Final = 16 * 1024
# Most that the first waits for others that turns of the loop bring.
GATHER_SECONDS: Final = 0.0005
# Requests of one turn share connections once there are so many of these, for a Service spreads connections over pods.
SPREAD: Final = 16

Done = Callable[[Response | Failure], None]


class ConnectionPool:
    """Kept-alive connections to one address.

    Each is at most 30 s old, so that a Service keeps spreading them over its pods.
    """

    def __init__(self, host: str, port: int, deadlines: Deadlines) -> None:
        self._host = host
        self._port = port
        self._idle: deque[ClientConnection] = deque()
        self._due: list[Exchange] = []
        self._since = 0.0
        self._gathered = 0
        self._loop = asyncio.get_running_loop()
        self._heads = AnswerHeads()
        self._closed = False
        self.deadlines = deadlines

    def take(self) -> ClientConnection | None:
        """A kept connection, the one unused for longest; None when there is none."""
        oldest = self._loop.time() - MAX_AGE_SECONDS
        while self._idle:
            connection = self._idle.popleft()
            if connection.usable and connection.born > oldest:
                return connection
            connection.close()
        return None

    def connect(self) -> "asyncio.Task[ClientConnection]":
        """A new connection. The task raises OSError when the address does not answer."""
        return self._loop.create_task(self._connect())

    async def _connect(self) -> ClientConnection:
        _, connection = await self._loop.create_connection(
            lambda: ClientConnection(self._heads), self._host, self._port
        )
        return connection

    def keep(self, connection: ClientConnection) -> None:
        """Hand a connection back on which no answer is to come."""
        if self._closed or not connection.usable or self._loop.time() - connection.born >= MAX_AGE_SECONDS:
            connection.close()
            return
        while self._idle and not self._idle[0].usable:
            self._idle.popleft()
        self._idle.append(connection)

    def _gather(self) -> None:
        """Wait a turn more while each brings more: those that came while others were read are there already, and the
        fewer pieces they go in, the larger are the runs of the arm.
        """
        waiting = len(self._due)
        if self._gathered < waiting < TOGETHER_DEPTH and time.monotonic() - self._since < GATHER_SECONDS:
            self._gathered = waiting
            self._loop.call_soon(self._gather)
        else:
            self._gathered = 0
            self._send()

    def _send(self) -> None:
        due = [exchange for exchange in self._due if not exchange.over]
        self._due = []
        fresh = max(0, min(len(due), SPREAD) - len(self._idle))
        for exchange in due[:fresh]:
            exchange.connect()
        place = fresh
        while place < len(due):
            connection = self.take()
            if connection is None:
                due[place].connect()
                place += 1
            else:
                place = self._share(connection, due, place)

    @staticmethod
    def _share(connection: ClientConnection, due: "list[Exchange]", place: int) -> int:
        """Send what one connection takes from ``place`` on, at least one; the place of the first that it does not."""
        stop = place + 1
        if connection.together and due[place].small:
            most = min(len(due), place + TOGETHER_DEPTH)
            while stop < most and due[stop].small:
                stop += 1
        askers: list[Asker] = []
        pieces: list[bytes] = []
        for exchange in due[place:stop]:
            exchange.kept(connection)
            askers.append(exchange)
            head, body = exchange.message
            pieces.append(head)
            pieces.append(body)
        connection.ask(pieces, askers)
        return stop

    def close(self) -> None:
        """Close the idle connections; those in use are closed after their exchange."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def exchange(self, message: tuple[bytes, bytes], seconds: float, max_bytes: int, done: Done) -> None:
        """Send a request and call ``done`` once with the answer or the failure, never before this has returned.

        Args:
            message: head and body.
            seconds: for connecting, sending and the whole answer.
            max_bytes: of the answer's body.
        """
        deadline = self._loop.time() + seconds
        exchange = Exchange(self, message, deadline, done)
        exchange.max_bytes = max_bytes
        self.deadlines.add(exchange, deadline)
        self._due.append(exchange)
        if len(self._due) == 1:
            self._since = time.monotonic()
            self._loop.call_soon(self._gather)


class Exchange:
    """One request over a kept connection, or over a new one when the kept one turns out to be closed."""

    __slots__ = ("_connecting", "_connection", "_done", "_kept", "_pool", "deadline", "max_bytes", "message")

    def __init__(self, pool: ConnectionPool, message: tuple[bytes, bytes], deadline: float, done: Done) -> None:
        self._pool = pool
        self.message = message
        self._done: Done | None = done
        self._connection: ClientConnection | None = None
        self._connecting: asyncio.Task[ClientConnection] | None = None
        self._kept = False
        self.deadline = deadline
        self.max_bytes = 0

    @property
    def over(self) -> bool:
        """Whether ``done`` was called."""
        return self._done is None

    @property
    def small(self) -> bool:
        """Whether others may have to wait for it."""
        return len(self.message[1]) <= TOGETHER_BYTES

    def kept(self, connection: ClientConnection) -> None:
        """It is sent over a kept connection."""
        self._kept = True
        self._connection = connection

    def connect(self) -> None:
        """Send it over a new connection."""
        self._kept = False
        self._connection = None
        self._connecting = self._pool.connect()
        self._connecting.add_done_callback(self._connected)

    def _connected(self, task: "asyncio.Task[ClientConnection]") -> None:
        self._connecting = None
        error = None if task.cancelled() else task.exception()
        if self._done is None:
            if error is None and not task.cancelled():
                task.result().close()
        elif task.cancelled():
            self._finish(Failure(Reason.UNREACHABLE, "connecting was cancelled"))
        elif isinstance(error, OSError | UnicodeError):  # UnicodeError: no host can have that name
            self._finish(Failure(Reason.UNREACHABLE, str(error)))
        elif error is not None:
            self._finish(Failure(Reason.UNREACHABLE, repr(error)))
            raise error
        elif task.result().usable:
            self._connection = connection = task.result()
            connection.ask([*self.message], [self])
        else:
            self._finish(Failure(Reason.BROKEN, "the connection was closed"))

    def on_answer(self, response: Response) -> None:
        connection = self._connection
        if connection is not None and not connection.busy:
            self._pool.keep(connection)
        self._finish(response)

    def on_broken(self, failure: Failure, answered: bool) -> None:
        # The peer may close a kept connection at any moment; that is no failure of the peer.
        if self._kept and not answered and not self.over:
            self.connect()
        else:
            self._finish(failure)

    def expire(self) -> None:
        """The deadline has come."""
        reason = Reason.UNREACHABLE if self._connection is None else Reason.TIMEOUT
        done, self._done = self._done, None
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.left()
        if done is not None:
            done(Failure(reason, "no answer in time"))

    def _finish(self, result: Response | Failure) -> None:
        self._pool.deadlines.remove(self)
        done, self._done = self._done, None
        if done is not None:
            done(result)
