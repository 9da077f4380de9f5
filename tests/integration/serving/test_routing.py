"""Canary traffic between two real servers: shares, failures that cost users nothing, roles."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import onnx_models
from tests.integration.serving.fake_arm import STRANGER, always, fake_arm
from tests.integration.serving.harness import (
    COEFFICIENTS,
    INTERCEPTS,
    RIGHT,
    Load,
    Raw,
    Server,
    edit_route,
    epochs,
    eventually,
    post,
    put_route,
    route_document,
    running,
    v2,
    write_route,
)

ROW = v2([1, 2, 3, 4])
POISON = v2([101, 2, 3, 4])
Pair = tuple[Server, Server]


def route(pair: Pair, weights: list[int], primary: int = 0, **changes: object) -> int:
    """A fresh route for the pair: an epoch with one arm first, so that breakers and connections start anew."""
    stable, candidate = pair
    alone = next(epochs)
    for server in pair:
        write_route([server], server, alone, [100])
    epoch = next(epochs)
    write_route([stable, candidate], pair[primary], epoch, weights, **changes)
    return epoch


def test_the_primary_splits_as_the_weights_say_and_counts_each_arm(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [70, 30])
    before = {server: stable.arm(server, "ok") for server in pair}
    answered = {server: server.answered() for server in pair}
    with httpx.Client() as client:
        versions = [client.post(stable.url(), json=ROW).headers["plimsoll-model-version"] for _ in range(600)]
    to_candidate = versions.count("2")
    assert 120 < to_candidate < 240, "600 requests at 30 %: 180 expected, σ 11"
    assert stable.arm(candidate, "ok") - before[candidate] == to_candidate
    assert stable.arm(stable, "ok") - before[stable] == 600 - to_candidate
    assert candidate.answered() - answered[candidate] == to_candidate, "the pod that serves counts the request"
    assert stable.answered() - answered[stable] == 600 - to_candidate


def test_all_series_of_an_arm_exist_before_its_first_request(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [100, 0])
    outcomes = stable.counts("plimsoll_arm_requests_total", "revision", "outcome")
    assert len([key for key in outcomes if key.startswith(candidate.revision)]) == 6
    assert candidate.revision in stable.counts("plimsoll_fallback_requests_total", "revision")


def test_an_answer_of_the_candidate_is_passed_on_unchanged_with_its_name(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [0, 100])
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    delegated = stable.infer(ROW | {"id": "x"}, traceparent=parent)
    direct = candidate.infer(ROW | {"id": "x"}, "direct")
    assert delegated.content == direct.content
    assert delegated.headers["plimsoll-model-version"] == "2"
    assert delegated.headers["plimsoll-revision"] == candidate.revision


def test_each_answer_to_a_user_has_one_date(pair: Pair) -> None:
    """RFC 9110, section 6.6.1; also one that was passed on, and was passed on before with the same head."""
    stable, candidate = pair
    began = datetime.now(UTC)
    route(pair, [0, 100])
    answers = [stable.infer(ROW) for _ in range(4)] + [stable.infer({"inputs": []}), stable.get("/nowhere")]
    route(pair, [100, 0])
    answers += [stable.infer(ROW), stable.get("/v2"), *[candidate.infer(ROW) for _ in range(3)]]
    assert {answer.headers.get("plimsoll-model-version") for answer in answers[:4]} == {"2"}
    for answer in answers:
        (date,) = answer.headers.get_list("date")
        assert began - timedelta(seconds=2) <= parsedate_to_datetime(date) <= datetime.now(UTC)
    assert "date" not in candidate.infer(ROW, "direct").headers


def test_a_candidate_that_raises_costs_users_nothing(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [0, 100])
    errors, fallbacks = stable.arm(candidate, "server_error"), stable.fallbacks(candidate)
    answers = [stable.infer(POISON) for _ in range(8)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["plimsoll-model-version"] for answer in answers} == {"1"}
    assert stable.arm(candidate, "server_error") - errors == 5, "then the breaker keeps requests away"
    assert stable.fallbacks(candidate) - fallbacks == 8
    assert stable.get("/route", "metrics").json()["breakersOpen"] == [candidate.revision]
    direct = candidate.infer(POISON, "direct")
    assert direct.status_code == 500
    assert direct.json()["error"].startswith("model 'digits' version '2' failed on this input: ")
    assert candidate.infer(ROW, "direct").status_code == 200


def test_a_user_who_says_to_be_a_copy_is_counted_all_the_same(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [0, 100])
    before = candidate.answered()
    assert stable.infer(ROW, **{"plimsoll-mirrored": "1"}).status_code == 200
    assert candidate.infer(ROW, "direct", **{"plimsoll-mirrored": "1"}).status_code == 200
    assert candidate.answered() == before + 2


def test_a_failed_arm_is_logged_with_the_trace_of_the_request(pair: Pair) -> None:
    stable, _ = pair
    route(pair, [0, 100])
    trace = "11111111111111111111111111111111"
    stable.infer(POISON, traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    (line,) = eventually(lambda: [line for line in stable.log() if line.get("traceId") == trace], "a line in the log")
    assert (line["arm"], line["outcome"], line["revision"]) == ("digits-bbbb", "server_error", "digits-aaaa")


def test_a_request_that_both_models_refuse_is_the_clients_own(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [0, 100])
    errors, fallbacks = stable.arm(candidate, "client_error"), stable.fallbacks(candidate)
    for _ in range(6):
        refused = stable.infer({"inputs": []})
        assert refused.status_code == 400
        assert refused.json() == {"error": "inputs lacks input; the model takes input"}
    assert stable.arm(candidate, "client_error") - errors == 6
    assert stable.fallbacks(candidate) == fallbacks
    assert stable.infer(ROW).headers["plimsoll-model-version"] == "2", "the breaker stays closed"


def test_the_direct_port_never_delegates(pair: Pair) -> None:
    stable, _ = pair
    route(pair, [0, 100])
    assert stable.infer(ROW, "direct").headers["plimsoll-model-version"] == "1"


def test_a_delegated_request_is_never_delegated_again(pair: Pair) -> None:
    stable, _ = pair
    route(pair, [0, 100])
    assert stable.infer(ROW, **{"plimsoll-delegated": "1"}).headers["plimsoll-model-version"] == "1"


def test_a_version_asked_for_by_name_is_not_delegated(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [0, 100])
    chosen = stable.arm(candidate, "ok")
    pinned = httpx.post(stable.url("/v2/models/digits/versions/1/infer"), json=ROW)
    assert (pinned.status_code, pinned.headers["plimsoll-model-version"]) == (200, "1")
    assert stable.arm(candidate, "ok") == chosen


def test_a_secondary_forwards_to_the_primary(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [100, 0])
    assert candidate.role() == "secondary"
    assert candidate.infer(ROW).headers["plimsoll-model-version"] == "1"
    assert candidate.get("/v2/models/digits").json()["versions"] == ["1"]
    refused = candidate.infer({"inputs": []})
    assert (refused.status_code, refused.headers["plimsoll-model-version"]) == (400, "1")
    assert candidate.infer(ROW, "direct").headers["plimsoll-model-version"] == "2"
    assert stable.role() == "primary"


def test_a_document_of_a_lower_epoch_is_ignored(pair: Pair) -> None:
    stable, candidate = pair
    epoch = route(pair, [100, 0])
    edit_route(stable, epoch=epoch - 1, primary=candidate.revision)
    eventually(lambda: f"route of epoch {epoch - 1} ignored" in stable.log_path.read_text(), "the refusal in the log")
    assert stable.get("/route", "metrics").json()["epoch"] == epoch
    assert stable.counts("plimsoll_route_epoch", "revision") == {stable.revision: epoch}
    assert stable.infer(ROW).headers["plimsoll-model-version"] == "1"


def test_a_malformed_document_is_ignored_and_the_old_one_stays(pair: Pair) -> None:
    stable, _ = pair
    epoch = route(pair, [0, 100])
    put_route(stable, '{"formatVersion": 1, "epoch": 999999, "primary": "nobody", "arms": []}')
    eventually(lambda: "route document ignored, the old one stays" in stable.log_path.read_text(), "a line in the log")
    assert stable.get("/route", "metrics").json()["epoch"] == epoch
    assert stable.infer(ROW).headers["plimsoll-model-version"] == "2"


@pytest.mark.parametrize(("age", "version"), [(5, "2"), (15, "1")])
def test_unrenewed_beyond_the_blind_time_the_primary_keeps_all(pair: Pair, age: int, version: str) -> None:
    stable, _ = pair
    until = (datetime.now(UTC) - timedelta(minutes=age)).isoformat()
    route(pair, [0, 100], validUntil=until, maxBlindSeconds=600)
    assert stable.infer(ROW).headers["plimsoll-model-version"] == version
    assert stable.get("/route", "metrics").json()["blind"] is (version == "1")


def test_a_sticky_user_stays_with_an_arm(pair: Pair) -> None:
    stable, _ = pair
    route(pair, [50, 50], sticky={"header": "x-user-id"})
    by_user = {
        user: {stable.infer(ROW, **{"x-user-id": user}).headers["plimsoll-model-version"] for _ in range(3)}
        for user in ("ada", "grace", "edsger", "barbara", "donald", "tony", "alan", "john")
    }
    assert {len(versions) for versions in by_user.values()} == {1}
    assert set.union(*by_user.values()) == {"1", "2"}


def test_a_kept_alive_client_goes_through_a_swap_of_the_primary(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [100, 0])
    with Load(stable) as load:
        load.wait_for(100)
        for primary in (candidate, stable, candidate):
            epoch = next(epochs)
            weights = [0, 100] if primary is candidate else [100, 0]
            write_route([stable, candidate], primary, epoch, weights)
            load.wait_for(100)
    assert load.failures == []
    assert {"1", "2"} == set(load.versions)
    assert load.versions[-1] == "2"


def test_connections_are_closed_politely_when_the_primary_role_is_lost(pair: Pair) -> None:
    stable, candidate = pair
    route(pair, [100, 0])
    with httpx.Client() as client:
        assert "connection" not in client.post(stable.url(), json=ROW).headers
        write_route([stable, candidate], candidate, next(epochs), [0, 100])
        last = client.post(stable.url(), json=ROW)
        assert (last.status_code, last.headers["connection"]) == (200, "close")
        again = client.post(stable.url(), json=ROW)
        assert (again.status_code, "connection" in again.headers) == (200, False), "new connections are kept"


def test_a_connection_to_a_pod_that_only_forwards_is_closed_politely_soon(pair: Pair) -> None:
    """A client that came back before the Service followed the route would else stay for a minute."""
    _, secondary = pair
    route(pair, [70, 30])
    with httpx.Client() as client:
        eventually(lambda: client.post(secondary.url(), json=ROW).headers.get("connection") == "close", "closed")


def test_a_candidate_killed_under_traffic_costs_users_nothing(tmp_path: Path) -> None:
    stable = Server(tmp_path / "stable", RIGHT, "digits-aaaa", "1")
    candidate = Server(tmp_path / "candidate", RIGHT, "digits-bbbb", "2")
    with running(stable, candidate):
        write_route([stable, candidate], stable, 1, [50, 50])
        with Load(stable) as load:
            load.wait_for(200)
            candidate.kill()
            load.wait_for(200)
        assert load.failures == []
        assert "2" in load.versions[:200]
        assert set(load.versions[-100:]) == {"1"}
        assert stable.arm(candidate, "unreachable") >= 5
        assert stable.fallbacks(candidate) >= stable.arm(candidate, "unreachable")
        with Load(candidate, clients=1) as dead:
            eventually(lambda: dead.failures, "a client of the dead server fails")
        assert dead.answers == 0


def test_a_primary_that_is_gone_is_answered_for_by_the_secondary(tmp_path: Path) -> None:
    gone = Server(tmp_path / "gone", RIGHT, "digits-aaaa", "1")
    secondary = Server(tmp_path / "secondary", RIGHT, "digits-bbbb", "2")
    with running(secondary):
        put_route(secondary, route_document([gone, secondary], gone, 1, [100, 0]))
        eventually(lambda: secondary.role() == "secondary", "the role")
        answer = secondary.infer(ROW)
        assert (answer.status_code, answer.headers["plimsoll-model-version"]) == (200, "2")
        assert secondary.fallbacks(gone) == 1


def test_who_answers_at_the_primarys_address_but_is_no_server_of_models_is_not_passed_on(tmp_path: Path) -> None:
    secondary = Server(tmp_path / "secondary", RIGHT, "digits-bbbb", "2")
    with running(secondary), fake_arm(always(STRANGER), revision="digits-aaaa", version="1") as primary:
        servers: Any = [primary, secondary]
        put_route(secondary, route_document(servers, servers[0], 1, [100, 0]))
        eventually(lambda: secondary.role() == "secondary", "the role")
        answer = secondary.infer(ROW)
        assert (answer.status_code, answer.headers["plimsoll-model-version"]) == (200, "2")
        assert (len(primary.requests), secondary.fallbacks(servers[0])) == (1, 1)


def test_a_candidate_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    stable = Server(tmp_path / "stable", RIGHT, "digits-aaaa", "1")
    candidate = Server(tmp_path / "candidate", RIGHT, "digits-bbbb", "2")
    with running(stable, candidate):
        write_route([stable, candidate], stable, 1, [0, 100], delegateTimeoutSeconds=0.2)
        assert candidate.process is not None
        candidate.process.send_signal(signal.SIGSTOP)
        answers = [stable.infer(ROW) for _ in range(6)]
        assert {(answer.status_code, answer.headers["plimsoll-model-version"]) for answer in answers} == {(200, "1")}
        assert stable.arm(candidate, "timeout") == 5
        assert stable.fallbacks(candidate) == 6


def test_a_caller_who_gives_no_time_opens_no_breaker_and_fails_no_candidate(tmp_path: Path) -> None:
    model = onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS, rounds=20_000, feature=0)
    one_by_one = {"PLIMSOLL_WORKERS": "1", "PLIMSOLL_MAX_QUEUE_SECONDS": "600"}
    pair = (
        Server(tmp_path / "stable", model, "digits-aaaa", "1", **one_by_one),
        Server(tmp_path / "candidate", model, "digits-bbbb", "2", **one_by_one),
    )
    stable, candidate = pair
    hurried = post(json.dumps(ROW | {"parameters": {"timeout": 1000}}).encode(), b"connection: close")
    with running(*pair):
        for weights, arm in (([0, 100], candidate), ([100, 0], stable)):
            route(pair, weights)
            before = {outcome: stable.arm(arm, outcome) for outcome in ("deadline", "server_error", "timeout")}
            # Connected beforehand, so that all have come long before the worker is free, however quick it is.
            with ExitStack() as opened:
                callers = [opened.enter_context(Raw(stable)) for _ in range(8)]
                with busy(arm):
                    for caller in callers:
                        caller.send(hurried)
                    answers = [caller.read_all() for caller in callers]
            assert {answer.split(b" ", 2)[1] for answer in answers} == {b"504"}
            grown = {outcome: stable.arm(arm, outcome) - count for outcome, count in before.items()}
            assert grown == {"deadline": 8, "server_error": 0, "timeout": 0}
        assert stable.get("/route", "metrics").json()["breakersOpen"] == []


@contextmanager
def busy(server: Server) -> Iterator[None]:
    """Its only worker computes: what comes now waits."""
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(server.infer, ROW, "direct")
        eventually(lambda: server.counts("plimsoll_inflight_requests", "model")["digits"] == 1, "the long request")
        yield
    assert long.result().status_code == 200
