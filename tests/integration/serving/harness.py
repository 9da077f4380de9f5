"""Real server processes on loopback and small clients for them."""

import itertools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import onnxruntime
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import onnx_models
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
# The server that the processes run: the compiled one, for example.
SOURCES = ROOT / os.environ.get("PLIMSOLL_SERVING", "serving")
HOST = "127.0.0.1"
MODEL = "digits"
INFER = f"/v2/models/{MODEL}/infer"
COEFFICIENTS, INTERCEPTS = onnx_models.weights(features=4, classes=3)
RIGHT = onnx_models.linear_classifier(COEFFICIENTS, INTERCEPTS)
PORTS = ("public", "direct", "metrics", "grpc", "grpc_direct")
#: For what surely comes, in seconds. It costs nothing where it does, and a busy machine is slow.
PATIENCE = 60.0


def eventually(fact: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until ``fact`` is true, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = fact()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} seconds")


def v2(*rows: list[float], **extra: Any) -> dict[str, Any]:
    """An inference request of rows of four features."""
    data = [value for row in rows for value in row]
    return {"inputs": [{"name": "input", "datatype": "FP32", "shape": [len(rows), 4], "data": data}], **extra}


def session(model: bytes) -> onnxruntime.InferenceSession:
    """The model in ONNX Runtime here, with one thread as the servers have: sums depend on how work is cut up."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options)


class Server:
    """One process of the server; its log is kept in a file."""

    def __init__(self, folder: Path, model: bytes, revision: str, version: str = "1", **env: str) -> None:
        self.revision, self.version = revision, version
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(model)
        self.route_path = folder / "route.json"
        self.log_path = folder / "log"
        self.ports = {name: free_port() for name in PORTS}
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCES),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PLIMSOLL_HOST": HOST,
            "PLIMSOLL_MODEL_NAME": MODEL,
            "PLIMSOLL_MODEL_VERSION": version,
            "PLIMSOLL_REVISION": revision,
            "PLIMSOLL_MODEL_DIR": str(folder),
            "PLIMSOLL_ROUTE_PATH": str(self.route_path),
            "PLIMSOLL_ARTIFACT_SHA256": onnx_models.digest(model),
            "PLIMSOLL_INTRA_OP_THREADS": "1",
            # A request that waits for the processor is refused as one that waits for the model is.
            "PLIMSOLL_MAX_QUEUE_SECONDS": str(PATIENCE),
            "PLIMSOLL_DRAIN_SECONDS": "0",
            **{f"PLIMSOLL_{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            **env,
        }
        self.python = sys.executable
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        with self.log_path.open("ab") as log:
            command = [self.python, "-m", "plimsoll_serving"]
            self.process = subprocess.Popen(command, env=self.env, cwd=self.folder, stderr=log)
        return self

    def wait_ready(self) -> "Server":
        eventually(lambda: self._alive() and self._ready(), f"{self.revision} ready")
        return self

    def _alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (
            f"the server ended with {self.process.returncode}: {self.log_path.read_text()}"
        )
        return True

    def _ready(self) -> bool:
        try:
            return self.get("/readyz", "metrics").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self) -> None:
        """Kill what still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def url(self, path: str = INFER, port: str = "public") -> str:
        return f"http://{HOST}:{self.ports[port]}{path}"

    def get(self, path: str, port: str = "public") -> httpx.Response:
        return httpx.get(self.url(path, port), timeout=PATIENCE)

    def infer(self, body: Any, port: str = "public", **headers: str) -> httpx.Response:
        return httpx.post(self.url(port=port), json=body, headers=headers, timeout=PATIENCE)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def role(self) -> str:
        return str(self.get("/route", "metrics").json()["role"])

    def counts(self, name: str, *labels: str) -> dict[str, float]:
        """Samples of a metric, by the values of the labels joined with a blank."""
        text = self.get(f"/metrics?name[]={name}", "metrics").text
        return {
            " ".join(sample.labels[label] for label in labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def arm(self, server: "Server", outcome: str) -> float:
        """Requests for which this server chose the arm of another one, by outcome."""
        return self.counts("plimsoll_arm_requests_total", "revision", "outcome")[f"{server.revision} {outcome}"]

    def fallbacks(self, server: "Server") -> float:
        return self.counts("plimsoll_fallback_requests_total", "revision")[server.revision]

    def answered(self) -> float:
        """Inferences answered by this server's own model."""
        return sum(self.counts("plimsoll_requests_total", "code").values())


def route_document(servers: list[Server], primary: Server, epoch: int, weights: list[int], **changes: Any) -> str:
    """A route document of these servers."""
    arms = [
        {
            "revision": server.revision,
            "version": server.version,
            "weight": weight,
            "mode": "Serve",
            "address": f"{HOST}:{server.ports['direct']}",
        }
        for server, weight in zip(servers, weights, strict=True)
    ]
    document = {
        "formatVersion": 1,
        "epoch": epoch,
        "primary": primary.revision,
        "arms": arms,
        "sticky": None,
        "delegateTimeoutSeconds": PATIENCE,
        "validUntil": None,
        "maxBlindSeconds": 900,
        **changes,
    }
    return json.dumps(document)


#: Servers that several modules share follow no epoch below one that they have seen.
epochs = itertools.count(1)


def write_route(servers: list[Server], primary: Server, epoch: int, weights: list[int], **changes: Any) -> None:
    """Give every server the same route document and wait until each follows it."""
    text = route_document(servers, primary, epoch, weights, **changes)
    for server in servers:
        put_route(server, text)
        eventually(partial(_follows, server, epoch), f"epoch {epoch}")


def _follows(server: Server, epoch: int) -> bool:
    return bool(server.get("/route", "metrics").json()["epoch"] == epoch)


def edit_route(server: Server, **changes: Any) -> None:
    """Change fields of one server's document."""
    put_route(server, json.dumps({**json.loads(server.route_path.read_text()), **changes}))


def put_route(server: Server, text: str) -> None:
    fresh = server.route_path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(server.route_path)


class Load:
    """Clients that send the same request over kept-alive connections until told to stop.

    Args:
        think: seconds between two requests of one client.
    """

    def __init__(self, server: Server, clients: int = 4, think: float = 0.002) -> None:
        self._server = server
        self._think = think
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.versions: list[str] = []
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def _run(self) -> None:
        with httpx.Client(timeout=PATIENCE) as client:
            while not self._stop.is_set():
                try:
                    response = client.post(self._server.url(), json=v2([1, 2, 3, 4]))
                except httpx.TransportError as error:
                    self._note(failure=repr(error))
                else:
                    failed = f"{response.status_code} {response.text}" if response.status_code != 200 else None
                    self._note(response.headers.get("plimsoll-model-version", "?"), failed)
                time.sleep(self._think)

    def _note(self, version: str = "", failure: str | None = None) -> None:
        with self._lock:
            if failure is None:
                self.versions.append(version)
            else:
                self.failures.append(failure)

    @property
    def answers(self) -> int:
        return len(self.versions)

    def wait_for(self, more: int) -> None:
        """Until so many more answers have come."""
        wanted = self.answers + more
        eventually(lambda: self.answers >= wanted or self.failures, f"{more} more answers")

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def running(*servers: Server) -> Iterator[tuple[Server, ...]]:
    """Servers that are ready, and stopped at the end."""
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        yield servers
    finally:
        for server in servers:
            server.end()


class Raw:
    """A socket for what no proper client would send."""

    def __init__(self, server: Server, port: str = "public") -> None:
        self._socket = socket.create_connection((HOST, server.ports[port]), timeout=PATIENCE)

    def send(self, data: bytes) -> "Raw":
        self._socket.sendall(data)
        return self

    def until_read(self) -> "Raw":
        """Until the server has read what was sent, as the kernel tells."""
        ends = {f"{socket_[1]:04X}" for socket_ in (self._socket.getsockname(), self._socket.getpeername())}

        def waiting() -> int:
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            mine = [row for row in rows if {row[1].partition(":")[2], row[2].partition(":")[2]} == ends]
            return sum(int(size, 16) for row in mine for size in row[4].split(":"))

        eventually(lambda: not waiting(), "what was sent is read")
        return self

    def finish(self) -> "Raw":
        """Half-close: nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)
        return self

    def read_until(self, mark: bytes) -> bytes:
        received = b""
        while mark not in received:
            chunk = self._socket.recv(65536)
            if not chunk:
                break
            received += chunk
        return received

    def read_all(self) -> bytes:
        """Everything until the server closes."""
        received = b""
        while chunk := self._socket.recv(65536):
            received += chunk
        return received

    def readable(self) -> bool:
        """Whether something has come that was not read."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def reset(self) -> None:
        """Go without a word."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def post(body: bytes, *headers: bytes, path: str = INFER, length: int | None = None) -> bytes:
    """The bytes of a POST."""
    size = len(body) if length is None else length
    head = [b"POST %s HTTP/1.1" % path.encode(), b"host: test", b"content-length: %d" % size, *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body
