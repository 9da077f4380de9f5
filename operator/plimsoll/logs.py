"""Logs as JSON lines on standard error: one object a line, whole even when a message has line breaks."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """`audit` of a record becomes the field of that name; a trace becomes `trace`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if audit := getattr(record, "audit", None):
            line["audit"] = audit
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str) -> None:
    """All logs of the process; kopf and the HTTP libraries only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("kopf", "aiohttp", "asyncio", "urllib3", "botocore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # It warns that it does not get the signals, which is how it is meant.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    logging.getLogger("plimsoll.audit").setLevel(logging.INFO)
