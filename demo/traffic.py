"""Steady traffic of real rows that counts every answer. Runs in a pod of its own, on the standard library alone.

    python traffic.py --url http://digits.quickstart.svc/v2/models/digits/infer --rows rows.json --rate 80

Connections are kept alive; one is opened anew only when the server said `Connection: close`, so that a connection that
breaks off counts as a failed request. `GET :9000/report` tells what was counted so far.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import itertools
import json
import pathlib
import struct
import time
import urllib.parse

TIMEOUT_SECONDS = 10.0
HEADER_LENGTH = "inference-header-content-length"


class Tally:
    """Counts of answers: by version, row and label; failures with their reasons; latencies by version."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[int, collections.Counter[str]]] = {}
        self.failures: collections.Counter[str] = collections.Counter()
        self.seconds: dict[str, list[float]] = {}
        self.connections = 0

    def answered(self, version: str, row: int, label: str, seconds: float) -> None:
        self.answers.setdefault(version, {}).setdefault(row, collections.Counter())[label] += 1
        self.seconds.setdefault(version, []).append(seconds)

    def report(self) -> dict[str, object]:
        return {
            "requests": {
                version: sum(sum(labels.values()) for labels in rows.values()) for version, rows in self.answers.items()
            },
            "failures": dict(self.failures),
            "connections": self.connections,
            "p99_ms": {version: round(_p99(seconds) * 1000, 2) for version, seconds in self.seconds.items()},
            "answers": {
                version: {str(row): dict(labels) for row, labels in rows.items()}
                for version, rows in self.answers.items()
            },
        }


def _p99(seconds: list[float]) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


@dataclasses.dataclass(frozen=True)
class Body:
    """A request. ``json_size`` is how much of it is JSON before binary tensors; None when all of it is."""

    content: bytes
    json_size: int | None = None


def body_of(row: list[float], binary: bool, times: int = 1) -> Body:
    """A request for one row, so many times."""
    tensor: dict[str, object] = {"name": "input", "shape": [times, len(row)], "datatype": "FP32"}
    if not binary:
        return Body(json.dumps({"inputs": [tensor | {"data": row * times}]}).encode())
    packed = struct.pack(f"<{len(row)}f", *row) * times
    outputs = [{"name": "label", "parameters": {"binary_data": True}}]
    inputs = [tensor | {"parameters": {"binary_data_size": len(packed)}}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    return Body(head + packed, len(head))


def _label(content: bytes, json_size: str | None) -> int:
    """The one label of all rows. Raises ValueError where they differ."""
    if json_size is not None:
        found = {label for (label,) in struct.iter_unpack("<q", content[int(json_size) :])}
    else:
        (found,) = [set(output["data"]) for output in json.loads(content)["outputs"] if output["name"] == "label"]
    (label,) = found
    return int(label)


class Client:
    """One kept-alive connection to the service."""

    def __init__(self, url: str, tally: Tally) -> None:
        parts = urllib.parse.urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path
        self._tally = tally
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, row: int, body: Body) -> None:
        """Send one request and count what comes of it."""
        began = time.perf_counter()
        try:
            status, headers, content = await asyncio.wait_for(self._exchange(body), TIMEOUT_SECONDS)
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            self._tally.failures[f"{type(error).__name__}: {error}"] += 1
            self._streams = None
            return
        if headers.get("connection", "").lower() == "close":
            await self._close()
        if status != 200:
            self._tally.failures[f"status {status}: {content[:200].decode(errors='replace')}"] += 1
            return
        try:
            label = _label(content, headers.get(HEADER_LENGTH))
        except ValueError as error:
            self._tally.failures[f"equal rows have other labels: {error}"] += 1
            return
        version = headers.get("plimsoll-model-version", "unknown")
        self._tally.answered(version, row, str(label), time.perf_counter() - began)

    async def _exchange(self, body: Body) -> tuple[int, dict[str, str], bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
            self._tally.connections += 1
        reader, writer = self._streams
        head = f"POST {self._path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        if body.json_size is not None:
            head += f"{HEADER_LENGTH}: {body.json_size}\r\n"
        writer.write(f"{head}Content-Length: {len(body.content)}\r\n\r\n".encode() + body.content)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(
            (part.strip().lower() if i == 0 else part.strip() for i, part in enumerate(line.split(":", 1)))
            for line in lines[1:]
            if line
        )
        return int(lines[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))

    async def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def drive(url: str, bodies: list[Body], rate: float, connections: int, tally: Tally, forms: int = 1) -> None:
    """Open-loop load: requests are due every 1/rate seconds, taken by whichever connection is free.

    Args:
        bodies: those of the first row in each of so many ``forms``, then those of the second row, and so on.
    """
    due: asyncio.Queue[int] = asyncio.Queue(maxsize=connections * 100)

    async def work() -> None:
        client = Client(url, tally)
        while True:
            row = await due.get()
            await client.ask(row // forms, bodies[row])

    workers = [asyncio.create_task(work()) for _ in range(connections)]
    began = time.monotonic()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        await due.put(number * 7919 % len(bodies))
        for worker in workers:
            if worker.done():
                worker.result()


async def serve_report(tally: Tally, port: int) -> None:
    """Answer every request with the report as JSON."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):  # kubelet's probe connects and says nothing
            await reader.readuntil(b"\r\n\r\n")
            body = json.dumps(tally.report()).encode()
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            )
            writer.write(head % len(body) + body)
            await writer.drain()
        writer.close()

    await asyncio.start_server(answer, port=port)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="infer URL of the service")
    parser.add_argument(
        "--rows", type=pathlib.Path, required=True, help="JSON file: a list of rows, each a list of numbers"
    )
    parser.add_argument("--rate", type=float, default=80, help="requests per second")
    parser.add_argument("--connections", type=int, default=8, help="kept-alive connections")
    parser.add_argument("--port", type=int, default=9000, help="port of the report")
    parser.add_argument("--mixed", action="store_true", help="every row by itself and eight times, as JSON and binary")
    options = parser.parse_args()
    rows = json.loads(options.rows.read_text())
    forms = [(binary, times) for times in (1, 8) for binary in (False, True)] if options.mixed else [(False, 1)]
    bodies = [body_of(row, *form) for row in rows for form in forms]
    tally = Tally()
    await serve_report(tally, options.port)
    await drive(options.url, bodies, options.rate, options.connections, tally, len(forms))


if __name__ == "__main__":
    asyncio.run(main())
