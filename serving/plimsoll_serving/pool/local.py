"""What goes between pods elsewhere, within one process: the split, delegated requests, copies for a shadow."""

import asyncio
import random
from collections.abc import Callable

from plimsoll_serving.delegate import Delegate, Settled
from plimsoll_serving.http.client import Failure, Reason
from plimsoll_serving.http.message import DELEGATED, MIRRORED, Request, Response, error_response
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.pool.host import Host
from plimsoll_serving.route import Arm, Route
from plimsoll_serving.routing import Role, Routing
from plimsoll_serving.shadow.mirror import Answered


class LocalRouting(Routing):
    """The primary is always here. A candidate that is not in memory gets no request that it would be blamed for."""

    def __init__(self, on_change: Callable[[Route], None], available: Callable[[str], bool]) -> None:
        super().__init__("", on_change, random.random)
        self._available = available

    def _role_in(self, route: Route) -> Role:
        self._revision = route.primary
        return Role.PRIMARY

    def choose(self, request: Request) -> Arm | None:
        arm = super().choose(request)
        if arm is None or self.route is None or arm.revision == self._revision or self._available(arm.revision):
            return arm
        return self.route.arm(self._revision)


class LocalDelegate(Delegate):
    """Hands a request to another revision in this process, and waits for it no longer than for one elsewhere."""

    def __init__(self, host: Callable[[str], Host | None]) -> None:
        super().__init__(0)
        self._host = host

    def send(self, arm: Arm, request: Request, seconds: float, settled: Settled) -> None:
        host = self._host(arm.revision)
        if host is None:
            settled(Failure(Reason.BROKEN, "the revision is not in this pod"))
            return
        _ask(host, _Attempt(request, seconds, settled))


class _Attempt:
    """One request to another revision: its answer, or that none came in time."""

    def __init__(self, request: Request, seconds: float, settled: Settled) -> None:
        loop = asyncio.get_running_loop()
        self.request = request.copy()
        self._seconds = seconds
        self._settled: Settled | None = settled
        self._timer = loop.call_later(max(0.0, seconds), self._late)

    def answered(self, response: Response) -> None:
        self._timer.cancel()
        self._settle(response)

    def _late(self) -> None:
        self.request.cancelled = True
        self._settle(Failure(Reason.TIMEOUT, f"no answer within {self._seconds:g} seconds"))

    def _settle(self, result: Response | Failure) -> None:
        settled, self._settled = self._settled, None
        if settled is not None:
            settled(result)


class LocalShadow:
    """A shadow in this process. A model that is not in memory is not asked: that is no fault of its own.

    Args:
        host: the revision; None when it is not in memory.
    """

    def __init__(self, host: Callable[[], Host | None]) -> None:
        self._host = host

    def send(self, request: Request, seconds: float, most_bytes: int, done: Answered) -> None:
        host = self._host()
        if host is None:
            done(None)
            return

        def settled(result: Response | Failure) -> None:
            if isinstance(result, Response) and len(result.body) > most_bytes:
                done(Failure(Reason.TOO_LARGE, f"the answer exceeds {most_bytes} bytes"))
            else:
                done(result)

        copy = request.copy()
        copy.headers, copy.fields, copy.cancelled = [*request.headers, MIRRORED, DELEGATED], None, False
        _ask(host, _Attempt(copy, seconds, settled))

    def close(self) -> None:
        """Nothing is kept."""


def _ask(host: Host, attempt: _Attempt) -> None:
    """What fails in there is that revision's failure, not its caller's."""
    host.used_at = asyncio.get_running_loop().time()
    try:
        host.direct.handle(attempt.request, attempt.answered)
    except Exception:
        LOGGER.exception("a request could not be handled", extra={"fields": {"revision": host.revision}})
        attempt.answered(error_response(500, "the server failed on this request; its log has the trace"))
