"""Lines for the person who waits: each step with its seconds, and a sign of life during the long ones."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_SECONDS = 15.0


class DevclusterError(Exception):
    """Something the person at the keyboard can mend; the message is one sentence that says how."""


def say(line: str) -> None:
    print(line, flush=True)


@contextmanager
def step(title: str, progress: Callable[[], str] | None = None) -> Iterator[None]:
    """Time the enclosed work and print ``title … 1.2 s`` when it is done.

    ``progress`` is asked every 15 seconds for a word on how far the work is; its line also shows the time elapsed.
    """
    started = time.monotonic()
    finished = threading.Event()
    ticker = threading.Thread(target=_tick, args=(title, started, finished, progress), daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        say(f"{title} … failed after {time.monotonic() - started:.1f} s")
        raise
    else:
        say(f"{title} … {time.monotonic() - started:.1f} s")
    finally:
        finished.set()
        ticker.join()


def _tick(title: str, started: float, finished: threading.Event, progress: Callable[[], str] | None) -> None:
    while not finished.wait(TICK_SECONDS):
        detail = f", {progress()}" if progress else ""
        say(f"  … {title}: {time.monotonic() - started:.0f} s{detail}")


def settles(ready: Callable[[], bool], seconds: float, interval: float = 0.1) -> bool:
    """Poll ``ready`` every ``interval`` seconds; say whether it held within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def complain(error: DevclusterError) -> None:
    print(f"devcluster: {error}", file=sys.stderr, flush=True)
