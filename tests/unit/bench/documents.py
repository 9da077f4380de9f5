"""Results of a run, as small as they can be."""

from __future__ import annotations

from typing import Any

from bench.serving.report import LIMIT

WORK = "v2-json-1row-c16"


def row(server: str, rate: float, work: str = WORK, **more: Any) -> dict[str, Any]:
    return {
        "work": work,
        "server": server,
        "version": "1",
        "requests_per_second": rate,
        "p50_ms": 0.2,
        "p99_ms": 1.25,
        "cpu_us_per_request": 20.0,
        "rss_mb": 70.0,
        "errors": 0,
        **more,
    }


def document(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    servers = list(dict.fromkeys(one["server"] for one in rows))
    return {
        "run": {
            "command": "python -m bench.serving",
            "date": "2026-11-27",
            "seconds": 3,
            "repeats": 3,
            "busy_share": 0.02,
        },
        "machine": {"CPU": "one"},
        "servers": [{"server": name, "version": "1", "settings": "none"} for name in servers],
        "rows": list(rows),
        "left_out": [],
        "half_load": [],
        "overload": [],
        "start_up": [],
        "routing": [],
        "hot_swap": None,
        **more,
    }


def usual() -> dict[str, Any]:
    return document(row("mlserver", 1500), row(LIMIT, 136_000), row("plimsoll", 48_700))
