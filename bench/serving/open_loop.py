"""Load at a fixed rate whatever the server does: requests are due at times drawn beforehand.

Latency counts from when a request was due, so that a server that stalls cannot hide it by being asked less. One
process that spins on its own core: timers are too coarse for gaps of 40 µs.
"""

import random
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from bench.serving.payloads import PATH, Payload

SETTLE_SECONDS = 2.0
HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Paced:
    """What came of a run at a fixed rate; times in seconds, of the answers with status 200 only.

    ``took`` is from when a request was due, ``served`` from when it was sent: what is between them is waiting for a
    free connection, or for this client. ``broken`` are requests that were sent and got no answer, ``unsent`` those for
    which no connection became free. ``sending`` is until the last was sent, ``seconds`` until all was over.
    """

    offered: float
    sent: int = 0
    took: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0
    unsent: int = 0
    sending: float = 0.0
    seconds: float = 0.0

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.took, percent) * 1e3) if self.took else float("nan")

    def served_percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.served, percent) * 1e3) if self.served else float("nan")

    def add(self, other: "Paced") -> None:
        """Another run at the same rate, as if the two were one."""
        self.sent += other.sent
        self.took += other.took
        self.served += other.served
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.broken += other.broken
        self.unsent += other.unsent
        self.sending += other.sending
        self.seconds += other.seconds

    @property
    def accepted(self) -> int:
        return self.statuses.get(200, 0)


def request_bytes(payload: Payload) -> bytes:
    """The HTTP/1.1 request as it goes over the wire."""
    headers = {"host": "127.0.0.1", "content-length": str(len(payload.body)), **payload.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + payload.body


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    due: float = 0.0
    sent: float = 0.0
    received: bytes = b""


class OpenLoop:
    """One run against ``port``.

    Args:
        rate: requests a second, Poisson.
        connections: at most so many requests in flight; what is due while all are taken waits for one, and its
            waiting counts.
        settle: seconds after the last was due until which requests are sent, and after the last was sent until which
            answers are waited for.
        seed: of the times at which requests are due.
    """

    def __init__(
        self,
        port: int,
        payload: Payload,
        rate: float,
        connections: int,
        seconds: float,
        settle: float = SETTLE_SECONDS,
        seed: int = 0,
    ) -> None:
        self._settle = settle
        self._port = port
        self._request = request_bytes(payload)
        self._result = Paced(rate)
        self._due = deque(_schedule(rate, seconds, seed))
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._idle = deque(self._connect() for _ in range(connections))
        self._busy = 0
        self._sent_at = 0.0

    def run(self) -> Paced:
        """Blocks until all was sent and answered, or the time to settle is over."""
        started = time.perf_counter()
        last = started + (self._due[-1] if self._due else 0.0)
        while self._due or self._busy:
            now = time.perf_counter()
            if now > last + self._settle:
                self._result.unsent += len(self._due)
                self._due.clear()
            if not self._due and now > max(last, self._sent_at) + self._settle:
                break
            while self._due and self._idle and started + self._due[0] <= now:
                self._send(started + self._due.popleft())
            for descriptor, _ in self._poll.poll(0):
                self._receive(self._open[descriptor])
        # What never came back is broken: silence is no answer.
        self._result.broken += self._busy
        self._result.sending = max(self._sent_at, last) - started
        self._result.seconds = time.perf_counter() - started
        for connection in self._open.values():
            connection.socket.close()
        self._poll.close()
        return self._result

    def _connect(self) -> _Connection:
        connection = _Connection(socket.create_connection(("127.0.0.1", self._port), timeout=5))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)
        return connection

    def _send(self, due: float) -> None:
        connection = self._idle.popleft()
        connection.due = due
        connection.sent = self._sent_at = time.perf_counter()
        self._result.sent += 1
        self._busy += 1
        try:
            connection.socket.sendall(self._request)
        except OSError:
            self._replace(connection, asked=True)

    def _receive(self, connection: _Connection) -> None:
        asked = connection.due > 0
        try:
            chunk = connection.socket.recv(65536)
        except OSError:
            chunk = b""
        if not chunk:
            self._replace(connection, asked)
            return
        received = connection.received + chunk
        end = received.find(HEAD_END)
        if end < 0 or len(received) < end + 4 + _length(received[:end]):
            connection.received = received
            return
        self._answered(connection, received[:end])

    def _answered(self, connection: _Connection, head: bytes) -> None:
        status = int(head[9:12])
        self._result.statuses[status] = self._result.statuses.get(status, 0) + 1
        if status == 200:
            now = time.perf_counter()
            self._result.took.append(now - connection.due)
            self._result.served.append(now - connection.sent)
        self._busy -= 1
        connection.received, connection.due = b"", 0.0
        if b"connection: close" in head.lower():
            self._replace(connection, asked=False)
        else:
            self._idle.append(connection)

    def _replace(self, connection: _Connection, asked: bool) -> None:
        """Another connection for one that the server closed; with a request on it the request is lost."""
        if asked:
            self._result.broken += 1
            self._busy -= 1
        with_idle = [one for one in self._idle if one is not connection]
        del self._open[connection.socket.fileno()]
        self._poll.unregister(connection.socket)
        connection.socket.close()
        self._idle = deque([*with_idle, self._connect()])


def _schedule(rate: float, seconds: float, seed: int) -> list[float]:
    generator = random.Random(int(rate) + seed)
    due, now = [], 0.0
    while (now := now + generator.expovariate(rate)) < seconds:
        due.append(now)
    return due


def _length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.index(b"content-length:") + len(b"content-length:")
    end = lowered.find(b"\r\n", start)
    return int(lowered[start : None if end < 0 else end])
