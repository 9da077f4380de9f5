"""The queue between answers and the sink, and the thread that empties it."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from plimsoll_serving.families import CounterFamily, Family
from plimsoll_serving.logs import ErrorLog
from plimsoll_serving.payload.events import Arrays, EventWriter, Record
from plimsoll_serving.payload.sinks import Sink
from plimsoll_serving.settings import Identity

#: What may wait: answers, and bytes of their arrays. Beyond either an answer is not logged.
WAITING_RECORDS = 1000
WAITING_BYTES = 16 << 20
LARGEST_RECORD = 1 << 20
ATTEMPTS = 2
RETRY_SECONDS = 0.5
CLOSE_SECONDS = 5.0
EVENTS = 2


class PayloadCounts:
    """Events by what came of them. ``dropped`` is counted before the queue; the others by the log's thread."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.written = self.dropped = self.failed = 0

    def collect(self) -> Iterator[Family]:
        me = self._identity
        family = CounterFamily(
            "plimsoll_payload_log_events", "Events of the payload log.", labels=("model", "version", "outcome")
        )
        for outcome, count in (("written", self.written), ("dropped", self.dropped), ("failed", self.failed)):
            family.add((me.model, me.version, outcome), count)
        yield family


class WaitingBytes:
    """What answers that wait may hold: all logs that share this together, and each of them. Thread-safe."""

    def __init__(self, most: int = WAITING_BYTES, each: int = WAITING_BYTES) -> None:
        self.each = each
        self._free = most
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Reserve so many bytes; False when they are not to be had."""
        with self._lock:
            if size > self._free:
                return False
            self._free -= size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self._free += size


class PayloadLog:
    """A sample of answers on their way to a sink. ``offer`` is called on the event loop and never waits.

    Args:
        counts: what came of the events.
        share: of the answers that are logged, 0 to 1.
        draw: a random number from 0 to 1.
        room: for what waits, of this log alone or of several.
    """

    def __init__(
        self,
        counts: PayloadCounts,
        writer: EventWriter,
        sink: Sink,
        share: float,
        draw: Callable[[], float] = random.random,
        room: WaitingBytes | None = None,
    ) -> None:
        self._room = room or WaitingBytes()
        self._counts = counts
        self._writer = writer
        self._sink = sink
        self._share = share
        self._draw = draw
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing_at: float | None = None
        self._errors = ErrorLog()
        self._thread = threading.Thread(target=self._run, name="payload-log", daemon=True)
        self._thread.start()

    def chosen(self) -> bool:
        """Whether the next answer is of the sample."""
        return self._draw() < self._share

    def offer(self, request_id: str | None, inputs: Arrays, outputs: Arrays, prediction_id: str | None) -> None:
        """Take an answer, or count it as dropped. Never raises, never waits for the sink."""
        size = sum(array.nbytes for arrays in (inputs, outputs) for array in arrays.values())
        with self._changed:
            full = len(self._waiting) >= WAITING_RECORDS or self._bytes + size > self._room.each
            if full or size > LARGEST_RECORD or self._closing_at is not None or not self._room.take(size):
                self._counts.dropped += EVENTS
                return
            # Copies: an answer's arrays are views of its batch's, which would stay for as long as this waits.
            own_inputs = {name: array.copy() for name, array in inputs.items()}
            own_outputs = {name: array.copy() for name, array in outputs.items()}
            self._waiting.append(Record(time.time(), request_id, own_inputs, own_outputs, prediction_id))
            self._bytes += size
            self._changed.notify()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, for at most so long. Blocks."""
        with self._changed:
            self._closing_at = time.monotonic() + seconds
            self._changed.notify()
        self._thread.join(seconds)
        with self._changed:
            self._counts.dropped += EVENTS * len(self._waiting)
            self._waiting.clear()
            self._room.give_back(self._bytes)
            self._bytes = 0

    def _run(self) -> None:
        while (records := self._take()) is not None:
            try:
                events = [event for record in records for event in self._writer.events(record)]
                self._send(events)
            except Exception as error:  # the log must not end with one record
                self._counts.failed += EVENTS * len(records)
                self._report(error)

    def _take(self) -> list[Record] | None:
        """The next batch; None when the log has been closed and is empty, or its time is over."""
        most = max(1, self._sink.most // EVENTS)
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing_at is not None)
            self._changed.wait_for(
                lambda: len(self._waiting) >= most or self._closing_at is not None, timeout=self._sink.linger
            )
            if not self._waiting or (self._closing_at is not None and time.monotonic() >= self._closing_at):
                return None
            records = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            size = sum(record.nbytes for record in records)
            self._bytes -= size
            self._room.give_back(size)
            return records

    def _send(self, events: list[bytes]) -> None:
        for start in range(0, len(events), self._sink.most):
            batch = events[start : start + self._sink.most]
            if self._sent(batch):
                self._counts.written += len(batch)
            else:
                self._counts.failed += len(batch)

    def _sent(self, batch: list[bytes]) -> bool:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._sink.write(batch)
            except Exception as error:
                if attempt == ATTEMPTS or self._closing_at is not None:
                    self._report(error)
                    return False
                time.sleep(RETRY_SECONDS)
            else:
                return True
        return False

    def _report(self, error: Exception) -> None:
        self._errors.report("payload events were not written", detail=f"{type(error).__name__}: {error}"[:300])
