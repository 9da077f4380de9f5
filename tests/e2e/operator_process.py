"""The operator as a process of this machine, so that it can be killed at will: the chart's settings and its rights.

It is started again whenever it ends, as kubelet does with a container, and keeps its name, as a container does.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo import install
from demo.shell import ROOT, Kubernetes
from tests.ports import free_port

NAME = "plimsoll-operator"
STORE = "plimsoll-store"
#: The group that the process runs in as root, by which a packet filter knows its packets.
GROUP = 54321
_RESTART_SECONDS = 1.0


class OperatorProcess:
    """`python -m plimsoll` under a supervisor. `ended` are the exit codes of the ones that nobody killed."""

    def __init__(self, environment: dict[str, str], log: Path, program: tuple[str, ...]) -> None:
        self._environment = environment
        self._program = program
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor")
        self.started = 0
        self.ended: list[int] = []

    def start(self) -> None:
        """Run from now on."""
        self._supervisor.start()

    def kill(self) -> bool:
        """SIGKILL; a new one is started at once. Whether there was one to kill."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.kill()
        return True

    def stop(self) -> None:
        """End it for good, in order."""
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()
        if self._supervisor.ident is not None:
            self._supervisor.join()

    def said_of(self, what: str) -> str:
        """The last lines of its log that name `what`."""
        if not self._log.exists():
            return ""
        return "\n".join([line for line in self._log.read_text().splitlines() if what in line][-40:])

    def _supervise(self) -> None:
        group: dict[str, Any] = {"group": GROUP} if os.geteuid() == 0 else {}
        with self._log.open("ab") as log:
            while not self._stopping.is_set():
                self._process = subprocess.Popen(
                    [sys.executable, *self._program], env=self._environment, stdout=log, stderr=log, **group
                )
                if self._stopping.is_set():
                    self._process.terminate()  # `stop` knew only the one before
                self.started += 1
                code = self._process.wait()
                if code >= 0 and not self._stopping.is_set():
                    self.ended.append(code)
                    self._stopping.wait(_RESTART_SECONDS)


@contextlib.contextmanager
def instead_of_the_pod(
    kubernetes: Kubernetes, folder: Path, program: tuple[str, ...] = ("-m", "plimsoll")
) -> Iterator[OperatorProcess]:
    """The process, to be started, in place of the chart's pods, which are back afterwards.

    `program` are Python's arguments.
    """
    environment = _environment(kubernetes, folder)
    install.install(kubernetes, values=("replicas=0",))
    operator = OperatorProcess(environment, folder / "operator.log", program)
    try:
        yield operator
    finally:
        operator.stop()
        install.install(kubernetes)


def unreachable(kubernetes: Kubernetes) -> str:
    """Why this machine cannot stand in for the operator's pod; empty when it can."""
    pods = json.loads(kubernetes.kubectl("-n", install.SYSTEM, "get", "pods", "-o", "json"))["items"]
    store = next(pod for pod in pods if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "store")
    for address in (store["status"]["podIP"], _store_address(kubernetes)):
        try:
            socket.create_connection((address, 7070), timeout=30).close()
        except OSError as error:
            return f"pods and services cannot be reached from this machine ({address}: {error})"
    return ""


def _store_address(kubernetes: Kubernetes) -> str:
    return str(kubernetes.get("service", STORE, install.SYSTEM)["spec"]["clusterIP"])


def _environment(kubernetes: Kubernetes, folder: Path) -> dict[str, str]:
    deployment = kubernetes.get("deployment", NAME, install.SYSTEM)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    settings = {one["name"]: _value(kubernetes, one) for one in container["env"]}
    public = settings["PLIMSOLL_STORE_ENDPOINT"]
    return settings | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(_kubeconfig(kubernetes, folder)),
        "PLIMSOLL_HTTP_PORT": str(free_port()),
        # The names of Services mean nothing outside the cluster; pods are given the name all the same.
        "PLIMSOLL_STORE_ENDPOINT": f"http://{_store_address(kubernetes)}:7070",
        "PLIMSOLL_STORE_PUBLIC_ENDPOINT": public,
    }


def _value(kubernetes: Kubernetes, variable: dict[str, Any]) -> str:
    """What kubelet would put into the variable."""
    if "valueFrom" not in variable:
        return str(variable.get("value", ""))
    source = variable["valueFrom"]
    if reference := source.get("secretKeyRef"):
        secret = kubernetes.get("secret", reference["name"], install.SYSTEM)
        return base64.b64decode(secret["data"][reference["key"]]).decode()
    fields = {"metadata.namespace": install.SYSTEM, "metadata.name": "operator-process"}
    return fields[source["fieldRef"]["fieldPath"]]


def _kubeconfig(kubernetes: Kubernetes, folder: Path) -> Path:
    """Access with the rights that the chart gives the operator, and no others."""
    command = ("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
    cluster = json.loads(kubernetes.kubectl(*command))["clusters"][0]
    token = kubernetes.kubectl("-n", install.SYSTEM, "create", "token", NAME, "--duration=1h").strip()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": NAME, "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": cluster["name"], "user": NAME}}],
        "current-context": NAME,
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path
