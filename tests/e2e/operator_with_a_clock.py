"""`python operator_with_a_clock.py FILE` is `python -m plimsoll` whose wall clock is ahead by the seconds in FILE.

The clock of a node cannot be changed in a test: its pods and the API server have theirs, as those of other nodes have.
The monotonic clock stays, as it does when a clock is set.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path


def shifted(clock: Callable[[], float], file: Path) -> Callable[[], float]:
    """The clock, ahead by what the file says now."""
    return lambda: clock() + float(file.read_text())


if __name__ == "__main__":
    time.time = shifted(time.time, Path(sys.argv[1]))
    # After the clock was changed, so that whoever imports the function has this one.
    from plimsoll.__main__ import main

    sys.exit(main([]))
