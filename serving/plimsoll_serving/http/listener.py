"""A listening port: its connections, their deadlines and their polite end."""

import asyncio
import errno
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from plimsoll_serving.errors import SettingsError
from plimsoll_serving.http.connection import Connection
from plimsoll_serving.http.heads import KnownHeads
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.message import Handler

SWEEP_SECONDS = 0.25
BACKLOG = 1024
# Connections beyond the limit that are told so, and then read for a moment: closed at once, they lost the answer.
SEEN_OFF = 64


def _not_listening(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use; choose another one"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} is not for this user; choose one above 1023"
    return f"{host} port {port} cannot be listened on: {error.strerror or error}"


def date_line() -> bytes:
    """The header `Date` of this moment. Source: RFC 9110, sections 5.6.7 and 6.6.1."""
    return time.strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime()).encode()


class Admitted(Protocol):
    """A connection as its listener sees it."""

    def check(self, now: float) -> None: ...

    def close_if_idle(self) -> None: ...


class Listener:
    """Accepts connections and holds what they share.

    Args:
        handler: called with each request and the function that answers it; it must answer exactly once.
        limits, budget: bounds of one connection, and of all together.
        life: seconds after which a connection is closed politely, ±20 %; infinite by default. A change holds for
            connections opened after it.
        together: of requests that other pods send on, several of a connection are worked on at once; called to know
            whether that is worth asking for. None takes one after the other.

    Attributes:
        date: the line of that header; empty where pods ask, of whose answers the heads are to stay the same.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        budget: Budget,
        life: float = math.inf,
        together: Callable[[], bool] | None = None,
    ) -> None:
        self.handler = handler
        self.together = together
        self.limits = limits
        self.budget = budget
        self.life = life
        self.heads = KnownHeads()
        self.date = date_line() if together is None else b""
        self.closing = False
        self.retired_at = -math.inf
        self.port = 0
        self._connections: set[Admitted] = set()
        self._refused: set[Admitted] = set()
        # uvloop's, whose sockets are a list, which is no tuple to compiled code.
        self._server: Any = None
        self._sweep: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.call_soon = self._loop.call_soon

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, told by ``port``. Raises SettingsError when it is not to be had."""
        try:
            self._server = await self._loop.create_server(self.connect, host, port, backlog=BACKLOG)
        except OSError as error:
            raise SettingsError(_not_listening(host, port, error)) from None
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweep = self._loop.call_later(SWEEP_SECONDS, self._check)

    def connect(self) -> asyncio.Protocol:
        """The protocol of a new connection; it admits itself."""
        return Connection(self)

    def _check(self) -> None:
        now = self.now()
        if self.date:
            self.date = date_line()
        for connection in (*self._connections, *self._refused):
            connection.check(now)
        self._sweep = self._loop.call_later(SWEEP_SECONDS, self._check)

    def admit(self, connection: Admitted) -> bool:
        """Take up a new connection; False when there are too many."""
        if len(self._connections) >= self.limits.connections:
            return False
        self._connections.add(connection)
        return True

    def see_off(self, connection: Admitted) -> bool:
        """Take up one that was not admitted until it has read why; False when there are too many of those, too."""
        if len(self._refused) >= SEEN_OFF:
            return False
        self._refused.add(connection)
        return True

    def forget(self, connection: Admitted) -> None:
        self._connections.discard(connection)
        self._refused.discard(connection)

    def retire_connections(self) -> None:
        """Close every connection of this moment politely: after its next answer, or when it stays quiet."""
        self.retired_at = self.now()

    def close_idle(self) -> None:
        """Close the connections on which nothing is under way."""
        for connection in tuple(self._connections):
            connection.close_if_idle()

    def stop_accepting(self) -> None:
        """Close the port; open connections stay."""
        if self._server is not None:
            self._server.close()

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def stop(self) -> None:
        """End the sweep."""
        if self._sweep is not None:
            self._sweep.cancel()
