"""What may take how long on a gRPC connection."""

import random
from typing import TYPE_CHECKING

from plimsoll_serving.grpc.status import Code
from plimsoll_serving.http2.frames import ErrorCode

if TYPE_CHECKING:
    from plimsoll_serving.grpc.connection import GrpcConnection

LIFE_SPREAD = 0.2
# A peer that does not answer the PING after GOAWAY has had this long to learn of it.
RETIRE_SECONDS = 2.0
# How long streams without end may stay on a connection that was asked to end.
STREAM_GRACE_SECONDS = 30.0


class Deadlines:
    """Of one connection: of its calls, its greeting, the answers that it does not take, and its own life."""

    def __init__(self, connection: "GrpcConnection", now: float) -> None:
        self._connection = connection
        self._http2 = connection.http2
        self._listener = connection.listener
        self._block_since: float | None = None
        self._stalls: dict[int, tuple[int, float]] = {}
        self._retired_at: float | None = None
        self._opened_at = now
        self._expires = now + self._listener.life * random.uniform(1 - LIFE_SPREAD, 1 + LIFE_SPREAD)  # noqa: S311

    def check(self, now: float) -> None:
        """Apply them; called a few times a second."""
        self._check_calls(now)
        self._check_greeting(now)
        self._check_stalls(now)
        self._check_age(now)

    def _check_calls(self, now: float) -> None:
        limit = self._listener.limits.read_seconds
        for call in tuple(self._connection.calls.values()):
            if call.deadline is not None and now >= call.deadline:
                call.handler.cancelled()
                call.finish(Code.DEADLINE_EXCEEDED, "the deadline of the call has passed")
            elif call.waiting_since is not None and now - call.waiting_since > limit:
                call.finish(Code.DEADLINE_EXCEEDED, f"the message was not complete within {limit:g} seconds")
            else:
                call.handler.tick()

    def _check_greeting(self, now: float) -> None:
        """The preface, the acknowledgement of the settings and each header block come within the time of a request."""
        limit, http2 = self._listener.limits.read_seconds, self._http2
        if not http2.in_block:
            self._block_since = None
        elif self._block_since is None:
            self._block_since = now
        slow_block = self._block_since is not None and now - self._block_since > limit
        if slow_block or (not http2.greeted and now - self._opened_at > limit):
            http2.end(ErrorCode.SETTINGS_TIMEOUT, f"the peer was silent for {limit:g} seconds")
            self._connection.drop_all()

    def _check_stalls(self, now: float) -> None:
        """Give up on answers for which the peer opens no window."""
        if not self._http2.unsent:
            self._stalls = {}
            return
        stalls: dict[int, tuple[int, float]] = {}
        for stream_id, size in self._http2.waiting().items():
            known = self._stalls.get(stream_id)
            stalls[stream_id] = known if known is not None and known[0] == size else (size, now)
            if now - stalls[stream_id][1] > self._listener.limits.read_seconds:
                self._connection.drop(stream_id)
                self._http2.reset(stream_id, ErrorCode.CANCEL)
        self._stalls = stalls

    def _check_age(self, now: float) -> None:
        listener = self._listener
        if self._retired_at is None:
            idle = self._http2.idle and now - self._connection.idle_at > listener.limits.idle_seconds
            retired = listener.retired_at >= self._opened_at
            if idle or retired or listener.closing or now >= self._expires:
                self._retired_at = now
                self._http2.retire()
            return
        if now - self._retired_at > RETIRE_SECONDS:
            self._http2.finish_retiring()
        if now - self._retired_at > STREAM_GRACE_SECONDS:
            self._connection.close_if_idle()
