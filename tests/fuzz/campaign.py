"""A run of damaged requests against real server processes, watched from outside."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.fuzz import corpus, corpus_types, pool
from tests.fuzz.exchange import Finding
from tests.fuzz.grpc_targets import sound_call
from tests.fuzz.targets import TARGETS
from tests.integration.serving.harness import ROOT, Server

FINDINGS = ROOT / "build" / "fuzz"
CANARY_EVERY = 50
CANARY_SECONDS = 10.0
#: What the process may grow once it has settled: caches of the allocator, the log of errors.
GROWTH_BYTES = 32 * 1024 * 1024


@dataclass
class Report:
    """What a campaign did and found."""

    seed: int
    cases: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    settled_bytes: int = 0
    last_bytes: int = 0

    def text(self) -> str:
        total = sum(self.cases.values())
        rate = 60 * total / self.seconds if self.seconds else 0.0
        parts = ", ".join(f"{name} {count}" for name, count in sorted(self.cases.items()))
        memory = f"memory {self.settled_bytes / 2**20:.1f} MiB settled, {self.last_bytes / 2**20:.1f} MiB at the end"
        found = "nothing found" if not self.findings else "\n".join(self.findings)
        return (
            f"seed {self.seed}: {total} cases ({parts}) in {self.seconds:.0f} s, {rate:.0f} a minute; {memory}\n{found}"
        )


class Campaign:
    """Cases are numbered: the same seed and number are the same bytes, whatever ran before."""

    def __init__(self, servers: dict[str, Server], seed: int, folder: Path = FINDINGS) -> None:
        self._servers = servers
        self._classifier = servers["classifier"]
        self._folder = folder
        self._log_read = dict.fromkeys(servers, 0)
        self._expected = self._canary()
        self.report = Report(seed)

    def case(self, number: int) -> tuple[str, bytes]:
        """Target and bytes of a case."""
        chance = random.Random(f"{self.report.seed}/{number}")
        name = list(TARGETS)[number % len(TARGETS)]
        return name, TARGETS[name][0](chance)

    def run(self, seconds: float, settle_seconds: float, first: int = 0, most: int | None = None) -> Report:
        """Send cases for so long (at most ``most`` of them); memory is compared from ``settle_seconds`` on."""
        begin = time.monotonic()
        number = first
        report = self.report
        while (elapsed := time.monotonic() - begin) < seconds and (most is None or number < first + most):
            self._try(number)
            number += 1
            if elapsed >= settle_seconds and not report.settled_bytes:
                report.settled_bytes = self._resident_bytes()
            if not all(map(_alive, self._servers.values())):
                break
        report.seconds = time.monotonic() - begin
        self._check_memory()
        return report

    def _try(self, number: int) -> None:
        name, data = self.case(number)
        _, server, port, send = TARGETS[name]
        self.report.cases[name] += 1
        try:
            send(self._servers[server].ports[port], data)
            if number % CANARY_EVERY == 0:
                self._check_canary()
                for key in self._servers:
                    self._check_log(key)
        except (Finding, OSError) as error:
            self._found(name, number, data, error)

    def _found(self, name: str, number: int, data: bytes, error: Exception) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}-{self.report.seed}-{number}.bin"
        path.write_bytes(data)
        server = self._servers[TARGETS[name][1]]
        if server.process is not None and not _alive(server):
            error = Finding(f"the server ended with {server.process.returncode}")
        (self._folder / "server.log").write_bytes(server.log_path.read_bytes())
        self.report.findings.append(f"{path}: {error}")

    def _canary(self) -> list[Any]:
        """Answers to a sound request to the classifier and to a model of the pool."""
        asked = [(self._classifier.url(), corpus.document())]
        asked.append((self._servers["pool"].url(f"/v2/models/{pool.CANARY}/infer"), corpus_types.MAPPED[0]))
        answers = [httpx.post(url, json=body, timeout=CANARY_SECONDS) for url, body in asked]
        return [(answer.status_code, answer.json()) for answer in answers]

    def _check_canary(self) -> None:
        try:
            told = self._canary()
        except httpx.HTTPError as error:
            raise Finding(f"a sound request is not answered: {error!r}") from None
        status = sound_call(self._classifier.ports["grpc"]).get("grpc-status")
        if status != "0":
            raise Finding(f"a sound call over gRPC ends with {status}")
        if told != self._expected:
            raise Finding(f"a sound request is answered {told}, not {self._expected}")

    def _check_log(self, key: str) -> None:
        """No exception that nobody caught: such a line tells of a failure that the client may not have seen."""
        with self._servers[key].log_path.open() as log:
            log.seek(self._log_read[key])
            lines = log.readlines()
            self._log_read[key] = log.tell()
        for line in lines:
            if "Traceback" in line or json.loads(line).get("level") == "critical":
                raise Finding(f"the log has, within the last {CANARY_EVERY} cases: {line[:2000]}")

    def _check_memory(self) -> None:
        report = self.report
        if not all(map(_alive, self._servers.values())):
            return
        report.last_bytes = self._resident_bytes()
        if report.settled_bytes and report.last_bytes - report.settled_bytes > GROWTH_BYTES:
            report.findings.append(f"memory grew from {report.settled_bytes} to {report.last_bytes} bytes")

    def _resident_bytes(self) -> int:
        """Of all servers."""
        return sum(map(_resident_bytes, self._servers.values()))


def _alive(server: Server) -> bool:
    return server.process is not None and server.process.poll() is None


def _resident_bytes(server: Server) -> int:
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
