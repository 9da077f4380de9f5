"""One connection of a gRPC port: bytes, calls and deadlines."""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from plimsoll_serving.grpc.call import Call
from plimsoll_serving.grpc.deadlines import Deadlines
from plimsoll_serving.grpc.head import HttpRefusal, read
from plimsoll_serving.grpc.status import Code, StatusError
from plimsoll_serving.http2.connection import Http2Connection
from plimsoll_serving.http2.events import ConnectionFailed, DataReceived, RequestReceived, StreamReset
from plimsoll_serving.http2.frames import ErrorCode
from plimsoll_serving.http2.headers import encode

if TYPE_CHECKING:
    from plimsoll_serving.grpc.listener import GrpcListener

LOGGER = logging.getLogger("plimsoll_serving.grpc")
# Answers that one peer lets wait, in largest bodies.
UNSENT_BODIES = 4


class GrpcConnection(asyncio.Protocol):
    """Reads, hands over and answers; the listener calls `check` a few times a second for every deadline.

    Attributes:
        calls: those that are not answered completely, by stream.
        idle_at: when the last of them ended.
    """

    def __init__(self, listener: "GrpcListener") -> None:
        self.listener = listener
        self.http2 = Http2Connection(listener.http2_limits)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.calls: dict[int, Call] = {}
        self._held_back: dict[int, Call] = {}
        self._flushing = False
        self._held = 0
        self._paused_at: float | None = None
        self._unsent = 0
        self._now = self.idle_at = listener.now()
        self._deadlines = Deadlines(self, self._now)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self.listener.admit(self):
            self.http2.end(
                ErrorCode.ENHANCE_YOUR_CALM, f"the server has {self.listener.limits.connections} connections"
            )
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.listener.forget(self)
        self.drop_all()
        self.listener.budget.give_back(self._held)
        self._held = 0

    def data_received(self, data: bytes) -> None:
        self._now = self._loop.time()
        self._flushing = True  # one write for all that these bytes bring about
        for event in self.http2.receive(data):
            if isinstance(event, DataReceived):
                self._on_data(event)
            elif isinstance(event, RequestReceived):
                self._on_request(event)
            elif isinstance(event, StreamReset):
                self.drop(event.stream_id)
            else:
                self._on_failure(event)
        self._flush()

    def eof_received(self) -> bool:
        """A half-closed connection can still be answered (RFC 9113 has no meaning for it, but clients do it)."""
        self.http2.finish_retiring()
        self._flush()
        return bool(self.calls)

    def pause_writing(self) -> None:
        """What is answered waits, and no more is read: a peer that does not take its answers asks for no more."""
        self._paused_at, self._unsent = self.listener.now(), sys.maxsize
        self.http2.hold(True)
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused_at = None
        self.http2.hold(False)
        self._flush()
        if self._transport is not None and self._paused_at is None and not self._transport.is_closing():
            self._transport.resume_reading()

    # Events

    def _on_request(self, event: RequestReceived) -> None:
        try:
            head = read(event.head)
            method = self.listener.methods.get(head.path)
            if method is None:
                shown = head.path.decode("latin-1")[:200]
                raise StatusError(Code.UNIMPLEMENTED, f"no method is served at {shown}")
        except HttpRefusal as refusal:
            self.http2.headers(event.stream_id, encode(refusal.headers))
            self.send_data(event.stream_id, refusal.message.encode())
            self.http2.finish(event.stream_id, b"")
            return
        except StatusError as error:
            Call.refuse(self, event.stream_id, error)
            return
        call = Call(self, event.stream_id, head, self._now)
        call.handler = method(call)
        if call.handler.streaming:
            call.waiting_since = None
        self.calls[event.stream_id] = call
        if event.ended:
            self.guarded(call, lambda: call.feed(b"", True, self._now))

    def _on_data(self, event: DataReceived) -> None:
        call = self.calls.get(event.stream_id)
        if call is None:
            return
        try:
            call.feed(event.data, event.ended, self._now)
        except StatusError as error:
            call.finish(error.code, error.message)
        except Exception:
            self._failed(call)

    def guarded(self, call: Call, step: Callable[[], None]) -> None:
        """Run a step of a call; what it raises ends the call."""
        try:
            step()
        except StatusError as error:
            call.finish(error.code, error.message)
        except Exception:
            self._failed(call)

    @staticmethod
    def _failed(call: Call) -> None:
        LOGGER.exception("a handler failed on %s", call.head.path.decode("latin-1")[:200])
        call.finish(Code.INTERNAL, "the server failed on this request; its log has the trace")

    def _on_failure(self, event: ConnectionFailed) -> None:
        LOGGER.debug("a peer broke HTTP/2: %s (%s)", event.message, event.code.name)
        self.drop_all()

    def drop(self, stream_id: int) -> None:
        """Take a call back: its stream is over."""
        call = self.calls.pop(stream_id, None)
        if call is not None:
            self._give_back(call)
            call.drop()

    def drop_all(self) -> None:
        """Take every call back."""
        for stream_id in tuple(self.calls):
            self.drop(stream_id)

    def _give_back(self, call: Call) -> None:
        self._held_back.pop(call.stream_id, None)
        self.idle_at = self.listener.now() if not self.calls else self.idle_at
        self.listener.budget.give_back(call.held)
        call.held = 0

    # Answers

    def consumed(self, stream_id: int, size: int) -> None:
        """The peer may send as many bytes more."""
        self.http2.consume(stream_id, size)
        self._schedule()

    def hold_back(self, call: Call) -> None:
        """Let its messages wait until its answers go."""
        self._held_back[call.stream_id] = call

    def _let_go_on(self) -> None:
        for stream_id, call in tuple(self._held_back.items()):
            if not call.handler.full:
                self._held_back.pop(stream_id, None)
                call.resume()

    def send_data(self, stream_id: int, data: bytes) -> None:
        """A part of an answer. What the peer does not take yet is bounded; beyond, the stream is given up."""
        self.http2.data(stream_id, data)
        self._bound_unsent(stream_id)
        self._schedule()

    def _bound_unsent(self, stream_id: int) -> None:
        grown = self.http2.unsent - self._held
        if grown > 0:
            room = self._held + grown <= UNSENT_BODIES * self.listener.limits.body_bytes
            if room and self.listener.budget.take(grown, held=self._held):
                self._held += grown
            else:
                self.http2.reset(stream_id, ErrorCode.ENHANCE_YOUR_CALM)
                self.drop(stream_id)

    def answer_call(self, call: Call, block: bytes, data: bytes, trailers: bytes) -> None:
        """A whole answer; called by the call once."""
        self.http2.respond(call.stream_id, block, data, trailers)
        self.calls.pop(call.stream_id, None)
        self._give_back(call)
        self._bound_unsent(call.stream_id)
        self._schedule()

    def end_call(self, call: Call, trailers: bytes) -> None:
        """The end of an answer; called by the call once."""
        self.http2.finish(call.stream_id, trailers)
        self.calls.pop(call.stream_id, None)
        self._give_back(call)
        self._schedule()

    def _schedule(self) -> None:
        """One write for all that happens in this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._held_back:
            self._let_go_on()
        self._flushing = False
        transport, http2 = self._transport, self.http2
        if transport is None or transport.is_closing():
            return
        if self._held and self._held > http2.unsent:
            self.listener.budget.give_back(self._held - http2.unsent)
            self._held = http2.unsent
        if self._paused_at is None:
            data = http2.take_output()
            if data:
                transport.write(data)
        if http2.failed or (http2.closing and http2.idle and not self.calls):
            transport.close()

    # Deadlines

    def check(self, now: float) -> None:
        """Apply the deadlines."""
        if self._transport is None:
            return
        self._now = now
        self.http2.replenish()
        if self._transport.is_closing() or self._paused_at is not None:
            self._check_reader(self._transport, now)
            return
        self._deadlines.check(now)
        self._flush()

    def _check_reader(self, transport: asyncio.Transport, now: float) -> None:
        """Give up on a peer that takes nothing of what was written."""
        if self._paused_at is None:
            self._paused_at, self._unsent = now, sys.maxsize
        unsent = transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent, self._paused_at = unsent, now
        elif now - self._paused_at > self.listener.limits.read_seconds:
            transport.abort()

    def close_if_idle(self) -> None:
        """Close when nothing is being answered; calls without end are told to begin again elsewhere."""
        if any(call.handler.busy or call.waiting_since is not None for call in self.calls.values()):
            return
        for call in tuple(self.calls.values()):
            call.handler.cancelled()
            call.finish(Code.UNAVAILABLE, "the server ends this connection; begin the call again")
        self.http2.finish_retiring()
        self._flush()
