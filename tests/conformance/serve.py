"""Servers for clients of another environment: tells where they listen, and ends them when its standard input ends.

    python -m tests.conformance.serve

The line it prints is ``{name: {"http": "host:port", "grpc": "host:port"}}``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import plimsoll_serving  # noqa: F401 - before ONNX Runtime is loaded: it turns its telemetry off

from tests.builders import echo_models
from tests.conformance.models import PLAIN_TYPES, SMALL_FLOAT, TYPED_TYPES
from tests.integration.serving.harness import HOST, RIGHT, Server, running


def main() -> None:
    """One server for each model."""
    models = {
        "classifier": RIGHT,
        "types": echo_models.of_every_type(PLAIN_TYPES),
        "typed": echo_models.of_every_type(TYPED_TYPES),
        "small": echo_models.of_every_type([SMALL_FLOAT]),
    }
    with tempfile.TemporaryDirectory() as folder:
        servers = {name: Server(Path(folder) / name, data, f"{name}-aaaa") for name, data in models.items()}
        with running(*servers.values()):
            places = {name: _places(server) for name, server in servers.items()}
            print(json.dumps(places), flush=True)
            sys.stdin.read()


def _places(server: Server) -> dict[str, str]:
    http, grpc = server.ports["public"], server.ports.get("grpc", server.ports["public"])
    return {"http": f"{HOST}:{http}", "grpc": f"{HOST}:{grpc}"}


if __name__ == "__main__":
    main()
