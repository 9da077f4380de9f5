"""Load by clients in C, pinned to the other core: wrk for REST, h2load for gRPC. Both send bytes made beforehand."""

import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.serving.environments import Missing
from bench.serving.messages import METHOD
from bench.serving.payloads import PATH, Payload

SCRIPT = Path(__file__).parent / "wrk.lua"
PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client"}


@dataclass(frozen=True, slots=True)
class Timed:
    """One timed run: ``errors`` are answers other than 2xx, broken connections and timeouts."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    client_share: float = 0.0

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.requests - self.errors) / self.seconds


def require(program: str) -> str:
    """Its path. Raises Missing with the remedy."""
    found = shutil.which(program)
    if found is None:
        package = PACKAGES[program]
        raise Missing(f"{program} is not installed: `apt-get install {package}` (or your system's package of it)")
    return found


def wrk(base: str, payload: Payload, connections: int, seconds: int, core: int) -> Timed:
    """REST from so many connections, each with one request in flight."""
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body"
        body.write_bytes(payload.body)
        lines = "".join(f"{name}\t{value}\n" for name, value in payload.headers.items())
        env = {**os.environ, "BENCH_BODY": str(body), "BENCH_HEADERS": lines, "BENCH_PATH": PATH}
        command = [require("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-s", str(SCRIPT)]
        return _measured([*command, base], core, env, read_wrk)


def read_wrk(text: str) -> Timed:
    """The line that `wrk.lua` prints at the end."""
    found = re.search(r"^\{.*\}$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"wrk printed no summary: {text[-500:]}")
    told = json.loads(found[0])
    # wrk counts an answer with a bad status among the requests, a broken connection not.
    requests = told["requests"] + told["broken"]
    errors = told["status"] + told["broken"]
    return Timed(requests, told["duration_us"] / 1e6, told["p50_us"] / 1e3, told["p99_us"] / 1e3, errors)


def h2load(address: str, payload: Payload, connections: int, seconds: int, core: int, answer: int) -> Timed:
    """Unary gRPC calls, one in flight on each connection.

    Args:
        answer: bytes of the framed right answer. A refusal comes with HTTP status 200 and no message, so calls that
            brought less are errors.
    """
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(b"\0" + len(payload.body).to_bytes(4, "big") + payload.body)
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        command = [require("h2load"), "-t1", f"-c{connections}", "-m1", f"-D{seconds}s", *headers]
        command += [f"--log-file={log}", "-d", str(body), f"http://{address}{METHOD}"]
        timed = _measured(command, core, None, lambda text: read_h2load(text, answer))
        return _with_percentiles(timed, log.read_text())


def read_h2load(text: str, answer: int) -> Timed:
    """What h2load prints; percentiles come from its log."""
    finished = re.search(r"finished in ([\d.]+)(m?s)", text)
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    data = re.search(r"\((\d+)\) data", text)
    if finished is None or counts is None or data is None:
        raise ValueError(f"h2load printed no summary: {text[-500:]}")
    done, succeeded = int(counts[1]), int(counts[2])
    whole = min(succeeded, int(data[1]) // answer)
    seconds = float(finished[1]) / (1000 if finished[2] == "ms" else 1)
    return Timed(done, seconds, 0.0, 0.0, done - whole)


def _with_percentiles(timed: Timed, log: str) -> Timed:
    took = [int(line.rsplit("\t", 1)[1]) for line in log.splitlines()]
    p50, p99 = np.percentile(took, [50, 99]) / 1e3
    return Timed(timed.requests, timed.seconds, float(p50), float(p99), timed.errors, timed.client_share)


def _measured(command: list[str], core: int, env: dict[str, str] | None, read: Callable[[str], Timed]) -> Timed:
    """Run a client on its core; also the share of the core that it used, which tells whether it was the limit."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        ["taskset", "-c", str(core), *command], env=env, capture_output=True, text=True, check=False, timeout=300
    )
    took, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise ValueError(f"{command[0]} failed: {(done.stderr or done.stdout)[-500:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    timed = read(done.stdout)
    return Timed(timed.requests, timed.seconds, timed.p50_ms, timed.p99_ms, timed.errors, used / took)
