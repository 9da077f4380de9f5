"""Notices a changed route document: one stat(2) every 50 ms, which a mounted ConfigMap's symlink swap changes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from plimsoll_serving.logs import LOGGER
from plimsoll_serving.route import Route, RouteError, parse

POLL_SECONDS = 0.05
MAX_BYTES = 1 << 20

Stamp = tuple[int, int, int]


class RouteWatcher:
    """Calls ``apply`` with each valid document. A malformed one is logged once and the old one stays in force."""

    def __init__(self, path: Path, apply: Callable[[Route], object]) -> None:
        self._path = path
        self._apply = apply
        self._stamp: Stamp | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Read now, then watch."""
        self.check()
        self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self.start)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def check(self) -> None:
        """Read the document if the file is another one than last time."""
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return  # the ConfigMap is optional: without it the pod goes on as it was
        except OSError as error:
            self._complain((0, 0, error.errno or 0), str(error))
            return
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._read(stamp)

    def _read(self, stamp: Stamp) -> None:
        try:
            with self._path.open("rb") as file:
                route = parse(file.read(MAX_BYTES))
        except (OSError, RouteError) as error:
            self._complain(stamp, str(error))
            return
        self._stamp = stamp
        self._apply(route)

    def _complain(self, stamp: Stamp, problem: str) -> None:
        if stamp != self._stamp:
            LOGGER.error(
                "route document ignored, the old one stays: %s", problem, extra={"fields": {"path": str(self._path)}}
            )
        self._stamp = stamp
