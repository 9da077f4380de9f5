"""gRPC under attack: HTTP/2 frames made here by hand, so that any of them can be wrong.

Source: RFC 9113 (frames), RFC 7541 (header blocks, by `hpack`), gRPC over HTTP/2.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence

import numpy as np
from hpack import Decoder, Encoder, HPACKError
from plimsoll_serving.grpc.proto.messages import message

from tests.fuzz.corpus import ROW
from tests.fuzz.exchange import ANSWER_SECONDS, Finding, exchange
from tests.fuzz.mutate import damaged
from tests.integration.serving.harness import MODEL

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, PRIORITISED = 1, 4, 8, 32
INTERNAL_ERROR = 2
UNKNOWN, INTERNAL = "2", "13"
QUIET_SECONDS = 0.2
SERVICE = "/inference.GRPCInferenceService/"

Frame = tuple[int, int, int, bytes]
Calls = Sequence[tuple[str, bytes]]


def infer_message(typed: bool, rows: int, model: str = MODEL, version: str = "") -> bytes:
    """The message of an inference."""
    values = np.array(ROW * rows, np.float32)
    request = message("inference.ModelInferRequest")(model_name=model, model_version=version, id="canary")
    tensor = request.inputs.add(name="input", datatype="FP32", shape=[rows, 4])
    if typed:
        tensor.contents.fp32_contents.extend(values.tolist())
    else:
        request.raw_input_contents.append(values.tobytes())
    return bytes(request.SerializeToString())


def _named(kind: str) -> bytes:
    return bytes(message(kind)(name=MODEL).SerializeToString())


#: Path and message of sound calls.
CALLS: Calls = [
    (f"{SERVICE}ModelInfer", infer_message(typed=False, rows=1)),
    (f"{SERVICE}ModelInfer", infer_message(typed=True, rows=3)),
    (f"{SERVICE}ModelStreamInfer", infer_message(typed=False, rows=2)),
    (f"{SERVICE}ModelMetadata", _named("inference.ModelMetadataRequest")),
    (f"{SERVICE}ModelReady", _named("inference.ModelReadyRequest")),
    (f"{SERVICE}ServerLive", b""),
    ("/grpc.health.v1.Health/Check", b""),
    ("/grpc.health.v1.Health/Watch", b""),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"\x3a\x00"),
]


def _prefixed(body: bytes) -> bytes:
    return struct.pack(">BI", 0, len(body)) + body


def _head(path: str, chance: random.Random) -> list[tuple[str, str]]:
    head = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "fuzz"), ("te", "trailers")]
    head.append(("content-type", chance.choice(["application/grpc", "application/grpc+proto"])))
    if chance.random() < 0.3:
        head.append(("grpc-timeout", chance.choice(["1S", "5000m", "0n", "99999999H", "x", "-1S", "1"])))
    if chance.random() < 0.1:
        head.append(("grpc-encoding", chance.choice(["gzip", "identity", "deflate", ""])))
    return head


def _call(stream: int, encoder: Encoder, chance: random.Random, break_message: bool, calls: Calls) -> list[Frame]:
    """The frames of one call."""
    path, body = chance.choice(calls)
    messages = _prefixed(body) * (chance.randint(1, 3) if "Stream" in path else 1)
    if break_message:
        whole = chance.random() < 0.7
        messages = _prefixed(damaged(body, chance)) if whole else damaged(messages, chance)
    block = encoder.encode(_head(path, chance))
    cut = chance.randrange(len(block)) if chance.random() < 0.2 else len(block)
    frames = [(HEADERS, END_HEADERS if cut == len(block) else 0, stream, block[:cut])]
    if cut < len(block):
        frames.append((CONTINUATION, END_HEADERS, stream, block[cut:]))
    middle = chance.randrange(len(messages) + 1)
    return [*frames, (DATA, 0, stream, messages[:middle]), (DATA, END_STREAM, stream, messages[middle:])]


def grpc_message(chance: random.Random, calls: Calls = CALLS, harm: bool = True) -> bytes:
    """Sound HTTP/2; messages whose bytes, lengths or compression are damaged, if they are to be."""
    encoder = Encoder()
    frames = [frame for stream in (1, 3) for frame in _call(stream, encoder, chance, harm, calls)]
    return _written([(SETTINGS, 0, 0, b""), *frames])


def http2_frames(chance: random.Random) -> bytes:
    """Sound calls among other frames; then frames are changed, moved, repeated or lost, or bytes damaged."""
    encoder = Encoder()
    frames: list[Frame] = [(SETTINGS, 0, 0, b"")]
    for stream in range(1, 2 * chance.randint(1, 4), 2):
        frames += _call(stream, encoder, chance, False, CALLS)
        if chance.random() < 0.5:
            frames.insert(chance.randrange(1, len(frames) + 1), _other(chance))
    for _ in range(chance.randint(0, 3)):
        _disturb(frames, chance)
    data = _written(frames)
    return damaged(data, chance) if chance.random() < 0.4 else data


def sound_call(port: int, model: str = MODEL) -> dict[str, str]:
    """Trailers of a sound inference."""
    encoder, path, body = Encoder(), CALLS[0][0], infer_message(typed=False, rows=1, model=model)
    head = _head(path, random.Random(0))[:6]
    frames: list[Frame] = [(SETTINGS, 0, 0, b""), (HEADERS, END_HEADERS, 1, encoder.encode(head))]
    received = exchange(port, _written([*frames, (DATA, END_STREAM, 1, _prefixed(body))]), ANSWER_SECONDS)
    decoder, told = Decoder(), dict[str, str]()
    for kind, _, _, payload in _frames(received):
        if kind == HEADERS:
            told |= dict(decoder.decode(payload))
    return told


def _other(chance: random.Random) -> Frame:
    number = chance.choice([0, 1, 2**31 - 1, 65535, 2**32 - 1])
    return chance.choice(
        [
            (PING, chance.randrange(2), 0, chance.randbytes(chance.choice([8, 8, 7]))),
            (WINDOW_UPDATE, 0, chance.choice([0, 1, 99]), struct.pack(">I", number)),
            (SETTINGS, 0, 0, struct.pack(">HI", chance.randrange(9), number)),
            (SETTINGS, 1, 0, b""),
            (RST_STREAM, 0, chance.choice([1, 3, 99]), struct.pack(">I", 8)),
            (PRIORITY, 0, chance.choice([1, 3, 0]), struct.pack(">IB", number, 7)),
            (GOAWAY, 0, 0, struct.pack(">II", number, 0)),
            (PUSH, END_HEADERS, 1, struct.pack(">I", 2)),
            (chance.randrange(10, 256), chance.randrange(256), 1, chance.randbytes(5)),
            (DATA, PADDED, 1, b"\xff" + chance.randbytes(3)),
            (HEADERS, END_HEADERS | PRIORITISED, 5, struct.pack(">IB", 5, 1)),
        ]
    )


def _disturb(frames: list[Frame], chance: random.Random) -> None:
    if not frames:
        return
    index = chance.randrange(len(frames))
    kind, flags, stream, payload = frames[index]
    match chance.randrange(8):
        case 0:
            frames[index] = (chance.randrange(11), flags, stream, payload)
        case 1:
            frames[index] = (kind, flags ^ (1 << chance.randrange(8)), stream, payload)
        case 2:
            frames[index] = (kind, flags, chance.choice([0, 1, 2, 3, 2**31 - 1, 2**32 - 1]), payload)
        case 3:
            frames[index] = (kind, flags, stream, damaged(payload, chance))
        case 4:
            frames.insert(index, frames[index])
        case 5:
            del frames[index]
        case 6:
            other = chance.randrange(len(frames))
            frames[index], frames[other] = frames[other], frames[index]
        case _:
            frames.insert(index, _other(chance))


def _written(frames: list[Frame]) -> bytes:
    return PREFACE + b"".join(
        len(payload).to_bytes(3) + bytes([kind, flags]) + struct.pack(">I", stream) + payload
        for kind, flags, stream, payload in frames
    )


def over_http2(port: int, data: bytes) -> None:
    """Send, half-close, read what comes. Raises Finding for an error that the server takes upon itself."""
    received = exchange(port, data, QUIET_SECONDS)
    decoder = Decoder()
    for kind, _, stream, payload in _frames(received):
        if kind == GOAWAY and struct.unpack_from(">I", payload, 4)[0] == INTERNAL_ERROR:
            raise Finding(f"GOAWAY with INTERNAL_ERROR: {payload[8:]!r}")
        if kind != HEADERS:
            continue
        try:
            head = dict(decoder.decode(payload))
        except HPACKError as error:
            raise Finding(f"headers of stream {stream} cannot be read: {error}") from None
        status, told = head.get("grpc-status"), head.get("grpc-message", "")
        # gRPC has INTERNAL for what breaks its framing, too; a failure of the server's own is told to be in its log.
        if head.get(":status", "200")[0] == "5" or status == UNKNOWN or (status == INTERNAL and "log" in told):
            raise Finding(f"stream {stream} is answered {head}")


def _frames(data: bytes) -> Iterator[Frame]:
    position = 0
    while position + 9 <= len(data):
        length = int.from_bytes(data[position : position + 3])
        kind, flags = data[position + 3], data[position + 4]
        (stream,) = struct.unpack_from(">I", data, position + 5)
        yield kind, flags, stream, data[position + 9 : position + 9 + length]
        position += 9 + length
