"""Bytes to a server and what it says to them."""

from __future__ import annotations

import socket

from tests.integration.serving.harness import HOST

ANSWER_SECONDS = 15.0


class Finding(AssertionError):
    """The server did what it must not do."""


def exchange(port: int, data: bytes, quiet: float | None = None) -> bytes:
    """Send, half-close, read to the end. Raises Finding when there is none.

    Args:
        quiet: seconds of silence that are an end, too; for calls that may rightly go on for longer.
    """
    received = b""
    with socket.create_connection((HOST, port), timeout=quiet or ANSWER_SECONDS) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(1 << 16):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            return received  # it need not read on what it has refused
        except TimeoutError:
            if quiet is not None:
                return received
            raise Finding(f"no end within {ANSWER_SECONDS:g} s; so far {received[-300:]!r}") from None
    return received
