"""Ports for servers that a test starts."""

from __future__ import annotations

import random
import socket

# Below the range from which the kernel takes the ports of outgoing connections, and below Kubernetes' node ports.
_RANGE = range(12_000, 29_000)


_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nothing listens on, and that nobody else is given before the server listens."""
    while True:
        port = random.choice(_RANGE)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
