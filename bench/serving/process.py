"""A server under test: a process tree pinned to one core, and what it costs as the kernel counts it."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60.0
# Ports that were given to servers which may not listen yet.
_GIVEN: set[int] = set()


class NotServing(Exception):
    """The server ended or was not ready in time; says where its log is."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started: ``ready`` is the URL that answers 200 once it serves."""

    command: list[str]
    env: dict[str, str]
    folder: Path
    base: str
    ready: str
    grpc: str | None = None


@dataclass(slots=True)
class Running:
    """A started server.

    ``listening_seconds`` and ``ready_seconds``: from the start of the process to the first answer at all and to the
    first 200 on the ready URL.
    """

    launch: Launch
    process: subprocess.Popen[bytes]
    started: float
    listening_seconds: float = 0.0
    ready_seconds: float = 0.0
    known: dict[int, int] = field(default_factory=dict)

    def tree(self) -> list[int]:
        """This process and all that descend from it."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            with suppress(FileNotFoundError, ProcessLookupError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += [int(child) for child in (task / "children").read_text().split()]
        self.known.update({pid: _began(pid) for pid in found if pid not in self.known})
        return found

    def cpu_seconds(self) -> float:
        """User and system time of the tree so far."""
        return sum(_cpu_ticks(pid) for pid in self.tree()) / TICKS

    def rss_mb(self) -> float:
        """Resident memory of the tree, in 10^6 bytes; pages that processes share are counted once for each."""
        return sum(_resident_kib(pid) for pid in self.tree()) * 1024 / 1e6


def _cpu_ticks(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _began(pid: int) -> int:
    """When the process started, in ticks since boot; 0 when it is gone."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def _stat(pid: int) -> list[str]:
    """Fields of proc(5)'s stat from the third on; the second, the name, may hold blanks."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _resident_kib(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def free_port() -> int:
    """A loopback port that nothing listens on, below those that the kernel gives to clients; each is given once."""
    while True:
        port = random.choice(range(12_000, 29_000))
        if port in _GIVEN:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _GIVEN.add(port)
            return port


def start(launch: Launch, core: int) -> Running:
    """Start the server on one core; what it says goes to ``log`` in its folder."""
    launch.folder.mkdir(parents=True, exist_ok=True)
    taskset = shutil.which("taskset") or "taskset"
    with (launch.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [taskset, "-c", str(core), *launch.command],
            env=launch.env,
            cwd=launch.folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return Running(launch, process, time.monotonic())


def wait_ready(running: Running) -> None:
    """Until the ready URL answers 200. Raises NotServing."""
    deadline = running.started + START_SECONDS
    with httpx.Client(timeout=2) as client:
        while (status := _status(client, running.launch.ready)) != 200:
            if status and not running.listening_seconds:
                running.listening_seconds = time.monotonic() - running.started
            if running.process.poll() is not None or time.monotonic() > deadline:
                tail = (running.launch.folder / "log").read_text(errors="replace")[-2000:]
                raise NotServing(f"{running.launch.command[:4]} does not serve; its log ends so:\n{tail}")
            time.sleep(0.01)
    running.ready_seconds = time.monotonic() - running.started
    running.listening_seconds = running.listening_seconds or running.ready_seconds


def _status(client: httpx.Client, url: str) -> int:
    """The status of its answer, 0 when nothing listens yet."""
    try:
        return client.get(url).status_code
    except httpx.TransportError:
        return 0


def stop(running: Running) -> None:
    """SIGTERM, and SIGKILL for what of the tree is left after ten seconds."""
    running.tree()
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
    _ended(lambda: running.process.poll() is not None, 10)
    for pid, began in running.known.items():
        # A number is given again: only the process that was seen is ended.
        if began and _began(pid) == began:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    running.process.wait(10)


def _ended(fact: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not fact():
        time.sleep(0.05)


@contextmanager
def serving(launch: Launch, core: int) -> Iterator[Running]:
    """A server that is ready; stopped at the end."""
    running = start(launch, core)
    try:
        wait_ready(running)
        yield running
    finally:
        stop(running)
