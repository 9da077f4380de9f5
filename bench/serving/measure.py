"""One server and its works: answers checked, warmed up, timed several times, medians taken."""

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.serving import environments, limit, load, payloads
from bench.serving.messages import METHOD
from bench.serving.models import ModelFile
from bench.serving.process import Running
from bench.serving.servers import LIMIT, Server
from bench.serving.works import Protocol, Work

WARM_SECONDS = 1
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run was asked for, and on which cores."""

    build: Path
    seconds: int
    repeats: int
    server_core: int
    client_core: int


@dataclass(slots=True)
class Results:
    """Everything a run found, in the form of the JSON file."""

    rows: list[Row] = field(default_factory=list)
    left_out: list[Row] = field(default_factory=list)
    half_load: list[Row] = field(default_factory=list)
    overload: list[Row] = field(default_factory=list)
    start_up: list[Row] = field(default_factory=list)
    routing: list[Row] = field(default_factory=list)
    hot_swap: Row | None = None

    def leave_out(self, work: Work, server: Server, reason: str) -> None:
        print(f"  {work.name:32} {server.name:10} left out: {reason}", flush=True)
        self.left_out.append({"work": work.name, "server": server.name, "reason": reason})

    def rate(self, work: str, server: str) -> float | None:
        """The measured rate of a work, None when it was not measured."""
        found = [row["requests_per_second"] for row in self.rows if (row["work"], row["server"]) == (work, server)]
        return found[0] if found else None


def checked(plan: Plan, running: Running, model: ModelFile, work: Work) -> int:
    """Ask once and compare with onnxruntime; the bytes of the answer's body. Raises WrongAnswer."""
    rows = model.rows(work.rows)
    expected = dict(zip(payloads.OUTPUTS, limit.session(model.path).run(None, {"input": rows}), strict=True))
    request = payloads.payload(work.protocol, rows)
    if work.protocol is Protocol.GRPC:
        body = _grpc_answer(plan, running, request)
        payloads.check(payloads.read_grpc(body), expected)
        return len(body)
    answer = httpx.post(running.launch.base + payloads.PATH, content=request.body, headers=request.headers, timeout=20)
    if answer.status_code != 200:
        raise payloads.WrongAnswer(f"status {answer.status_code}: {answer.text[:120]}")
    head = answer.headers.get("inference-header-content-length")
    payloads.check(payloads.read_rest(answer.content, int(head) if head else None), expected)
    return len(answer.content)


def _grpc_answer(plan: Plan, running: Running, request: payloads.Payload) -> bytes:
    python = environments.python_of("tools", plan.build)
    sent, received = running.launch.folder / "request", running.launch.folder / "answer"
    sent.write_bytes(request.body)
    script = Path(__file__).with_name("grpc_call.py")
    command = [str(part) for part in (python, script, running.launch.grpc, METHOD, sent, received)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise payloads.WrongAnswer(done.stderr.strip()[-200:])
    return received.read_bytes()


def timed_row(plan: Plan, server: Server, running: Running, model: ModelFile, work: Work) -> Row:
    """The medians of the repeats. Raises WrongAnswer when the server fails the check."""
    answer = checked(plan, running, model, work)
    request = payloads.payload(work.protocol, model.rows(work.rows))

    def run(seconds: int) -> load.Timed:
        if work.protocol is Protocol.GRPC:
            # On the wire a message has five bytes before it.
            address = running.launch.grpc or ""
            return load.h2load(address, request, work.connections, seconds, plan.client_core, answer + 5)
        return load.wrk(running.launch.base, request, work.connections, seconds, plan.client_core)

    run(WARM_SECONDS)
    taken: list[load.Timed] = []
    cpu: list[float] = []
    for _ in range(plan.repeats):
        before = running.cpu_seconds()
        taken.append(run(plan.seconds))
        cpu.append((running.cpu_seconds() - before) / max(1, taken[-1].requests) * 1e6)
    return row_of(work, server, taken, cpu, running.rss_mb())


def row_of(work: Work, server: Server, taken: list[load.Timed], cpu: list[float], rss_mb: float) -> Row:
    """Medians over the repeats; errors are summed."""
    median, shares = statistics.median, list(zip(cpu, taken, strict=True))
    return {
        "work": work.name,
        "server": server.name,
        "version": server.version,
        "requests_per_second": round(median(one.rate for one in taken), 1),
        "p50_ms": round(median(one.p50_ms for one in taken), 3),
        "p99_ms": round(median(one.p99_ms for one in taken), 3),
        "cpu_us_per_request": round(median(cpu), 1),
        "rss_mb": round(rss_mb, 1),
        "errors": sum(one.errors for one in taken),
        "server_core_share": round(median(cost * one.requests / one.seconds / 1e6 for cost, one in shares), 2),
        "client_core_share": round(median(one.client_share for one in taken), 2),
        "repeats": [round(one.rate, 1) for one in taken],
    }


def limit_row(plan: Plan, version: str, model: ModelFile, work: Work) -> Row:
    """onnxruntime in process on the server's core."""
    arguments = [str(model.path), str(model.features), str(work.rows), str(plan.seconds)]
    command = ["taskset", "-c", str(plan.server_core), sys.executable, "-m", "bench.serving.limit", *arguments]
    found = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(plan.repeats)]
    digits = {"requests_per_second": 1, "p50_ms": 4, "p99_ms": 4, "cpu_us_per_request": 2, "rss_mb": 1}
    medians = {key: round(statistics.median(one[key] for one in found), count) for key, count in digits.items()}
    return {"work": work.name, "server": LIMIT, "version": version, **medians, "errors": 0}


def told(row: Row) -> str:
    """A progress line."""
    errors = f", {row['errors']} errors" if row["errors"] else ""
    return (
        f"  {row['work']:32} {row['server']:10} {row['requests_per_second']:>10,.0f}/s  p99 {row['p99_ms']:.2f} ms  "
        f"{row['cpu_us_per_request']:.0f} µs CPU  {row['rss_mb']:.0f} MB{errors}"
    )
