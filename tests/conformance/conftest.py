"""The servers, started by the project's own environment: the one of these tests holds nothing of ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Places = dict[str, dict[str, str]]


@pytest.fixture(scope="session")
def places() -> Iterator[Places]:
    """Where each model is served, over HTTP and over gRPC."""
    served = os.environ.get("CONFORMANCE_PLACES")
    if served:
        yield json.loads(served)
        return
    command = [ROOT / ".venv" / "bin" / "python", "-m", "tests.conformance.serve"]
    paths = [ROOT, ROOT / "serving"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "ORT_DISABLE_TELEMETRY": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as serve:
        assert serve.stdin is not None
        assert serve.stdout is not None
        told = serve.stdout.readline()
        assert told, "the servers did not start; what they said is above"
        yield json.loads(told)
        serve.stdin.close()
        assert serve.wait(60) == 0
