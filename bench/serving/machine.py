"""What machine and what programs a run was made with."""

import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

OURS = ("numpy", "onnxruntime", "uvloop", "httptools", "msgspec")


def facts(server_core: int, client_core: int, cores: int) -> dict[str, str]:
    """Facts by name, in the order in which the page shows them."""
    return {
        "CPU": _cpu_model(),
        "cores": f"{cores} (server on {server_core}, client on {client_core})",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "libraries of this server": ", ".join(f"{name} {version(name)}" for name in OURS),
        "commit": _commit(),
        "wrk": _first_line(["wrk", "-v"]),
        "h2load": _first_line(["h2load", "--version"]),
    }


def busy_share(cores: tuple[int, ...], seconds: float) -> float:
    """Share of these cores that other work used meanwhile; what the hypervisor took counts."""
    before = [_ticks(core) for core in cores]
    time.sleep(seconds)
    after = [_ticks(core) for core in cores]
    idle = sum(new[0] - old[0] for old, new in zip(before, after, strict=True))
    every = sum(new[1] - old[1] for old, new in zip(before, after, strict=True))
    return round(1 - idle / max(1, every), 2)


def _ticks(core: int) -> tuple[int, int]:
    """Idle and all ticks of a core."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            fields = [int(field) for field in line.split()[1:9]]
            return fields[3] + fields[4], sum(fields)
    raise ValueError(f"/proc/stat knows no core {core}")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def _first_line(command: list[str]) -> str:
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return (told.stdout or told.stderr).splitlines()[0].split(" Copyright")[0]
