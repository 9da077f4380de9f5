"""Delegation: sends a request to an arm's direct address and says what came of it."""

import asyncio
from collections.abc import Callable
from enum import StrEnum

from plimsoll_serving.breaker import Breaker
from plimsoll_serving.http.client import Failure, Reason
from plimsoll_serving.http.deadlines import Deadlines
from plimsoll_serving.http.forward import ForwardedHeads
from plimsoll_serving.http.message import DELEGATED, EXPIRED, MIRRORED, Request, Response
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


def outcome_of(response: Response) -> Outcome:
    """What an answer says of the arm that gave it."""
    status = response.status
    if status < 400:
        return Outcome.OK
    if status < 500:
        return Outcome.CLIENT_ERROR
    return Outcome.DEADLINE if EXPIRED in response.headers else Outcome.SERVER_ERROR


class Delegated:
    """The outcome of a delegation, the arm's response when it gave one, and whether it was at its address."""

    __slots__ = ("detail", "outcome", "reached", "response")

    def __init__(self, outcome: Outcome, response: Response | None, detail: str = "", reached: bool = True) -> None:
        self.outcome = outcome
        self.response = response
        self.detail = detail
        self.reached = reached


Settled = Callable[[Delegated], None]


class _Address:
    """What is kept for one address: its connections and the heads of requests to it."""

    def __init__(self, host: str, port: int, deadlines: Deadlines) -> None:
        self.pool = ConnectionPool(host, port, deadlines)
        self.heads = ForwardedHeads(f"{host}:{port}", [DELEGATED], frozenset({MIRRORED[0]}))


class Delegate:
    """Kept-alive connections and breakers of the arms of the current route."""

    def __init__(self, max_response_bytes: int) -> None:
        self._max_bytes = max_response_bytes
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines()
        self._addresses: dict[tuple[str, int], _Address] = {}
        self._breakers: dict[str, Breaker] = {}

    def follow(self, arms: tuple[Arm, ...]) -> None:
        """Forget the connections and breakers of arms that have left the route."""
        kept = {(arm.host, arm.port) for arm in arms}
        for address in set(self._addresses) - kept:
            self._addresses.pop(address).pool.close()
        revisions = {arm.revision for arm in arms}
        self._breakers = {name: breaker for name, breaker in self._breakers.items() if name in revisions}

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
        """Send a request to an arm; ``settled`` is called once with what came of it, after this has returned.

        Args:
            seconds: for connecting, sending and the whole answer.
        """
        address = self._addresses.get((arm.host, arm.port))
        if address is None:
            address = self._addresses[arm.host, arm.port] = _Address(arm.host, arm.port, self._deadlines)

        def done(result: Response | Failure) -> None:
            settled(delegated(result))

        address.pool.exchange((address.heads.head(request), request.body), seconds, self._max_bytes, done)


def delegated(result: Response | Failure) -> Delegated:
    """What an answer, or its failure, says about the arm."""
    if isinstance(result, Response):
        return Delegated(outcome_of(result), result)
    outcome = Outcome.TIMEOUT if result.reason is Reason.TIMEOUT else Outcome.UNREACHABLE
    return Delegated(outcome, None, result.message, not result.absent)
