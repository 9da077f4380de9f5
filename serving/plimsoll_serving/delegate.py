"""Delegation: sends a request to an arm's direct address and says what came of it."""

import asyncio
from collections.abc import Callable
from enum import StrEnum

from plimsoll_serving.breaker import Breaker
from plimsoll_serving.http.client import Failure, Reason
from plimsoll_serving.http.deadlines import Deadlines
from plimsoll_serving.http.forward import ForwardedHeads
from plimsoll_serving.http.message import DELEGATED, EXPIRED, MIRRORED_NAME, Request, Response
from plimsoll_serving.http.pool import ConnectionPool
from plimsoll_serving.route import Arm


class Outcome(StrEnum):
    """What came of giving a request to an arm; the values of the metric's label ``outcome``."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    #: The caller gave it less time than it took: no failure of the arm.
    DEADLINE = "deadline"


def outcome_of(result: Response | Failure) -> Outcome:
    """What an answer, or its failure, says of the arm."""
    if isinstance(result, Failure):
        return Outcome.TIMEOUT if result.reason is Reason.TIMEOUT else Outcome.UNREACHABLE
    status = result.status
    if status < 400:
        return Outcome.OK
    if status < 500:
        return Outcome.CLIENT_ERROR
    return Outcome.DEADLINE if EXPIRED in result.headers else Outcome.SERVER_ERROR


Settled = Callable[[Response | Failure], None]


class _Address:
    """What is kept for the address of an arm: its connections and the heads of requests to it."""

    def __init__(self, arm: Arm, deadlines: Deadlines) -> None:
        self.host, self.port = arm.host, arm.port
        self.pool = ConnectionPool(arm.host, arm.port, deadlines)
        self.heads = ForwardedHeads(f"{arm.host}:{arm.port}", [DELEGATED], frozenset({MIRRORED_NAME}))

    def is_of(self, arm: Arm) -> bool:
        return self.host == arm.host and self.port == arm.port


class Delegate:
    """Kept-alive connections and breakers of the arms of the current route, by their revisions."""

    def __init__(self, max_response_bytes: int) -> None:
        self._max_bytes = max_response_bytes
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines()
        self._addresses: dict[str, _Address] = {}
        self._breakers: dict[str, Breaker] = {}

    def follow(self, arms: tuple[Arm, ...]) -> None:
        """Forget the connections of arms that are at their address no more, and the breakers of those that have left
        the route.
        """
        named = {arm.revision: arm for arm in arms}
        for revision, address in list(self._addresses.items()):
            arm = named.get(revision)
            if arm is None or not address.is_of(arm):
                self._addresses.pop(revision).pool.close()
        self._breakers = {name: breaker for name, breaker in self._breakers.items() if name in named}

    def breaker(self, arm: Arm) -> Breaker:
        breaker = self._breakers.get(arm.revision)
        if breaker is None:
            breaker = self._breakers[arm.revision] = Breaker(self._loop.time())
        return breaker

    def open_breakers(self) -> list[str]:
        """Revisions that get nothing for the moment because they kept failing."""
        now = self._loop.time()
        return [revision for revision, breaker in self._breakers.items() if breaker.is_open(now)]

    def send(self, arm: Arm, request: Request, seconds: float, settled: Settled) -> None:
        """Send a request to an arm of the route; ``settled`` is called once with what came of it, after this has
        returned.

        Args:
            seconds: for connecting, sending and the whole answer.
        """
        address = self._addresses.get(arm.revision)
        if address is None:
            address = self._addresses[arm.revision] = _Address(arm, self._deadlines)
        address.pool.exchange((address.heads.head(request), request.body), seconds, self._max_bytes, settled)
