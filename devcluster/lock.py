"""One command at a time changes the cluster or the caches; the others wait their turn."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from devcluster.paths import Paths
from devcluster.reporting import say


@contextmanager
def exclusive(paths: Paths) -> Iterator[None]:
    """Hold the lock that every changing verb takes. The kernel lets go of it when the process ends, however it ends."""
    paths.cache.mkdir(parents=True, exist_ok=True)
    with (paths.cache / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another devcluster command to finish")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
