"""V2 requests and answers as bytes, written here once more: not by the server's own code, which they are to judge.

Source: Open Inference Protocol V2, REST, with the binary tensor data extension.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from tests.integration.serving.harness import HOST, INFER, PATIENCE, Server, post

Arrays = dict[str, NDArray[Any]]
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class Ask:
    """One request: arrays by input name, who asks, and in which form each tensor goes and comes.

    Attributes:
        binary_inputs: names of inputs that go as binary tensors.
        outputs: names asked for, each with whether it comes as a binary tensor; None asks for all, in JSON.
    """

    arrays: Arrays
    id: str = ""
    binary_inputs: frozenset[str] = frozenset()
    outputs: dict[str, bool] | None = None

    def bytes(self) -> bytes:
        """The whole HTTP request."""
        tails: list[bytes] = []
        document: dict[str, Any] = {"id": self.id, "inputs": []}
        for name, array in self.arrays.items():
            tensor: dict[str, Any] = {"name": name, "datatype": datatype_of(array), "shape": list(array.shape)}
            if name in self.binary_inputs:
                tails.append(pack(array))
                tensor["parameters"] = {"binary_data_size": len(tails[-1])}
            else:
                tensor["data"] = [_json_value(value) for value in array.reshape(-1).tolist()]
            document["inputs"].append(tensor)
        if self.outputs is not None:
            document["outputs"] = [
                {"name": name, "parameters": {"binary_data": binary}} for name, binary in self.outputs.items()
            ]
        head = json.dumps(document).encode()
        headers = [b"inference-header-content-length: %d" % len(head)] if tails else []
        return post(head + b"".join(tails), *headers, path=INFER)


@dataclass(frozen=True)
class Told:
    """One answer. ``document`` is its JSON part; ``binary`` the names of outputs that came as binary tensors."""

    status: int
    document: dict[str, Any]
    arrays: Arrays = field(default_factory=dict)
    binary: frozenset[str] = frozenset()


def datatype_of(array: NDArray[Any]) -> str:
    """The protocol's name of a numpy type."""
    if array.dtype.kind == "O":
        return "BYTES"
    if array.dtype == BFLOAT16:
        return "BF16"
    name = array.dtype.name.upper()
    return f"FP{name[5:]}" if name.startswith("FLOAT") else name


def pack(array: NDArray[Any]) -> bytes:
    """A binary tensor."""
    if array.dtype.kind != "O":
        return array.tobytes()
    texts = [value.encode() for value in array.reshape(-1).tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def unpack(data: bytes, datatype: str) -> NDArray[Any]:
    """The flat elements of a binary tensor."""
    if datatype != "BYTES":
        return np.frombuffer(data, numpy_type(datatype))
    texts, position = [], 0
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position)
        texts.append(data[position + 4 : position + 4 + length].decode())
        position += 4 + length
    return np.array(texts, dtype=object)


def numpy_type(datatype: str) -> np.dtype[Any]:
    if datatype == "BYTES":
        return np.dtype(object)
    if datatype == "BF16":
        return BFLOAT16
    return np.dtype(f"float{datatype[2:]}" if datatype.startswith("FP") else datatype.lower())


def _json_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return next(word for word, number in _WORDS.items() if number == value or (value != value and word == "NaN"))
    return value


def read(head: bytes, body: bytes) -> Told:
    """An answer from its head and body."""
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split(" ")[1])
    size = int(headers.get("inference-header-content-length", len(body)))
    document = json.loads(body[:size]) if size else {}
    if status != 200:
        return Told(status, document)
    arrays, position, binary = dict[str, NDArray[Any]](), size, set()
    for tensor in document["outputs"]:
        length = tensor.get("parameters", {}).get("binary_data_size")
        if length is None:
            values = [_WORDS.get(value, value) if tensor["datatype"][:2] == "FP" else value for value in tensor["data"]]
            flat = np.array(values, dtype=numpy_type(tensor["datatype"]))
        else:
            binary.add(tensor["name"])
            flat = unpack(body[position : position + length], tensor["datatype"])
            position += length
        arrays[tensor["name"]] = flat.reshape(tensor["shape"])
    assert position == len(body), "the answer has bytes that belong to no output"
    return Told(status, document, arrays, frozenset(binary))


class Line:
    """One kept-alive connection."""

    def __init__(self, server: Server, port: str = "public") -> None:
        self._socket = socket.create_connection((HOST, server.ports[port]), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> Told:
        """The next answer."""
        head = self._take_until(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        while len(self._received) < length:
            self._more()
        body, self._received = self._received[:length], self._received[length:]
        return read(head, body)

    def _take_until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._more()
        head, _, self._received = self._received.partition(mark)
        return head

    def _more(self) -> None:
        chunk = self._socket.recv(1 << 20)
        if not chunk:
            raise EOFError(f"the server closed after {self._received!r}")
        self._received += chunk

    def close(self) -> None:
        self._socket.close()


def ask_together(server: Server, asks: Sequence[Ask]) -> list[Told]:
    """Send every request over a connection of its own, all before the first answer is read."""
    lines = [Line(server) for _ in asks]
    try:
        for line, data in zip(lines, [ask.bytes() for ask in asks], strict=True):
            line.send(data)
        return [line.answer() for line in lines]
    finally:
        for line in lines:
            line.close()
