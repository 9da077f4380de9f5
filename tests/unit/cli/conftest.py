"""The command line on a world in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from plimsoll.cli.app import app
from plimsoll.cli.kubectl import Kubectl

from tests.builders.release import Life, service, version
from tests.unit.cli.fake import FakeKubectl

orders, status = (import_module(f"plimsoll.cli.{name}") for name in ("orders", "status"))


@dataclass
class Terminal:
    """Somebody at a terminal, and the world that they look at."""

    life: Life
    flags: list[str]
    between: Callable[[], None] = lambda: None

    def run(self, *arguments: str) -> Result:
        """What `kubectl plimsoll …` prints, and its exit code."""
        return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Version 1 of `digits` serves."""
    life = Life(version(1), service(replicas=2))
    life.until("Idle")
    life.run(5)
    found = Terminal(life, [])

    def cluster(flags: Sequence[str]) -> Any:
        found.flags[:] = flags
        return FakeKubectl(life, lambda: found.between())

    monkeypatch.setattr(Kubectl, "found", cluster)
    clock = SimpleNamespace(time=lambda: life.time, monotonic=lambda: life.time, sleep=life.run)
    for module in (orders, status):
        monkeypatch.setattr(module, "time", clock)
    return found
