"""Series of this process, by the names that every client library of Prometheus gives them."""

import math
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from plimsoll_serving.families import CounterFamily, Family, GaugeFamily

SELF = Path("/proc/self")
TICKS = os.sysconf("SC_CLK_TCK")


def _fields() -> list[str]:
    """Of stat, from the third on: the second, the name of the program, may hold blanks."""
    return (SELF / "stat").read_text().rpartition(")")[2].split()


# Once: whoever reads it takes another value for another process, and the clock may be set meanwhile.
STARTED = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(_fields()[19]) / TICKS


class ProcessMetrics:
    """Reads proc(5) when it is asked: CPU, memory, open files."""

    def collect(self) -> Iterator[Family]:
        fields = _fields()
        yield _gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", int(fields[20]))
        resident = int(fields[21]) * resource.getpagesize()
        yield _gauge("process_resident_memory_bytes", "Resident memory size in bytes.", resident)
        yield _gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", STARTED)
        cpu = CounterFamily("process_cpu_seconds", "Total user and system CPU time spent in seconds.")
        cpu.add((), (int(fields[11]) + int(fields[12])) / TICKS)
        yield cpu
        yield _gauge("process_open_fds", "Number of open file descriptors.", len(list((SELF / "fd").iterdir())))
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = math.inf if most == resource.RLIM_INFINITY else most
        yield _gauge("process_max_fds", "Maximum number of open file descriptors.", limit)


def _gauge(name: str, documentation: str, value: float) -> Family:
    family = GaugeFamily(name, documentation)
    family.add((), value)
    return family
