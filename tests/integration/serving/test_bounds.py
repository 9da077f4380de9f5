"""Nonsense in any amount: memory stays within bounds, and other requests are answered as if there were none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.integration.serving.harness import RIGHT, Load, Raw, Server, eventually, post, running, v2

BODY = 4 << 20
#: 25 bytes of memory for each byte of the worst JSON, one large body at a time; 4 bodies wait; and what malloc keeps.
GROWTH = (25 + 4) * BODY + (48 << 20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Bodies up to 4 MiB, and more workers than one large body at a time would need."""
    limits = {"PLIMSOLL_MAX_BODY_BYTES": str(BODY), "PLIMSOLL_WORKERS": "8", "PLIMSOLL_READ_TIMEOUT_SECONDS": "5"}
    with running(Server(tmp_path_factory.mktemp("bounds"), RIGHT, "digits-bounds", **limits)) as (one,):
        yield one


def memory(server: Server, what: str = "VmHWM") -> int:
    """Bytes: VmHWM is the peak, VmRSS what it is now."""
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


def filled(unit: bytes, size: int = BODY) -> bytes:
    """An inference request whose data is one thing over and over."""
    head = json.dumps(v2([1, 2, 3, 4])).encode().replace(b"[1, 2, 3, 4]", b"[%s]")
    return head % (unit * ((size - len(head)) // len(unit))).rstrip(b",")


HARMFUL = {
    "empty lists": filled(b"[],"),
    "empty objects": filled(b"{},"),
    "numbers": filled(b"0.5,"),
    "strings": filled(b'"a",'),
    "depth": b"[" * (BODY - 1),
    "a number without an end": b'{"inputs": ' + b"9" * (BODY - 20),
    "not JSON": b"\xff" * BODY,
}


@pytest.mark.parametrize("body", HARMFUL.values(), ids=HARMFUL)
def test_harmful_bodies_take_bounded_memory_and_nobody_elses_answers(server: Server, body: bytes) -> None:
    before = memory(server, "VmRSS")
    with Load(server, clients=2) as load, ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda _: httpx.post(server.url(), content=body, timeout=60), range(6)))
        load.wait_for(5)
    assert load.failures == []
    assert {answer.status_code for answer in answers} <= {400, 408, 503}, "refused, or asked to come again"
    assert 400 in {answer.status_code for answer in answers}
    assert memory(server) - before < GROWTH


def test_bodies_that_never_end_leave_room_for_ordinary_requests(server: Server) -> None:
    before = memory(server, "VmRSS")
    slow = [Raw(server).send(post(b" " * (BODY - 1), length=BODY)) for _ in range(6)]
    try:
        with Load(server, clients=2) as load:
            load.wait_for(20)
        assert load.failures == []
        assert memory(server) - before < GROWTH
    finally:
        for one in slow:
            one.close()
    eventually(
        lambda: server.infer(v2([1, 2, 3, 4]) | {"id": "x" * 1_000_000}).status_code == 200, "there is room again"
    )


def test_many_connections_with_a_little_each_take_little_memory(server: Server) -> None:
    before = memory(server, "VmRSS")
    many = [Raw(server).send(b"GET /v2 HTTP/1.1\r\nx: " + b"a" * 30_000) for _ in range(500)]
    try:
        with Load(server, clients=2) as load:
            load.wait_for(20)
        assert load.failures == []
        assert memory(server) - before < GROWTH
    finally:
        for one in many:
            one.close()
