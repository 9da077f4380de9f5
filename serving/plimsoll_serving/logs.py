"""Log lines on stderr: JSON with model, version and revision, or text at a terminal. No bodies, no credentials."""

import json
import logging
import sys
import time

from plimsoll_serving.settings import Identity

LOGGER = logging.getLogger("plimsoll_serving")
ERRORS_PER_SECOND = 10
HEX = frozenset(b"0123456789abcdef")
ZERO = frozenset(b"0")


class JsonFormatter(logging.Formatter):
    """One JSON object a line; ``extra={"fields": {...}}`` adds keys."""

    def __init__(self, identity: Identity | None) -> None:
        super().__init__()
        self._fixed = (
            {}
            if identity is None
            else {
                "model": identity.model,
                "version": identity.version,
                "revision": identity.revision,
                "pod": identity.pod,
            }
        )

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line.update(self._fixed)
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Lines for a person at a terminal: time, level, message and the further fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={value}" for key, value in getattr(record, "fields", {}).items() if value is not None)
        line = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.levelname} {record.getMessage()}"
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return line + fields + trace


def configure(level: str, identity: Identity | None = None, human: bool = False) -> None:
    """Send the log to stderr, as JSON lines or for a person."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if human else JsonFormatter(identity))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def trace_id(traceparent: bytes | None) -> str | None:
    """The trace id of a ``traceparent`` header (W3C Trace Context, section 3.2), or None when it is not one."""
    parts = (traceparent or b"").split(b"-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    version, digits, parent, _ = parts[:4]
    if any(set(part) - HEX for part in parts[:4]) or not set(digits) - ZERO or not set(parent) - ZERO:
        return None
    # Later versions may append to what version 00 has; ff is none.
    if version == b"ff" or (version == b"00" and len(parts) > 4):
        return None
    return digits.decode()


class ErrorLog:
    """Logs failed requests, at most ``ERRORS_PER_SECOND``: a model that fails always must not flood the log."""

    def __init__(self) -> None:
        self._second = 0
        self._logged = 0
        self._dropped = 0

    def report(self, message: str, **fields: object) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._logged = second, 0
        if self._logged >= ERRORS_PER_SECOND:
            self._dropped += 1
            return
        self._logged += 1
        if self._dropped:
            fields["dropped"], self._dropped = self._dropped, 0
        LOGGER.error(message, extra={"fields": fields})
