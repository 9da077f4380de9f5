"""Small damage to bytes and to JSON values. All chance comes from the generator that is passed in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

TOKENS: Sequence[bytes] = (
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\x00", b" ", b":", b",", b"[", b"]", b"{", b"}", b'"', b"\\u0000", b"\\ud800"),
    *(b"-1", b"0", b"1e999", b"-0.0", b"NaN", b"null", b"true", b"18446744073709551616", b"9" * 400, b"[" * 2000),
    *(b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b"expect: 100-continue\r\n", b"upgrade: h2c\r\n"),
    *(b"inference-header-content-length: 7\r\n", b"inference-header-content-length: -1\r\n", b"connection: close\r\n"),
    *(b"content-encoding: gzip\r\n", b"accept-encoding: gzip\r\n", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"HTTP/1.0"),
    *(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"%00",
        b"\xff",
    ),
)
VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 1.5, -0.0, 1e308, 1e-320),
    *("", "NaN", "Infinity", "FP32", "BYTES", "BF16", "FP64", "\x00", "\ud7ff", "x" * 3000),
    *([], {}, [[]], [[], []], [1, [2]], [None], [0] * 300, {"a": 1}, [-1, 4], [2**40, 2**40], [0, 4]),
)


def damaged(data: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """The bytes after one to four small damages."""
    damaged_bytes = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        chance.choice(_DAMAGES)(damaged_bytes, chance, others)
    return bytes(damaged_bytes)


def _place(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(data) + 1)


def _flip(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    for _i in range(chance.randint(1, 4)):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    start = _place(data, chance)
    data[start : start + chance.randint(1, 8)] = chance.randbytes(chance.randint(1, 8))


def _remove(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    start = _place(data, chance)
    del data[start : start + chance.choice((1, 2, 8, 64, 1000))]


def _repeat(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    start = _place(data, chance)
    piece = data[start : start + chance.choice((1, 4, 32, 200))]
    data[start:start] = piece * chance.choice((1, 2, 16))


def _insert_token(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    start = _place(data, chance)
    data[start:start] = chance.choice(TOKENS)


def _cut(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    del data[_place(data, chance) :]


def _splice(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    if others:
        other = chance.choice(others)
        data[_place(data, chance) :] = other[chance.randrange(len(other) + 1) :]


_DAMAGES: Sequence[Callable[[bytearray, random.Random, Sequence[bytes]], None]] = (
    *(_flip, _overwrite, _remove, _repeat, _insert_token, _insert_token, _cut, _splice),
)


def altered(document: Any, chance: random.Random) -> Any:
    """A JSON document with one to three of its values or keys changed."""
    copy = deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        copy = _alter(copy, chance)
    return copy


def _alter(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        match chance.randrange(6):
            case 0:
                del value[key]
            case 1:
                value[chance.choice(("id", "inputs", "outputs", "parameters", "data", "x"))] = deepcopy(value[key])
            case 2:
                value[key] = deepcopy(chance.choice(VALUES))
            case _:
                value[key] = _alter(value[key], chance)
        return value
    if isinstance(value, list) and value and chance.random() < 0.85:
        index = chance.randrange(len(value))
        match chance.randrange(5):
            case 0:
                del value[index]
            case 1:
                value.insert(index, deepcopy(value[index]))
            case _:
                value[index] = _alter(value[index], chance)
        return value
    return deepcopy(chance.choice(VALUES))
