"""An arm of the route that does what a test says, over real sockets."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.integration.serving.harness import HOST

# What a proxy says that stands outside of the cluster.
STRANGER = b"HTTP/1.1 404 Not Found\r\nserver: proxy\r\ncontent-length: 0\r\n\r\n"
# What to send for a request, piece by piece; None ends the connection.
Behaviour = Callable[["Asked"], Iterator[bytes | None]]


@dataclass
class Asked:
    """One request as it arrived, and which of the connection and of the arm it is, from 1."""

    head: bytes
    body: bytes
    of_connection: int
    of_arm: int

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return dict(line.split(": ", 1) for line in lines if line)


@dataclass
class FakeArm:
    """Listens on loopback; looks like a `Server` to `route_document`."""

    behaviour: Behaviour
    revision: str = "digits-fake"
    version: str = "9"
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.listen()

    def listen(self) -> None:
        """At its first port, also after `close`."""
        self._listener = socket.create_server((HOST, self.ports.get("direct", 0)))
        self.ports["direct"] = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the test is over
            self.connections += 1
            self._sockets.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        number = 0
        try:
            while (message := _read(connection)) is not None:
                number += 1
                with self._lock:
                    asked = Asked(*message, number, len(self.requests) + 1)
                    self.requests.append(asked)
                for piece in self.behaviour(asked):
                    if piece is None:
                        return
                    connection.sendall(piece)
        except OSError:
            return  # the server under test has ended the connection
        finally:
            connection.close()

    def close(self) -> None:
        if self._listener.fileno() < 0:
            return
        # A thread that waits in accept keeps a closed listener alive until somebody comes.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._sockets:
            connection.close()


def _read(connection: socket.socket) -> tuple[bytes, bytes] | None:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        body += chunk
    return head, body


@contextmanager
def fake_arm(behaviour: Behaviour, **fields: Any) -> Iterator[FakeArm]:
    arm = FakeArm(behaviour, **fields)
    try:
        yield arm
    finally:
        arm.close()


def answer(document: Any, status: bytes = b"200 OK", **headers: str) -> bytes:
    """The bytes of a pod's answer with a JSON body."""
    body = json.dumps(document).encode()
    lines = [b"HTTP/1.1 " + status, b"content-type: application/json", b"content-length: %d" % len(body)]
    lines.append(b"plimsoll-together: 0")
    lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def always(*pieces: bytes | None) -> Behaviour:
    def behave(_: Asked) -> Iterator[bytes | None]:
        yield from pieces

    return behave
