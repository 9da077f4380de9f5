"""Ports for servers that a test starts."""

from __future__ import annotations

import os
import random
import socket

# Below the range from which the kernel takes the ports of outgoing connections, and below Kubernetes' node ports.
_RANGE = range(12_000, 29_000)
# Each worker of pytest-xdist (gw0, gw1, …) has every so-manieth.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_MINE = _RANGE[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) :: _WORKERS]

_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nothing listens on, and that nobody else is given before the server listens."""
    while True:
        port = random.choice(_MINE)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
