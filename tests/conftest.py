"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# ONNX Runtime reports usage to its maker unless it is told not to, before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# How long an example takes, to be made or to be tried, says more about the machine than about the code.
settings.register_profile(
    "plimsoll", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("plimsoll")
