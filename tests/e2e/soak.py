"""Releases of every outcome and lost pods, over and over under load, while everything is counted and memory is read."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from demo import install
from demo.shell import Kubernetes
from tests.e2e.releases import SERVICE, Service

METRICS_PORT, OPERATOR_PORT = 8082, 8085
MEMORY = "process_resident_memory_bytes"
#: What a pod may take beyond what it took when it was new and under the same load.
GROWTH_BYTES = 24 * 1024 * 1024
#: A pod is read from its second minute on: until then caches fill.
SETTLE_SECONDS = 60.0


@dataclass
class Memory:
    """Resident memory of each pod, in bytes: when it had settled, and the most since."""

    born: dict[str, float] = field(default_factory=dict)
    settled: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)

    def note(self, pod: str, now: float, size: float) -> None:
        if now - self.born.setdefault(pod, now) < SETTLE_SECONDS:
            return
        self.settled.setdefault(pod, size)
        self.most[pod] = max(size, self.most.get(pod, 0.0))

    @property
    def growth(self) -> dict[str, float]:
        return {pod: self.most[pod] - self.settled[pod] for pod in self.most}


@dataclass
class Soak:
    """The service under way; `happened` counts what was done to it."""

    service: Service
    memory: Memory = field(default_factory=Memory)
    happened: dict[str, int] = field(default_factory=dict)

    def run(self, seconds: float) -> None:
        """Whole rounds of everything until so much time has passed; at least one."""
        deadline = time.monotonic() + seconds
        steps: list[Callable[[], None]] = [self.promotion, self.rollback, self.swap, self.lost_pod]
        for step in itertools.cycle(steps):
            self._do(step)
            if time.monotonic() >= deadline and len(self.happened) == len(steps):
                return

    def _do(self, step: Callable[[], None]) -> None:
        step()
        self.happened[step.__name__] = self.happened.get(step.__name__, 0) + 1
        read_memory(self.service.kubernetes, self.service.namespace, self.memory)
        print(f"{time.strftime('%H:%M:%S')} {step.__name__}: {self.happened}", flush=True)

    def promotion(self) -> None:
        """The other sound version takes over."""
        other = "2" if self._stable == "1" else "1"
        self._release(other, "Idle")

    def rollback(self) -> None:
        """A version that fails is taken back."""
        before = self._stable
        self._release("3", "RolledBack")
        assert self._stable == before

    def swap(self) -> None:
        """The same version in a new revision: every pod is another afterwards."""
        before = set(self.service.names("pods", _LABEL))
        self._release(self._stable, "Idle")
        assert not before & set(self._pods_at_rest())

    def lost_pod(self) -> None:
        """A pod is deleted; another takes its place."""
        pod = self._pods_at_rest()[0]
        self.service.kubectl("delete", "pod", pod, "--wait=true")
        self.service.until(lambda status: status["replicas"] == "2/2")

    @property
    def _stable(self) -> str:
        return str(self.service.status["stable"]["version"])

    def _release(self, version: str, phase: str) -> None:
        ended = self.service.ended(self.service.release(version))
        assert ended["phase"] == phase, ended.get("conditions")

    def _pods_at_rest(self) -> list[str]:
        revision = self.service.status["stable"]["revision"]
        return self.service.names("pods", f"{_LABEL},plimsoll.dev/revision={revision}")


_LABEL = f"plimsoll.dev/inferenceservice={SERVICE}"


def read_memory(kubernetes: Kubernetes, namespace: str, memory: Memory) -> None:
    """Note the resident memory that the operator and each serving pod report. A pod that is going is left out."""
    servers = (namespace, "plimsoll.dev/inferenceservice", METRICS_PORT)
    operators = (install.SYSTEM, "app.kubernetes.io/component=operator", OPERATOR_PORT)
    for where, selector, port in (servers, operators):
        found = kubernetes.kubectl("-n", where, "get", "pods", "-l", selector, "-o", "name", check=False)
        for name in found.split():
            pod = name.partition("/")[2]
            path = f"/api/v1/namespaces/{where}/pods/{pod}:{port}/proxy/metrics?name[]={MEMORY}"
            text = kubernetes.kubectl("get", "--raw", path, check=False)
            sizes = [float(line.split()[-1]) for line in text.splitlines() if line.startswith(MEMORY)]
            for size in sizes:
                memory.note(pod, time.monotonic(), size)
