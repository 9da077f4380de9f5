"""Delegation: sends a request to an arm's direct address and says what came of it."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from plimsoll_serving.breaker import Breaker
from plimsoll_serving.http.client import ClientConnection, ConnectionBrokenError, ConnectionPool, forwarded
from plimsoll_serving.http.message import Header, Request, Response
from plimsoll_serving.route import Arm

DELEGATED: Header = (b"plimsoll-delegated", b"1")


class Outcome(StrEnum):
    """What came of giving a request to an arm; the values of the metric's label ``outcome``."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"

    @classmethod
    def of_status(cls, status: int) -> "Outcome":
        if status >= 500:
            return cls.SERVER_ERROR
        return cls.CLIENT_ERROR if status >= 400 else cls.OK


@dataclass(frozen=True, slots=True)
class Delegated:
    """The outcome of a delegation, and the arm's response when it gave one."""

    outcome: Outcome
    response: Response | None
    detail: str = ""


class Delegate:
    """Kept-alive connections and breakers of the arms of the current route."""

    def __init__(self, max_response_bytes: int) -> None:
        self._max_bytes = max_response_bytes
        self._pools: dict[tuple[str, int], ConnectionPool] = {}
        self._breakers: dict[str, Breaker] = {}

    def follow(self, arms: tuple[Arm, ...]) -> None:
        """Forget the connections and breakers of arms that have left the route."""
        addresses = {(arm.host, arm.port) for arm in arms}
        for address in set(self._pools) - addresses:
            self._pools.pop(address).close()
        revisions = {arm.revision for arm in arms}
        self._breakers = {name: breaker for name, breaker in self._breakers.items() if name in revisions}

    def breaker(self, arm: Arm) -> Breaker:
        return self._breakers.setdefault(arm.revision, Breaker())

    def open_breakers(self) -> list[str]:
        """Revisions that get nothing for the moment because they kept failing."""
        now = asyncio.get_running_loop().time()
        return [revision for revision, breaker in self._breakers.items() if breaker.is_open(now)]

    async def send(self, arm: Arm, request: Request, seconds: float) -> Delegated:
        """Send a request to an arm. Never raises for what the arm does.

        Args:
            seconds: for connecting, sending and the whole answer.
        """
        pool = self._pools.get((arm.host, arm.port))
        if pool is None:
            pool = self._pools[arm.host, arm.port] = ConnectionPool(arm.host, arm.port, self._max_bytes)
        message = forwarded(request, f"{arm.host}:{arm.port}", [DELEGATED])
        attempt = _Attempt(pool, message)
        try:
            async with asyncio.timeout(seconds):
                response = await attempt.run()
        except TimeoutError:
            outcome = Outcome.TIMEOUT if attempt.connected else Outcome.UNREACHABLE
            return Delegated(outcome, None, f"no answer within {seconds:g} seconds")
        except (OSError, UnicodeError, ConnectionBrokenError) as error:  # UnicodeError: no host can have that name
            return Delegated(Outcome.UNREACHABLE, None, str(error))
        return Delegated(Outcome.of_status(response.status), response)


class _Attempt:
    """One request over a kept connection, or over a new one when the kept one turns out to be closed."""

    def __init__(self, pool: ConnectionPool, message: bytes) -> None:
        self._pool = pool
        self._message = message
        self.connected = False

    async def run(self) -> Response:
        kept = self._pool.take()
        if kept is not None:
            try:
                return await self._exchange(kept)
            except ConnectionBrokenError as error:
                # The peer may close a kept connection at any moment; that is no failure of the arm.
                if error.answered:
                    raise
        self.connected = False
        return await self._exchange(await self._pool.connect())

    async def _exchange(self, connection: ClientConnection) -> Response:
        self.connected = True
        response = await connection.exchange(self._message)
        self._pool.keep(connection)
        return response
