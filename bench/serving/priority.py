"""The server and this client before everybody else on their cores, where the kernel allows it.

Tails of milliseconds are those of the machine, too: whoever else wakes up on a core takes a slice of it. A real-time
policy (sched(7), SCHED_FIFO) keeps others off; every server is measured the same way.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.serving.process import Running

PRIORITY = os.sched_param(10)
ORDINARY = os.sched_param(0)
#: The kernel takes a real-time thread that never sleeps off its core for 0.05 of every 1 s (sched_rt_runtime_us).
PIECE_SECONDS = 0.8
PAUSE_SECONDS = 0.5


@contextmanager
def real_time(running: Running) -> Iterator[bool]:
    """All threads of the server and the calling one; whether it was allowed. Threads that they start inherit it."""
    threads = [0, *_threads(running)]
    try:
        for thread in threads:
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, os.SCHED_FIFO, PRIORITY)
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        for thread in {*threads, *_threads(running)}:
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, os.SCHED_OTHER, ORDINARY)


def pieces(seconds: float) -> Iterator[tuple[int, float]]:
    """So many seconds in pieces that real-time threads are given whole: their number and seconds each. Between them
    it sleeps."""
    count = math.ceil(seconds / PIECE_SECONDS)
    for number in range(count):
        if number:
            time.sleep(PAUSE_SECONDS)
        yield number, seconds / count


def _threads(running: Running) -> list[int]:
    found = []
    for pid in running.tree():
        with suppress(FileNotFoundError):
            found += [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return found
