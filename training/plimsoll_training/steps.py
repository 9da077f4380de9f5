"""Log lines for people: one a finished step, with how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Step:
    """What the line will say: the block sets `done` once it knows."""

    done: str


@contextmanager
def step(done: str) -> Iterator[Step]:
    """Print `{done} in {seconds} s` after the block succeeded; nothing when it raises."""
    current = Step(done)
    started = time.monotonic()
    yield current
    say(f"{current.done} in {time.monotonic() - started:.1f} s")


def say(message: str) -> None:
    """One line to stdout, at once."""
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()
