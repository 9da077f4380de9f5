"""Processes we started, known by pid and start time, so that a reused pid is never mistaken for ours."""

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from devcluster.reporting import DevclusterError, settles

GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Process:
    """A process as it is recorded: ``started`` is in clock ticks since the boot named by ``boot``."""

    pid: int
    started: int
    boot: str

    @property
    def alive(self) -> bool:
        return self.boot == boot_id() and self.started == start_time(self.pid)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """Start time of a live process in clock ticks since boot; None when it is gone or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def parent(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold blanks and brackets, so count from its last closing bracket: state is field 0.
    return text.rpartition(")")[2].split()


def identify(pid: int) -> Process | None:
    started = start_time(pid)
    return None if started is None else Process(pid, started, boot_id())


def launch(argv: Sequence[str | Path], log: Path, record: Path) -> Process:
    """Start ``argv`` detached, its output appended to ``log``, its identity written to ``record``."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )
    process = identify(child.pid)
    if process is None:
        raise DevclusterError(f"{log.stem} ended as soon as it was started; see {log}.")
    record.write_text(json.dumps(asdict(process)))
    return process


def recorded(record: Path) -> Process | None:
    """The process a record names if it still runs."""
    if not record.exists():
        return None
    process = Process(**json.loads(record.read_text()))
    return process if process.alive else None


def stop(processes: Sequence[Process], grace: float = GRACE_SECONDS) -> None:
    """Ask each to end, and after ``grace`` seconds make it."""
    _signal(processes, signal.SIGTERM)
    if not settles(lambda: not any(process.alive for process in processes), grace, 0.05):
        kill(processes)


def kill(processes: Sequence[Process]) -> None:
    _signal(processes, signal.SIGKILL)
    if not settles(lambda: not any(process.alive for process in processes), GRACE_SECONDS, 0.05):
        left = ", ".join(str(process.pid) for process in processes if process.alive)
        raise DevclusterError(f"processes {left} do not end although killed; they may wait for a disk.")


def _signal(processes: Sequence[Process], number: signal.Signals) -> None:
    for process in processes:
        if process.alive:
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue  # ended between the look and the signal


def all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def mount_namespace(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # gone, or one that even root may not look at
