"""Servers for clients of another environment.

    python -m tests.conformance.serve                   tells where they listen, ends them when its input ends
    python -m tests.conformance.serve PYTEST [option …]  runs PYTEST on each file of tests, a process each

Where they listen is ``{name: {"http": "host:port", "grpc": "host:port"}}``, printed or in CONFORMANCE_PLACES.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import plimsoll_serving  # noqa: F401 - before ONNX Runtime is loaded: it turns its telemetry off

from tests.builders import echo_models
from tests.conformance.models import PLAIN_TYPES, SMALL_FLOAT, TYPED_TYPES
from tests.integration.serving.harness import HOST, RIGHT, ROOT, Server, running


def main(pytest: list[str]) -> int:
    """One server for each model, for as long as they are wanted."""
    models = {
        "classifier": RIGHT,
        "types": echo_models.of_every_type(PLAIN_TYPES),
        "typed": echo_models.of_every_type(TYPED_TYPES),
        "classes": echo_models.of_classes(["blue", "green", "red"]),
        "small": echo_models.of_every_type([SMALL_FLOAT]),
    }
    with tempfile.TemporaryDirectory() as folder:
        servers = {name: Server(Path(folder) / name, data, f"{name}-aaaa") for name, data in models.items()}
        with running(*servers.values()):
            places = json.dumps({name: _places(server) for name, server in servers.items()})
            if pytest:
                return _run(pytest, places)
            print(places, flush=True)
            sys.stdin.read()
    return 0


def _run(pytest: list[str], places: str) -> int:
    """Each client in a process of its own: their protobuf files declare the same names."""
    environment = {**os.environ, "CONFORMANCE_PLACES": places, "PYTHONPATH": ""}
    codes = [
        subprocess.run([*pytest, path], env=environment, cwd=ROOT, check=False).returncode
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
    ]
    return max(codes)


def _places(server: Server) -> dict[str, str]:
    http, grpc = server.ports["public"], server.ports.get("grpc", server.ports["public"])
    return {"http": f"{HOST}:{http}", "grpc": f"{HOST}:{grpc}"}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
