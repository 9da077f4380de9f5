"""One connection of a listener: requests are answered in order, one at a time; those of another pod together."""

import asyncio
import logging
import random
import sys
from typing import TYPE_CHECKING, Final, cast

from plimsoll_serving.http.limits import LINGER_SECONDS, PIPELINE_DEPTH, TOGETHER_DEPTH
from plimsoll_serving.http.message import (
    APART,
    CONTINUE,
    DELEGATED_NAME,
    TOGETHER,
    Request,
    Respond,
    Response,
    error_response,
    render,
)
from plimsoll_serving.http.reader import RequestReader

if TYPE_CHECKING:
    from plimsoll_serving.http.listener import Listener

LOGGER = logging.getLogger("plimsoll_serving.http")
# An idle connection past its life is closed only after this quiet: the close must not meet a request on its way.
QUIET_SECONDS = 5.0
LIFE_SPREAD = 0.2
# A peer that takes less of its answer is given up: within the time of a request, or this one where room is wanting.
LEAST_TAKEN = 64 * 1024
HURRIED_SECONDS = 1.0
TOGETHER_LINE: Final = b"%b: %b\r\n" % TOGETHER
APART_LINE: Final = b"%b: %b\r\n" % APART


class Turn:
    """A request of another pod at its place among those of its connection, and its answer once there is one."""

    __slots__ = ("_connection", "request", "response")

    def __init__(self, connection: "Connection", request: Request) -> None:
        self._connection = connection
        self.request = request
        self.response: Response | None = None

    def respond(self, response: Response) -> None:
        """Called exactly once."""
        if self.response is not None:
            raise RuntimeError("a request was answered twice")
        self.response = response
        self._connection.answer_in_turn()


class Connection(asyncio.Protocol):
    """Reads, hands over and answers; `Listener` calls `check` a few times a second for every deadline."""

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._reader = RequestReader(listener.limits, listener.budget, self._expect, listener.heads)
        self._transport: asyncio.Transport | None = None
        self._current: Request | None = None
        self._turns: list[Turn] = []
        self._held: list[bytes] = []
        self._line = b""
        self._pumping = False
        self._reading_paused = False
        self._write_paused_at: float | None = None
        self._unsent = self._unread = 0
        self._message_at: float | None = None
        self._linger_until: float | None = None
        self._peer_finished = False
        self._message_number = 0
        self._opened_at = self._idle_at = listener.now()
        self._expires = self._opened_at + listener.life * random.uniform(1 - LIFE_SPREAD, 1 + LIFE_SPREAD)  # noqa: S311

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._listener.admit(self):
            busy = error_response(
                503, f"the server has {self._listener.limits.connections} connections open; try again"
            )
            self._reader.broken = True
            self._refuse(busy)
            if not self._listener.see_off(self):
                self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._count_unread(0)
        self._listener.forget(self)
        if self._current is not None:
            self._current.cancelled = True
        for turn in self._turns:
            turn.request.cancelled = True
        self._reader.broken = True
        self._reader.release()
        for item in self._reader.ready:
            if isinstance(item, Request):
                self._listener.budget.give_back(len(item.body))
        self._reader.ready.clear()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader.broken:
            return
        reader.feed(data)
        if reader.in_message or self._message_at is not None:
            self._note_message()
        self._pump()
        if self._reading_paused or len(reader.ready) >= PIPELINE_DEPTH:
            self._balance_reading()

    def eof_received(self) -> bool:
        """Keep a half-closed connection until what was asked is answered."""
        self._peer_finished = True
        if self._linger_until is not None:
            return False
        if self._reader.in_message:
            self._reader.fail(400, "the connection ended before the request was complete")
            self._pump()
        return self._busy

    def pause_writing(self) -> None:
        self._write_paused_at = self._listener.now()
        self._unsent = sys.maxsize
        if self._transport is not None:
            self._count_unread(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._write_paused_at = None
        self._count_unread(0)
        self._pump()

    def _count_unread(self, size: int) -> None:
        self._listener.budget.unread += size - self._unread
        self._unread = size

    # Answers

    def _pump(self) -> None:
        """Hand over queued requests until one is not answered at once."""
        if self._pumping:
            return
        self._pumping = True
        ready = self._reader.ready
        while ready and self._current is None and self._write_paused_at is None and self._open:
            item = ready[0]
            together = isinstance(item, Request) and self._is_together(item)
            if self._turns and (not together or len(self._turns) >= TOGETHER_DEPTH):
                break
            ready.pop(0)
            if isinstance(item, Response):
                self._refuse(item)
            elif together:
                turn = Turn(self, item)
                self._turns.append(turn)
                if not self._hand_over(item, turn.respond) and turn.response is None:
                    turn.respond(_failed())
            else:
                self._current = item
                if not self._hand_over(item, self._respond) and self._current is item:
                    self._respond(_failed())
        self._pumping = False

    def _is_together(self, request: Request) -> bool:
        """Requests of another pod are of different users: none depends on the one before."""
        return self._listener.together is not None and request.header(DELEGATED_NAME) is not None

    def _hand_over(self, request: Request, respond: Respond) -> bool:
        """False when the handler failed, before or after its answer."""
        try:
            self._listener.handler(request, respond)
        except Exception:
            LOGGER.exception("a handler failed on %s %s", request.method, request.path[:200])
            return False
        return True

    def _respond(self, response: Response) -> None:
        """Answer the current request; called exactly once for each handed-over request."""
        request, self._current = self._current, None
        if request is None:
            raise RuntimeError("a request was answered twice")
        self._send(request, response, self._listener.date)

    def answer_in_turn(self) -> None:
        """Send the answers before which none is missing."""
        while self._turns and self._turns[0].response is not None:
            turn = self._turns.pop(0)
            if not self._held:
                together = self._listener.together
                self._line = TOGETHER_LINE if together is not None and together() else APART_LINE
            self._send(turn.request, cast("Response", turn.response), self._line)

    def _send(self, request: Request, response: Response, line: bytes) -> None:
        self._listener.budget.give_back(len(request.body))
        transport, reader = self._transport, self._reader
        if transport is None or transport.is_closing() or self._linger_until is not None:
            return
        self._idle_at = self._listener.now()
        # A request that has begun to arrive is still answered: the close is announced only when nothing is under way.
        pending = reader.in_message or bool(reader.ready) or bool(self._turns)
        close = not request.keep_alive or (not pending and self._to_be_closed(response, self._idle_at))
        data = render(response, close, request, line)
        if self._turns and not close:
            self._hold(data)
            return
        if self._held:
            data = b"".join((*self._held, data))
            self._held.clear()
        transport.write(data)
        if close:
            self._close()
        elif pending or self._peer_finished:
            self._go_on()

    def _hold(self, data: bytes) -> None:
        """Those of one run of the model leave in one piece: a system call costs as much as the rest of an answer."""
        if not self._held:
            self._listener.call_soon(self._release)
        self._held.append(data)

    def _release(self) -> None:
        """Nobody waits longer for those behind than the turn of the loop takes."""
        if self._held and self._open and self._transport is not None:
            self._transport.write(b"".join(self._held))
            self._held.clear()
            self._go_on()

    def _go_on(self) -> None:
        """What an answer held up."""
        self._pump()
        self._balance_reading()
        if self._reader.expecting:
            self._expect()
        if self._peer_finished and not self._busy:
            self._close()

    def _to_be_closed(self, response: Response, now: float) -> bool:
        listener = self._listener
        return response.close or listener.closing or self._retired or now >= self._expires

    def _expect(self) -> None:
        """Ask for the body once every earlier answer is out."""
        if not self._busy and self._transport is not None:
            self._reader.expecting = False
            self._transport.write(CONTINUE)

    # Ends

    @property
    def _open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and self._linger_until is None

    @property
    def _busy(self) -> bool:
        return self._current is not None or bool(self._turns) or bool(self._reader.ready)

    @property
    def _retired(self) -> bool:
        return self._listener.retired_at >= self._opened_at

    def _close(self) -> None:
        self._reader.broken = True
        if self._transport is not None:
            self._transport.close()

    def _refuse(self, response: Response) -> None:
        """Answer what could not be read; nothing more is."""
        if self._transport is not None:
            self._transport.write(render(response, True, None, self._listener.date))
        self._linger()

    def _linger(self) -> None:
        """Half-close and read on for a moment: a reset would take the answer away from a peer that is still sending."""
        self._linger_until = self._listener.now() + LINGER_SECONDS
        if self._transport is not None and not self._transport.is_closing():
            if self._peer_finished:
                self._transport.close()
            else:
                self._transport.write_eof()

    def _note_message(self) -> None:
        if not self._reader.in_message:
            self._message_at = None
        elif self._message_at is None or self._message_number != self._reader.messages:
            self._message_at = self._listener.now()
            self._message_number = self._reader.messages

    def _balance_reading(self) -> None:
        """Stop reading while enough requests wait, go on when they are gone."""
        full = len(self._reader.ready) >= PIPELINE_DEPTH
        if full == self._reading_paused or self._transport is None or self._transport.is_closing():
            return
        self._reading_paused = full
        if full:
            self._transport.pause_reading()
        else:
            self._message_at = None
            self._note_message()
            self._transport.resume_reading()

    def check(self, now: float) -> None:
        """Apply the deadlines."""
        limits = self._listener.limits
        if self._transport is None:
            return
        if self._linger_until is not None:
            if now >= self._linger_until:
                self._transport.abort()
        elif self._write_paused_at is not None:
            self._check_reader(self._transport, self._write_paused_at, now)
        elif self._message_at is not None and not self._reading_paused:
            if now - self._message_at > limits.read_seconds:
                self._message_at = None
                self._reader.fail(408, f"the request was not complete within {limits.read_seconds:g} seconds")
                self._pump()
        elif not self._busy and not self._transport.is_closing():
            self._check_idle(now - self._idle_at, now)

    def _check_reader(self, transport: asyncio.Transport, paused_at: float, now: float) -> None:
        """Give up on a peer that takes next to nothing of its answer."""
        unsent = transport.get_write_buffer_size()
        self._count_unread(unsent)
        patience = self._listener.limits.read_seconds
        if self._listener.budget.overdrawn:
            patience = min(patience, HURRIED_SECONDS)
        if unsent <= self._unsent - LEAST_TAKEN:
            self._unsent, self._write_paused_at = unsent, now
        elif now - paused_at > patience:
            transport.abort()

    def _check_idle(self, idle: float, now: float) -> None:
        over = self._listener.closing or self._retired or now >= self._expires
        if idle > self._listener.limits.idle_seconds or (over and idle > QUIET_SECONDS):
            self._close()

    def close_if_idle(self) -> None:
        """Close at once when nothing is under way."""
        if not self._busy and not self._reader.in_message and self._open:
            self._close()


def _failed() -> Response:
    return error_response(500, "the server failed on this request; its log has the trace")
