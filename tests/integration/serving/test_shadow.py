"""Shadow traffic between real servers: users notice nothing, pairs are compared and counted."""

import itertools
import json
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import onnx_models
from tests.integration.serving.fake_arm import Asked, Behaviour, FakeArm, always, answer, fake_arm
from tests.integration.serving.grpc_client import channel, infer, raw, typed
from tests.integration.serving.harness import (
    COEFFICIENTS,
    INFER,
    INTERCEPTS,
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
POISON = v2([101, 2, 3, 4])
epochs = itertools.count(1)


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server, Server]]:
    """A stable server, a shadow that raises when the first feature is above 100, and one that answers otherwise."""
    folder = tmp_path_factory.mktemp("shadow")
    failing = onnx_models.failing_classifier(COEFFICIENTS, INTERCEPTS, feature=0, threshold=100)
    other = onnx_models.linear_classifier(-COEFFICIENTS, INTERCEPTS)
    servers = (
        Server(folder / "stable", RIGHT, "digits-aaaa", "1"),
        Server(folder / "alike", failing, "digits-bbbb", "2"),
        Server(folder / "other", other, "digits-cccc", "3"),
    )
    with running(*servers):
        yield servers


def mirror(stable: Server, shadow: Server | FakeArm, percent: int = 100, **changes: Any) -> None:
    """Users stay with the stable server; the shadow gets copies."""
    servers: Any = [stable, shadow]
    epoch = next(epochs)
    document = json.loads(route_document(servers, stable, epoch, [100, percent], **changes))
    document["arms"][1]["mode"] = "Mirror"
    put_route(stable, json.dumps(document))
    eventually(lambda: stable.get("/route", "metrics").json()["epoch"] == epoch, "the route")


@contextmanager
def shadowed(stable: Server, behaviour: Behaviour, **changes: Any) -> Iterator[FakeArm]:
    """The stable server mirrors everything to a shadow that behaves like this."""
    with fake_arm(behaviour, revision=f"digits-fake-{next(epochs)}") as arm:
        mirror(stable, arm, **changes)
        yield arm


def pairs(stable: Server, shadow: Server | FakeArm) -> dict[str, float]:
    """Of this pair, the outcomes that happened."""
    counts = stable.counts("plimsoll_shadow_pairs_total", "stable", "candidate", "outcome")
    of_pair = f"{stable.revision} {shadow.revision} "
    return {key.removeprefix(of_pair): n for key, n in counts.items() if key.startswith(of_pair) and n}


def more(stable: Server, shadow: Server | FakeArm, before: dict[str, float], wanted: dict[str, float]) -> None:
    """So many more pairs, and no other."""

    def found() -> dict[str, float]:
        now = pairs(stable, shadow)
        return {outcome: n - before.get(outcome, 0) for outcome, n in now.items() if n != before.get(outcome, 0)}

    eventually(lambda: sum(found().values()) >= sum(wanted.values()), f"{wanted} pairs")
    assert found() == wanted


def mirrored(server: Server) -> float:
    return sum(server.counts("plimsoll_mirrored_requests_total", "code").values())


def test_alike_answers_match_and_no_counter_of_users_moves_at_the_shadow(trio: tuple[Server, ...]) -> None:
    stable, alike, _ = trio
    mirror(stable, alike)
    before, answered, copies = pairs(stable, alike), alike.answered(), mirrored(alike)
    own, asked = stable.answered(), stable.arm(stable, "ok")
    for number in range(20):
        response = stable.infer(v2([number, 2, 3, 4], [1, 1, number, 1]))
        assert response.headers["plimsoll-model-version"] == "1"
    more(stable, alike, before, {"match": 20})
    assert (alike.answered(), mirrored(alike)) == (answered, copies + 20)
    durations = alike.counts("plimsoll_mirrored_request_duration_seconds_count", "revision")
    assert durations[alike.revision] == copies + 20
    assert (stable.answered(), stable.arm(stable, "ok")) == (own + 20, asked + 20)
    assert {stable.arm(alike, outcome) for outcome in ("ok", "server_error", "unreachable", "timeout")} == {0}


def test_differing_answers_are_told_by_output_row_and_class(trio: tuple[Server, ...]) -> None:
    stable, _, other = trio
    mirror(stable, other)
    rows = [[1, 2, 3, 4], [4, 3, 2, 1], [0, 5, 0, 5], [9, 1, 1, 1]]
    ours, theirs = (
        httpx.post(server.url(port="direct"), json=v2(*rows)).json()["outputs"][0]["data"] for server in (stable, other)
    )
    before = pairs(stable, other)
    for _ in range(5):
        stable.infer(v2(*rows))
    more(stable, other, before, {"mismatch": 5})
    different = sum(mine != yours for mine, yours in zip(ours, theirs, strict=True))
    counts = stable.counts("plimsoll_shadow_rows_total", "candidate", "output", "outcome")
    assert counts[f"{other.revision} label different"] == 5 * different > 0
    assert counts[f"{other.revision} label equal"] == 5 * (len(rows) - different)
    classes = stable.counts("plimsoll_shadow_class_rows_total", "candidate", "class", "direction")
    for name in map(str, set(ours) | set(theirs)):
        lost = sum(str(mine) == name != str(yours) for mine, yours in zip(ours, theirs, strict=True))
        assert classes.get(f"{other.revision} {name} lost", 0) == 5 * lost


def test_tolerances_of_the_document_decide_what_agrees(trio: tuple[Server, ...]) -> None:
    stable, _, other = trio
    only_floats = {**ROW, "outputs": [{"name": "probabilities"}]}
    mirror(stable, other, tolerance={"relative": 0, "absolute": 1.0})
    before = pairs(stable, other)
    stable.infer(only_floats)
    more(stable, other, before, {"match": 1})
    mirror(stable, other, tolerance={"absolute": 0})
    before = pairs(stable, other)
    stable.infer(only_floats)
    more(stable, other, before, {"mismatch": 1})


def test_a_shadow_that_raises_costs_the_user_nothing_and_opens_no_breaker(trio: tuple[Server, ...]) -> None:
    stable, alike, _ = trio
    mirror(stable, alike)
    before, failed = pairs(stable, alike), alike.counts("plimsoll_requests_total", "code").get("500", 0)
    for _ in range(12):
        assert stable.infer(POISON).status_code == 200
    more(stable, alike, before, {"candidate_error": 12})
    assert alike.counts("plimsoll_requests_total", "code").get("500", 0) == failed
    assert alike.counts("plimsoll_mirrored_requests_total", "code")["500"] >= 12
    assert stable.get("/route", "metrics").json()["breakersOpen"] == []
    line = eventually(lambda: [line for line in stable.log() if line.get("arm") == alike.revision], "a line")[-1]
    assert (line["outcome"], line["message"]) == ("candidate_error", "a shadow failed; no user was waiting for it")


def test_a_request_that_both_refuse_is_an_error_of_both(trio: tuple[Server, ...]) -> None:
    stable, alike, _ = trio
    mirror(stable, alike)
    before = pairs(stable, alike)
    assert stable.infer({"inputs": []}).status_code == 400
    more(stable, alike, before, {"both_error": 1})


def test_an_error_that_only_the_stable_gives_is_told_apart(trio: tuple[Server, ...]) -> None:
    _, failing, other = trio
    servers: Any = [failing, other]
    document = json.loads(route_document(servers, failing, next(epochs), [100, 100]))
    document["arms"][1]["mode"] = "Mirror"
    put_route(failing, json.dumps(document))
    eventually(lambda: failing.role() == "primary", "the role")
    assert failing.infer(POISON).status_code == 500
    more(failing, other, {}, {"stable_error": 1})
    put_route(failing, json.dumps(document | {"epoch": next(epochs), "arms": document["arms"][:1]}))
    eventually(lambda: len(failing.get("/route", "metrics").json()["document"]["arms"]) == 1, "the route")


def test_the_copy_is_the_raw_request_marked_and_sent_only_after_the_user_was_answered(
    trio: tuple[Server, ...],
) -> None:
    stable = trio[0]
    user_had_answer: list[bool] = []
    with Raw(stable) as user:

        def behave(_: Asked) -> Iterator[bytes | None]:
            # On loopback what was sent is readable at once: the order of the two sends shows here.
            user_had_answer.append(user.readable())
            yield answer({})

        with shadowed(stable, behave) as arm:
            body = json.dumps({**ROW, "id": "mine"}).encode()
            trace = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            user.send(post(body, trace, b"accept-encoding: gzip", b"x-user-id: 7"))
            eventually(lambda: user_had_answer, "the copy")
            assert user_had_answer == [True]
            asked = arm.requests[0]
            assert asked.body == body
            assert asked.head.startswith(b"POST %s HTTP/1.1\r\n" % INFER.encode())
            wanted = {"plimsoll-mirrored": "1", "plimsoll-delegated": "1", "x-user-id": "7"}
            assert asked.headers.items() >= wanted.items()
            assert asked.headers["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
            assert "accept-encoding" not in asked.headers


def test_a_share_of_the_requests_is_mirrored(trio: tuple[Server, ...]) -> None:
    stable, alike, _ = trio
    mirror(stable, alike, 30)
    before = pairs(stable, alike).get("match", 0)
    with httpx.Client() as client:
        for _ in range(400):
            client.post(stable.url(), json=ROW)
    eventually(lambda: pairs(stable, alike)["match"] - before > 65, "400 requests at 30 %: 120 expected, σ 9")
    assert pairs(stable, alike)["match"] - before < 175


def test_only_requests_of_the_route_are_mirrored(trio: tuple[Server, ...]) -> None:
    stable, alike, _ = trio
    mirror(stable, alike)
    before = pairs(stable, alike)
    stable.infer(ROW, "direct")
    stable.infer(ROW, **{"plimsoll-delegated": "1"})
    httpx.post(stable.url("/v2/models/digits/versions/1/infer"), json=ROW)
    stable.get("/v2/models/digits")
    stable.infer(ROW)
    more(stable, alike, before, {"match": 1})


def test_a_route_that_was_not_renewed_mirrors_nothing(trio: tuple[Server, ...]) -> None:
    stable = trio[0]
    until = (datetime.now(UTC) - timedelta(minutes=15)).isoformat()
    with shadowed(stable, always(answer({})), validUntil=until, maxBlindSeconds=600) as arm:
        for _ in range(5):
            stable.infer(ROW)
        mirror(stable, arm)
        stable.infer(v2([4, 3, 2, 1]))
        more(stable, arm, {}, {"mismatch": 1})
        assert len(arm.requests) == 1


@pytest.mark.parametrize(
    ("pieces", "outcome"),
    [
        ([None], "unreachable"),
        ([b"SSH-2.0\r\n"], "unreachable"),
        ([answer({"outputs": []})[:-2], None], "unreachable"),
        ([answer({"x": "a" * 50_000})], "mismatch"),
        ([answer({"error": "no"}, b"503 Service Unavailable")], "candidate_error"),
        ([answer("what?")], "mismatch"),
        ([answer({"outputs": []})], "mismatch"),
    ],
    ids=["closes", "no http", "half", "too large", "503", "no protocol", "no outputs"],
)
def test_whatever_a_shadow_sends_is_an_outcome(
    trio: tuple[Server, ...], pieces: list[bytes | None], outcome: str
) -> None:
    stable = trio[0]
    with shadowed(stable, always(*pieces)) as arm:
        for _ in range(3):
            assert stable.infer(ROW).status_code == 200
        more(stable, arm, {}, {outcome: 3})


def test_a_shadow_that_is_there_no_more_is_unreachable(trio: tuple[Server, ...]) -> None:
    stable = trio[0]
    with shadowed(stable, always(answer({"outputs": []}))) as arm:
        stable.infer(ROW)
        more(stable, arm, {}, {"mismatch": 1})
        arm.close()
        stable.infer(ROW)
        more(stable, arm, {"mismatch": 1}, {"unreachable": 1})


def test_a_shadow_that_is_not_known_at_its_address_yet_is_not_to_blame(trio: tuple[Server, ...]) -> None:
    stable = trio[0]
    with shadowed(stable, always(answer({"outputs": []}))) as arm:
        arm.close()
        stable.infer(ROW)
        more(stable, arm, {}, {"dropped": 1})
        arm.listen()
        stable.infer(ROW)
        more(stable, arm, {"dropped": 1}, {"mismatch": 1})


def test_the_differences_of_a_regression_are_summed(tmp_path: Path) -> None:
    def behave(asked: Asked) -> Iterator[bytes | None]:
        outputs = [{"name": "prediction", "datatype": "FP32", "shape": [2, 1], "data": [12.5, 19.0]}]
        yield answer({"outputs": outputs})

    regressor = onnx_models.linear_regressor([1.0, 1.0, 1.0, 1.0], 0.0)
    stable = Server(tmp_path / "stable", regressor, "digits-aaaa", "1")
    with running(stable), shadowed(stable, behave) as arm:
        stable.infer(v2([1, 2, 3, 4], [5, 5, 5, 5]))
        more(stable, arm, {}, {"mismatch": 1})
        rows = stable.counts("plimsoll_shadow_difference_rows_total", "direction")
        assert rows == {"above": 1, "below": 1, "level": 0, "not_finite": 0}
        requests = stable.counts("plimsoll_shadow_difference_requests_total", "direction")
        assert requests == {"above": 0.5, "below": 0.5, "level": 0, "not_finite": 0}
        assert stable.counts("plimsoll_shadow_difference_total", "direction") == {"above": 2.5, "below": 1.0}
        assert stable.counts("plimsoll_shadow_squared_difference_total", "output") == {"prediction": 7.25}


def test_a_shadow_that_hangs_holds_a_bounded_number_of_copies_and_delays_nobody(tmp_path: Path) -> None:
    limits = {"PLIMSOLL_MIRROR_QUEUE": "5", "PLIMSOLL_MIRROR_CONCURRENCY": "2"}
    stable = Server(tmp_path / "stable", RIGHT, "digits-aaaa", "1", **limits)
    shadow = Server(tmp_path / "shadow", RIGHT, "digits-bbbb", "2")
    with running(stable, shadow):
        mirror(stable, shadow, delegateTimeoutSeconds=1.0)
        assert shadow.process is not None
        shadow.process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        with httpx.Client() as client:
            answers = [client.post(stable.url(), json=ROW).status_code for _ in range(100)]
        took = time.monotonic() - begin
        assert answers == [200] * 100
        rounds = 2 * (took // 1.0 + 1)  # two leave the queue each second
        dropped = pairs(stable, shadow)["dropped"]
        assert 100 - 5 - 2 - rounds <= dropped <= 93
        eventually(lambda: pairs(stable, shadow).get("timeout", 0) == 100 - dropped, "the rest is given up")
        shadow.process.send_signal(signal.SIGCONT)

        def mirrored_again() -> bool:
            """A copy may be given up once more: its second is short for a process that was just woken."""
            assert stable.infer(ROW).status_code == 200
            return bool(pairs(stable, shadow).get("match"))

        eventually(mirrored_again, "mirroring goes on")


def test_copies_beyond_the_bytes_allowed_are_dropped(tmp_path: Path) -> None:
    stable = Server(tmp_path / "stable", RIGHT, "digits-aaaa", "1", PLIMSOLL_MIRROR_BYTES="40000")
    with running(stable):
        held = threading.Event()

        def behave(_: Asked) -> Iterator[bytes | None]:
            held.wait(60)
            yield answer({})

        with shadowed(stable, behave) as arm:
            for _ in range(6):
                assert stable.infer(ROW).status_code == 200
            eventually(lambda: pairs(stable, arm) == {"dropped": 4}, "two of about 17 kB find room")
            held.set()
            eventually(lambda: pairs(stable, arm) == {"dropped": 4, "mismatch": 2}, "the two end")
            stable.infer(ROW)
            eventually(lambda: pairs(stable, arm) == {"dropped": 4, "mismatch": 3}, "there is room again")


def test_large_answers_are_compared_too(trio: tuple[Server, ...]) -> None:
    stable, alike, _ = trio
    mirror(stable, alike)
    before = pairs(stable, alike)
    stable.infer(v2(*[[number % 90, 2, 3, 4] for number in range(2000)]))
    more(stable, alike, before, {"match": 1})


def test_binary_tensors_are_compared_as_what_they_mean(trio: tuple[Server, ...]) -> None:
    stable, alike, other = trio
    data = struct.pack("<4f", 1, 2, 3, 4)
    item = {"name": "input", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [item], "parameters": {"binary_data_output": True}}).encode()
    for shadow, outcome in ((alike, "match"), (other, "mismatch")):
        mirror(stable, shadow)
        before = pairs(stable, shadow)
        headers = {"inference-header-content-length": str(len(head))}
        response = httpx.post(stable.url(), content=head + data, headers=headers)
        assert response.headers["content-type"] == "application/octet-stream"
        more(stable, shadow, before, {outcome: 1})
        rows = stable.counts("plimsoll_shadow_rows_total", "candidate", "output", "outcome")
        assert rows[f"{shadow.revision} label equal"] + rows[f"{shadow.revision} label different"] > 0


@pytest.mark.parametrize("form", [raw, typed])
def test_calls_over_grpc_are_mirrored_and_compared_too(trio: tuple[Server, ...], form: Callable[..., Any]) -> None:
    stable, alike, other = trio
    with channel(stable) as opened:
        for shadow, outcome in ((alike, "match"), (other, "mismatch")):
            mirror(stable, shadow)
            before, copies = pairs(stable, shadow), mirrored(shadow)
            infer(opened)(form([[1, 2, 3, 4], [5, 6, 7, 8]]))
            more(stable, shadow, before, {outcome: 1})
            assert mirrored(shadow) == copies + 1


def test_a_server_that_stops_with_copies_under_way_stops_cleanly(tmp_path: Path) -> None:
    stable = Server(tmp_path / "stable", RIGHT, "digits-aaaa", "1")
    over = threading.Event()

    def behave(_: Asked) -> Iterator[bytes | None]:
        over.wait(60)
        yield None

    with running(stable), shadowed(stable, behave) as arm:
        for _ in range(20):
            stable.infer(ROW)
        eventually(lambda: arm.requests, "a copy is under way")
        assert stable.stop() == 0
        assert "Traceback" not in stable.log_path.read_text()
        over.set()
