"""Where the seconds between the start of the process and readiness went."""

import os
import time
from pathlib import Path

STAT = Path("/proc/self/stat")


class Laps:
    """Seconds of one part after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """End a part."""
        now = time.perf_counter()
        self.seconds[part] = round(now - self._last, 3)
        self._last = now


def process_seconds() -> float:
    """Seconds since this process was started, to a hundredth (proc(5): field 22 of stat counts ticks since boot)."""
    fields = STAT.read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return round(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 3)
