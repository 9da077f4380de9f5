"""A server that is never started."""

from __future__ import annotations

from pathlib import Path

from bench.serving.models import ModelFile
from bench.serving.process import Launch
from bench.serving.servers import Server
from bench.serving.works import Protocol


def _never(model: ModelFile, build: Path, folder: Path) -> Launch:
    raise AssertionError("no test starts a server")


SERVER = Server("plimsoll", "1", frozenset(Protocol), "", _never)
