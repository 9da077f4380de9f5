"""The cluster, through kubectl: its kubeconfig, its logins, its proxies."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from plimsoll.cli.trouble import Conflict, NotFound, Trouble

Object = dict[str, Any]

#: In full, for KServe has a kind of the same name.
SERVICES = "inferenceservices.plimsoll.dev"
VERSIONS = "modelversions.plimsoll.dev"
_SERVER = re.compile(r"Error from server(?: \((\w+)\))?: (.*)", re.DOTALL)
_POLICY = re.compile(r".* denied request: ", re.DOTALL)
_KINDS: Mapping[str, type[Trouble]] = {"Conflict": Conflict, "NotFound": NotFound}


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A cluster, by kubectl's own flags; `program` is the path of kubectl."""

    program: str
    flags: tuple[str, ...] = ()

    @classmethod
    def found(cls, flags: Sequence[str]) -> Kubectl:
        """The kubectl on PATH. Raises Trouble when there is none."""
        program = shutil.which("kubectl")
        if program is None:
            raise Trouble("kubectl is not on PATH: install it, https://kubernetes.io/docs/tasks/tools")
        return cls(program, tuple(flags))

    def run(self, *arguments: str) -> str:
        """What kubectl printed. Raises Trouble with what the API server said."""
        done = subprocess.run(
            [self.program, *arguments, *self.flags],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise _trouble(done.stderr)
        return done.stdout

    def get(self, kind: str, name: str) -> Object:
        """One object. Raises NotFound."""
        found: Object = json.loads(self.run("get", kind, name, "-o", "json"))
        return found

    def find(self, kind: str, name: str) -> Object | None:
        """One object, or None."""
        text = self.run("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def every(self, kinds: str, *arguments: str) -> list[Object]:
        """Objects of some kinds; `arguments` select them."""
        found: list[Object] = json.loads(self.run("get", kinds, "-o", "json", *arguments))["items"]
        return found

    def names(self, kind: str) -> list[str]:
        """Names of all objects of a kind."""
        return [name.partition("/")[2] for name in self.run("get", kind, "-o", "name").split()]

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> None:
        """A merge patch; with a resourceVersion in it, only onto that state. Raises Conflict."""
        self.run("patch", kind, name, "--type=merge", "-p", json.dumps(change))

    def user(self) -> str:
        """Who the API server takes us for."""
        return str(json.loads(self.run("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"])

    def watch(self, *selections: Sequence[str], seconds: float | None = None) -> Iterator[tuple[str, Object] | None]:
        """Changes of everything selected, as kubectl's `get` takes selections: what happened, and the object.

        None comes once a second when nothing happens. Ends after so many seconds.
        """
        stream = _Stream(self, selections)
        end = None if seconds is None else time.monotonic() + seconds
        try:
            while end is None or time.monotonic() < end:
                yield stream.next(1.0 if end is None else min(1.0, max(0.0, end - time.monotonic())))
        finally:
            stream.close()


class _Stream:
    """Several `kubectl get --watch` at once; one that ends, as watches do, is begun again."""

    def __init__(self, kubectl: Kubectl, selections: Sequence[Sequence[str]]) -> None:
        self._kubectl, self._selections = kubectl, selections
        self._changes: queue.SimpleQueue[tuple[int, Object | str]] = queue.SimpleQueue()
        self._processes: dict[int, subprocess.Popen[str]] = {}
        for number in range(len(selections)):
            self._begin(number)

    def _begin(self, number: int) -> None:
        command = [self._kubectl.program, "get", *self._selections[number], "-o", "json", "--watch"]
        command += ["--output-watch-events", *self._kubectl.flags]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._processes[number] = process
        threading.Thread(target=self._read, args=(number, process), daemon=True).start()

    def _read(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None and process.stderr is not None
        for document in documents(process.stdout):
            self._changes.put((number, document))
        self._changes.put((number, process.stderr.read()))

    def next(self, seconds: float) -> tuple[str, Object] | None:
        """The next change, or None after so many seconds. Raises Trouble when a watch failed."""
        try:
            number, found = self._changes.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(found, str):
            if self._processes[number].wait():
                raise _trouble(found)
            self._begin(number)
            return None
        return found["type"], found["object"]

    def close(self) -> None:
        for process in self._processes.values():
            process.terminate()
            process.wait()


def documents(stream: IO[str]) -> Iterator[Object]:
    """The JSON documents of a stream, each as soon as it is whole: kubectl writes them one after the other, objects on
    many lines and events of a watch on one."""
    decoder, text = json.JSONDecoder(), ""
    for line in stream:
        text += line
        if not line.startswith(("{", "}")):
            continue
        try:
            found, end = decoder.raw_decode(text.lstrip())
        except ValueError:
            continue
        yield found
        text = text.lstrip()[end:]


def _trouble(said: str) -> Trouble:
    """What kubectl printed, as a sentence: without the names of policies, and with a remedy where we know one."""
    lines = [line for line in said.strip().splitlines() if not re.match(r"[EWI]\d{4} ", line)]
    text = "\n".join(lines) or "kubectl failed and did not say why"
    if "doesn't have a resource type" in text:
        return Trouble(f"{text}: install Plimsoll in this cluster, or choose another by --context")
    found = _SERVER.match(text)
    kind, message = (found[1] or "", found[2]) if found else ("", text)
    return _KINDS.get(kind, Trouble)(_POLICY.sub("", message))
