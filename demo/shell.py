"""Running kubectl and helm, and saying what is being done and how long it took."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Stop(Exception):
    """The demo cannot go on; the message names the remedy."""


def say(text: str) -> None:
    """One line to the person who watches."""
    print(text, flush=True)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    began = time.monotonic()
    say(f"── {title}")
    yield
    say(f"   {title}: {time.monotonic() - began:.1f} s")


@dataclass(frozen=True)
class Kubernetes:
    """A cluster, by kubeconfig and context, and the programs to speak to it."""

    kubeconfig: pathlib.Path
    context: str | None = None
    path: str = ""

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.path}:{os.environ['PATH']}" if self.path else os.environ["PATH"]
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def run(self, *command: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`kubectl …` or `helm …` with captured output. Raises Stop with what it printed."""
        flag = {"kubectl": "--context", "helm": "--kube-context"}[command[0]]
        program = shutil.which(command[0], path=self.environment["PATH"])
        if program is None:
            raise Stop(f"{command[0]} is missing: install it and put it on PATH")
        arguments = [program, *([flag, self.context] if self.context else []), *command[1:]]
        done = subprocess.run(arguments, input=stdin, env=self.environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise Stop(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """What kubectl printed."""
        return self.run("kubectl", *arguments, stdin=stdin, check=check).stdout

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """An object as JSON; empty when there is none."""
        done = self.kubectl("-n", namespace, "get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(done) if done.strip() else {}

    @contextlib.contextmanager
    def changes(self, kind: str, name: str, namespace: str) -> Iterator[queue.SimpleQueue[dict[str, Any] | None]]:
        """The object as it is and as it becomes while the block runs: empty once it is gone, None when no more comes.

        Raises Stop at the end of the block with what kubectl said if it could not go on.
        """
        chosen = f"--field-selector=metadata.name={name}"
        words = ["get", kind, chosen, "--watch", "--output-watch-events", "-o", "json"]
        process = self._start("-n", namespace, *words, stderr=subprocess.PIPE)
        found: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process, found), name=f"watch {kind}/{name}")
        reader.start()
        try:
            yield found
        finally:
            ended = process.poll()
            process.terminate()
            _, said = process.wait(), process.stderr.read() if process.stderr else ""
            reader.join()
        if ended:
            raise Stop(f"kubectl {' '.join(words)}: {said.strip()}")

    @contextlib.contextmanager
    def port_forward(self, namespace: str, target: str, port: int) -> Iterator[int]:
        """A loopback port that leads to `target`'s `port` while the block runs."""
        words = ["-n", namespace, "port-forward", "--address", "127.0.0.1", target, f":{port}"]
        process = self._start(*words, stderr=sys.stderr)
        try:
            line = process.stdout.readline() if process.stdout else ""
            if "->" not in line:
                raise Stop(f"port-forward to {target}: {line.strip() or 'no answer'}")
            yield int(line.split(" -> ")[0].rsplit(":", 1)[1])
        finally:
            process.terminate()
            process.wait()

    def _start(self, *arguments: str, stderr: Any) -> subprocess.Popen[str]:
        """A kubectl that goes on beside us."""
        program = shutil.which("kubectl", path=self.environment["PATH"]) or "kubectl"
        command = [program, *(["--context", self.context] if self.context else []), *arguments]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=stderr, text=True)


def _read(process: subprocess.Popen[str], found: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    """The events that kubectl prints, one a line; what is not of the object is left out."""
    for line in process.stdout or ():
        event = json.loads(line)
        if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
            found.put({} if event["type"] == "DELETED" else event["object"])
    process.wait()
    found.put(None)
