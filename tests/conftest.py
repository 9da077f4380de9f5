"""What holds for every test."""

from __future__ import annotations

import os

# ONNX Runtime reports usage to its maker unless it is told not to, before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
