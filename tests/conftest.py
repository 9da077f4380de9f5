"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# ONNX Runtime reports usage to its maker unless it is told not to, before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# How long an example takes, to be made or to be tried, says more about the machine than about the code.
settings.register_profile(
    "plimsoll", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("plimsoll")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A test that had to be run twice is printed like one that failed: something is wrong with it, or with us."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"failed once: {report.nodeid}")
        terminalreporter.line(report.longreprtext)
