"""Following an object through every change of it, across outages of the API server."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

from demo.shell import Kubernetes

Value = dict[str, Any]


class Follower:
    """Every value of one part of an object, in the order in which it was seen."""

    def __init__(self, kubernetes: Kubernetes, namespace: str, what: str, part: str) -> None:
        program = shutil.which("kubectl", path=kubernetes.environment["PATH"]) or "kubectl"
        context = ["--context", kubernetes.context] if kubernetes.context else []
        kind, name = what.split("/")
        where = ["-n", namespace, "get", kind, f"--field-selector=metadata.name={name}", "--watch"]
        self._command = [program, *context, *where, "-o", f'jsonpath={{{part}}}{{"\\n"}}']
        self._environment = kubernetes.environment
        self._process: subprocess.Popen[str] | None = None
        self._over = threading.Event()
        self.begun = threading.Event()
        self.seen: list[Value] = []

    def run(self, changed: Callable[[Value], None]) -> None:
        """Until `end`. A watch that breaks is begun again."""
        while not self._over.is_set():
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            if self._over.is_set():
                self._process.terminate()  # `end` knew only the one before
            assert self._process.stdout is not None
            for line in self._process.stdout:
                if not self._over.is_set():
                    self.seen.append(_parsed(line))
                    changed(self.seen[-1])
                    self.begun.set()
            self._process.wait()
            self._over.wait(0.5)

    def end(self) -> None:
        """Stop following."""
        self._over.set()
        if self._process is not None:
            self._process.terminate()


def _parsed(line: str) -> Value:
    """Empty when there is nothing yet. What is not JSON is told as such: somebody may have written nonsense."""
    if not line.strip():
        return {}
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"text": line}


@contextlib.contextmanager
def following(
    kubernetes: Kubernetes,
    namespace: str,
    what: str,
    part: str,
    changed: Callable[[Value], None] | None = None,
) -> Iterator[list[Value]]:
    """What is seen of `part` of `what` (KIND/NAME) while the block runs.

    `changed` is called with each value; with it, the object must be there, and the block begins once it was seen.
    """
    follower = Follower(kubernetes, namespace, what, part)
    thread = threading.Thread(target=follower.run, args=(changed or (lambda value: None),), name=f"follow {what}")
    thread.start()
    try:
        if changed is not None:
            assert follower.begun.wait(60), f"{what} is not there"
        yield follower.seen
    finally:
        follower.end()
        thread.join()
