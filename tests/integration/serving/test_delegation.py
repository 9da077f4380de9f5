"""What a real primary makes of an arm that misbehaves on the wire: the user always gets an answer, soon, and once."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.integration.serving.fake_arm import STRANGER, Asked, Behaviour, FakeArm, always, answer, fake_arm
from tests.integration.serving.harness import (
    RIGHT,
    Raw,
    Server,
    eventually,
    post,
    put_route,
    route_document,
    running,
    v2,
)

ROW = v2([1, 2, 3, 4])
GOOD = answer({"from": "arm"}, plimsoll_model_version="9")
HALF = GOOD[:-3]
LIMIT = 50_000
epochs = itertools.count(1)


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("primary")
    with running(Server(folder, RIGHT, "digits-aaaa", PLIMSOLL_MAX_BODY_BYTES=str(LIMIT // 4))) as (server,):
        yield server


@contextmanager
def delegating(primary: Server, behaviour: Behaviour, **changes: Any) -> Iterator[FakeArm]:
    """The primary hands every request to an arm that behaves like this."""
    epoch = next(epochs)
    with fake_arm(behaviour, revision=f"digits-fake-{epoch}") as arm:
        servers: Any = [primary, arm]
        put_route(primary, route_document(servers, primary, epoch, [0, 100], **changes))
        eventually(lambda: primary.get("/route", "metrics").json()["epoch"] == epoch, "the route")
        yield arm


def outcomes(primary: Server, arm: FakeArm) -> dict[str, float]:
    """Of the arm, those that happened."""
    counts = primary.counts("plimsoll_arm_requests_total", "revision", "outcome")
    mine = {key.split()[1]: value for key, value in counts.items() if key.startswith(arm.revision + " ")}
    return {outcome: value for outcome, value in mine.items() if value}


def who(primary: Server) -> str:
    """The version that answers a user now."""
    response = primary.infer(ROW)
    assert response.status_code == 200
    return response.headers["plimsoll-model-version"]


@pytest.mark.parametrize(
    "pieces",
    [
        [GOOD],
        [GOOD[:40], GOOD[40:]],
        [b"HTTP/1.1 100 Continue\r\n\r\n", GOOD],
        [b"HTTP/1.1 200 OK\r\nplimsoll-model-version: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
        [GOOD.replace(b"content-type", b"connection: close\r\ncontent-type"), None],
    ],
    ids=["whole", "in pieces", "interim", "chunked", "closing"],
)
def test_an_answer_in_any_proper_form_reaches_the_user(primary: Server, pieces: list[bytes | None]) -> None:
    with delegating(primary, always(*pieces)) as arm:
        assert [who(primary) for _ in range(3)] == ["9"] * 3
        assert outcomes(primary, arm) == {"ok": 3}
        assert arm.connections == (3 if None in pieces else 1), "a connection is kept unless the arm says close"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"SSH-2.0-OpenSSH_9.9\r\n"],
        [HALF, None],
        [GOOD[:20], None],
        [None],
        [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"],
        [answer({"x": "a" * LIMIT})],
    ],
    ids=["no http", "half of the body", "half of the head", "nothing", "another protocol", "too large"],
)
def test_a_broken_answer_costs_the_user_nothing_and_the_request_is_not_repeated(
    primary: Server, pieces: list[bytes | None]
) -> None:
    with delegating(primary, always(*pieces)) as arm:
        assert who(primary) == "1"
        assert outcomes(primary, arm) == {"unreachable": 1}
        assert len(arm.requests) == 1
        assert primary.counts("plimsoll_fallback_requests_total", "revision")[arm.revision] == 1


@pytest.mark.parametrize("ending", [[None], [HALF, None]], ids=["before an answer", "in an answer"])
def test_a_kept_connection_that_ends_is_forgiven_only_before_any_byte_of_an_answer(
    primary: Server, ending: list[bytes | None]
) -> None:
    def behave(asked: Asked) -> Iterator[bytes | None]:
        yield from ending if asked.of_connection == 2 else [GOOD]

    with delegating(primary, behave) as arm:
        assert who(primary) == "9"
        if ending == [None]:
            assert who(primary) == "9"
            assert (outcomes(primary, arm), arm.connections, len(arm.requests)) == ({"ok": 2}, 2, 3)
        else:
            assert who(primary) == "1"
            assert (outcomes(primary, arm), arm.connections) == ({"ok": 1, "unreachable": 1}, 1)


@pytest.mark.parametrize("begun", [[], [HALF], [GOOD[:10]]], ids=["silent", "stuck in the body", "stuck in the head"])
def test_an_arm_that_hangs_is_left_at_the_timeout(primary: Server, begun: list[bytes]) -> None:
    over = threading.Event()

    def behave(_: Asked) -> Iterator[bytes | None]:
        yield from begun
        over.wait(60)
        yield None

    with delegating(primary, behave, delegateTimeoutSeconds=0.2) as arm:
        start = time.monotonic()
        assert who(primary) == "1"
        assert 0.2 <= time.monotonic() - start < 50, "sooner than the arm would have gone on"
        assert outcomes(primary, arm) == {"timeout": 1}
        over.set()


def test_an_arm_that_sends_a_little_again_and_again_is_left_at_the_timeout(primary: Server) -> None:
    def behave(_: Asked) -> Iterator[bytes | None]:
        for byte in GOOD:
            time.sleep(0.02)
            yield bytes([byte])

    with delegating(primary, behave, delegateTimeoutSeconds=0.3) as arm:
        assert who(primary) == "1"
        assert outcomes(primary, arm) == {"timeout": 1}


def test_requests_that_wait_at_once_each_get_their_own_answer(primary: Server) -> None:
    together = threading.Barrier(8)

    def behave(asked: Asked) -> Iterator[bytes | None]:
        together.wait(60)
        yield answer({"echo": asked.headers["x-number"]}, plimsoll_model_version="9")

    with delegating(primary, behave) as arm:
        got: dict[str, str] = {}

        def ask(number: str) -> None:
            got[number] = primary.infer(ROW, **{"x-number": number}).json()["echo"]

        for _ in range(2):  # over new connections, then over kept ones
            threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert got == {number: number for number in map(str, range(8))}
            got.clear()
        assert (arm.connections, outcomes(primary, arm)) == (8, {"ok": 16})


def test_a_user_who_has_gone_leaves_neither_a_fault_nor_a_lost_connection(primary: Server) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def behave(asked: Asked) -> Iterator[bytes | None]:
        if asked.of_arm == 1:
            arrived.set()
            go_on.wait(60)
        yield GOOD

    with delegating(primary, behave) as arm:
        with Raw(primary) as user:
            user.send(post(b"{}"))
            assert arrived.wait(60)
            user.reset()
        go_on.set()
        eventually(lambda: outcomes(primary, arm) == {"ok": 1}, "the answer is counted")
        assert who(primary) == "9"
        assert arm.connections == 1


def test_an_arm_that_is_there_no_more_is_unreachable(primary: Server) -> None:
    with delegating(primary, always(GOOD)) as arm:
        assert who(primary) == "9"
        arm.close()
        assert who(primary) == "1"
        assert outcomes(primary, arm) == {"ok": 1, "unreachable": 1}


def test_an_arm_that_is_not_known_at_its_address_yet_is_not_to_blame(primary: Server) -> None:
    """Its pod is ready a moment before every node's kube-proxy has followed."""
    with delegating(primary, always(GOOD)) as arm:
        arm.close()
        assert [who(primary) for _ in range(20)] == ["1"] * 20
        assert outcomes(primary, arm) == {}
        assert primary.fallbacks(arm) == 20
        arm.listen()
        eventually(lambda: who(primary) == "9", "the arm answers")
        assert outcomes(primary, arm) == {"ok": 1}


def test_who_answers_at_the_address_but_is_no_server_of_models_is_not_believed(primary: Server) -> None:
    """While kube-proxy writes the rules of a Service a connection to it may leave the cluster, and meet a proxy."""
    answers = [STRANGER, STRANGER, GOOD, STRANGER]

    def behave(asked: Asked) -> Iterator[bytes | None]:
        yield answers[asked.of_arm - 1]

    with delegating(primary, behave) as arm:
        eventually(lambda: who(primary) == "9", "the arm answers")
        assert (outcomes(primary, arm), arm.connections) == ({"ok": 1}, 3), "each stranger was left"
        assert who(primary) == "1"
        assert outcomes(primary, arm) == {"ok": 1, "unreachable": 1}


def test_a_name_that_no_host_has_costs_the_user_nothing(primary: Server) -> None:
    epoch = next(epochs)
    with fake_arm(always(GOOD), revision=f"digits-fake-{epoch}") as arm:
        servers: Any = [primary, arm]
        document = route_document(servers, primary, epoch, [0, 100])
        put_route(primary, document.replace(f'"127.0.0.1:{arm.ports["direct"]}"', f'"{"x" * 64}.invalid:1"'))
        eventually(lambda: primary.get("/route", "metrics").json()["epoch"] == epoch, "the route")
        assert who(primary) == "1"
        assert primary.fallbacks(arm) == 1


def test_a_body_larger_than_one_write_arrives_whole(primary: Server) -> None:
    with delegating(primary, always(GOOD)) as arm:
        body = b" " * (LIMIT // 4 - 2) + b"{}"
        with Raw(primary) as user:
            assert b" 200 " in user.send(post(body)).read_until(b"}")
        assert arm.requests[-1].body == body


def test_the_primary_closes_its_connections_to_an_arm_that_left_the_route(primary: Server) -> None:
    with delegating(primary, always(GOOD)) as arm:
        assert who(primary) == "9"
        with delegating(primary, always(GOOD)):
            (connection,) = arm._sockets
            eventually(lambda: _ended(connection), "the old arm's connection is closed")


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.fileno() < 0 or connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_head_request_sent_on_is_answered_without_waiting_for_a_body(primary: Server) -> None:
    epoch = next(epochs)
    with fake_arm(always(GOOD), revision=f"digits-fake-{epoch}") as arm:
        servers: Any = [primary, arm]
        document = route_document(servers, primary, epoch, [100, 0])
        put_route(primary, document.replace(f'"primary": "{primary.revision}"', f'"primary": "{arm.revision}"'))
        eventually(lambda: primary.role() == "secondary", "the role")
        with Raw(primary) as user:
            user.send(b"HEAD /v2/models/digits HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
            received = user.read_all()
        assert received.endswith(b"\r\n\r\n")
        assert b"plimsoll-model-version: 9" in received
        assert arm.requests[0].head.startswith(b"GET /v2/models/digits ")
