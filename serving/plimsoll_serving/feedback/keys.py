"""The secrets that sign prediction ids: a file shared by all pods of a service, or a random one."""

import secrets
from pathlib import Path

from plimsoll_serving.errors import SettingsError
from plimsoll_serving.logs import LOGGER

SMALLEST_KEY = 16
MAX_KEYS = 8


def read_keys(path: Path | None) -> list[bytes]:
    """The keys of a file, one a line: the first signs, each verifies. Without a file a random one, and a log line.

    Raises SettingsError when the file does not hold keys.
    """
    if path is None or not path.is_file():
        LOGGER.info(
            "prediction ids of this pod are valid in this pod only, until it ends: there is no shared key",
            extra={"fields": {"file": str(path) if path else None}},
        )
        return [secrets.token_bytes(32)]
    keys = [line.strip() for line in path.read_bytes().splitlines() if line.strip()]
    if not keys or len(keys) > MAX_KEYS or min(map(len, keys)) < SMALLEST_KEY:
        raise SettingsError(
            f"PLIMSOLL_FEEDBACK_KEY_FILE: {path} must hold 1 to {MAX_KEYS} lines of at least {SMALLEST_KEY} characters"
        )
    return keys
