"""What a service of a pool says of its own model: copies to a shadow, a payload log, how requests share a run.

And that whatever goes wrong with one of them is that model's alone.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import onnx_models
from tests.integration.serving.grpc_client import channel, infer, raw
from tests.integration.serving.harness import COEFFICIENTS, INTERCEPTS, eventually
from tests.integration.serving.pool_harness import PoolServer, Store, classifier, document, outcomes
from tests.integration.serving.test_payload_log import Receiver

RAISES = onnx_models.failing_classifier(COEFFICIENTS, INTERCEPTS, feature=0, threshold=100.0)
POISON = (200.0, 1.0, 2.0, 3.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store") / "files")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def pool(store: Store, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[PoolServer]:
    """`quiet` is nobody's business; every other service belongs to one test."""
    made = PoolServer(tmp_path_factory.mktemp("pod") / "pod")
    made.write(document("quiet", {"1": store.put(classifier(9))}))
    try:
        made.start().wait_ready()
        yield made
    finally:
        made.end()


def settings(store: Store, service: str, model: bytes, **asked: Any) -> dict[str, Any]:
    """The document of a service of one version with such settings."""
    made = document(service, {"1": store.put(model)})
    made["revisions"][f"{service}-00000001"] |= asked
    return made


def shadow(store: Store, service: str, *models: bytes, percent: int = 100, epoch: int = 1) -> dict[str, Any]:
    """Users stay with the first model; the second gets copies."""
    files = {str(number): store.put(model) for number, model in enumerate(models, start=1)}
    made = document(service, files, epoch=epoch, weights={"1": 100, "2": percent})
    made["arms"][1]["mode"] = "Mirror"
    return made


def log_to(receiver: Receiver, **more: Any) -> dict[str, Any]:
    sink = f"http://127.0.0.1:{receiver.server.server_port}/events"
    return {"payloadLog": {"samplePercent": 100, "sink": sink, **more}}


def both_ready(pool: PoolServer, service: str) -> Callable[[], bool]:
    """Versions 1 and 2: whichever is loaded first."""
    return lambda: [one["state"] for one in pool.revisions(service).values()] == ["ready", "ready"]


def pairs(pool: PoolServer, service: str) -> dict[str, float]:
    """Outcomes of the pair of versions 1 and 2 that happened."""
    counts = pool.counts("plimsoll_shadow_pairs_total", "candidate", "outcome")
    head = f"{service}-00000002 "
    return {key.removeprefix(head): number for key, number in counts.items() if key.startswith(head) and number}


def test_copies_are_answered_in_the_same_pod_and_no_counter_of_users_moves(pool: PoolServer, store: Store) -> None:
    pool.write(shadow(store, "alike", classifier(1), classifier(1)))
    eventually(both_ready(pool, "alike"), "both versions")
    assert outcomes(pool, "alike", 30) == {"1": 30}
    with channel(pool) as opened:
        infer(opened)(raw([[1.0, 2.0, 3.0, 4.0]], model_name="alike"), timeout=60)
    eventually(lambda: sum(pairs(pool, "alike").values()) == 31, "31 pairs")
    assert pairs(pool, "alike") == {"match": 31}
    answered = pool.counts("plimsoll_requests_total", "revision", "code")
    copies = pool.counts("plimsoll_mirrored_requests_total", "revision", "code")
    assert (answered["alike-00000001 200"], answered["alike-00000002 200"]) == (31, 0)
    assert (copies["alike-00000001 200"], copies["alike-00000002 200"]) == (0, 31)
    assert (pool.arms()["alike-00000001 ok"], pool.arms()["alike-00000002 ok"]) == (31, 0)
    durations = pool.counts("plimsoll_mirrored_request_duration_seconds_count", "revision")
    assert durations["alike-00000002"] == 31


def test_a_shadow_that_differs_and_raises_costs_users_nothing(pool: PoolServer, store: Store) -> None:
    pool.write(shadow(store, "odd", classifier(1), RAISES))
    eventually(both_ready(pool, "odd"), "both versions")
    direct = pool.ask("odd/versions/2", 3.0, 1.0, 2.0, 3.0)
    assert direct.status_code == 200
    assert {pool.ask("odd", *POISON).status_code for _ in range(12)} == {200}
    assert outcomes(pool, "odd", 5) == {"1": 5}
    eventually(lambda: sum(pairs(pool, "odd").values()) == 17, "17 pairs")
    assert pairs(pool, "odd") == {"candidate_error": 12, "mismatch": 5}
    assert pool.get("/route?service[]=odd", "metrics").json()["services"]["odd"]["breakersOpen"] == []
    assert outcomes(pool, "quiet", 5) == {"1": 5}


def test_a_shadow_without_its_file_drops_copies_and_a_shadow_that_leaves_gets_none(
    pool: PoolServer, store: Store, tmp_path: Path
) -> None:
    made = shadow(store, "late", classifier(1), classifier(2))
    made["revisions"]["late-00000002"]["artifact"] = {"uri": f"file://{tmp_path}/none.onnx", "sha256": "1" * 64}
    pool.write(made)
    pool.serves("late")
    outcomes(pool, "late", 5)
    eventually(lambda: pairs(pool, "late").get("dropped", 0) >= 5, "dropped copies")
    assert set(pairs(pool, "late")) == {"dropped"}
    pool.write(document("late", {"1": store.put(classifier(1))}, epoch=2))
    pool.follows("late", 2)
    before = pairs(pool, "late")
    outcomes(pool, "late", 5)
    assert pairs(pool, "late") == before


def test_a_share_of_copies_is_a_share_of_the_requests(pool: PoolServer, store: Store) -> None:
    pool.write(shadow(store, "some", classifier(1), classifier(1), percent=30))
    eventually(both_ready(pool, "some"), "both versions")
    outcomes(pool, "some", 80)
    eventually(lambda: pairs(pool, "some").get("match", 0) >= 5, "copies")
    assert pairs(pool, "some")["match"] <= 60


def test_a_log_has_the_answers_of_its_own_service_and_nothing_that_is_masked(
    pool: PoolServer, store: Store, receiver: Receiver
) -> None:
    pool.write(settings(store, "told", classifier(1), **log_to(receiver, mask=["probabilities"])))
    pool.serves("told")
    outcomes(pool, "quiet", 3)
    answer = pool.ask("told", 5.0, 6.0, 7.0, 8.0)
    mine = answer.headers["plimsoll-prediction-id"]

    def events() -> list[Any]:
        return [one for one in receiver.events if one.get("predictionid") == mine]

    eventually(lambda: len(events()) == 2, "both events")
    asked, answered = events()
    assert asked["data"]["inputs"][0]["data"] == [5.0, 6.0, 7.0, 8.0]
    masked = next(one for one in answered["data"]["outputs"] if one["name"] == "probabilities")
    assert masked["data"] == []
    assert {one["endpoint"] for one in receiver.events} == {"told-00000001"}
    assert {one["inferenceservicename"] for one in receiver.events} == {"told"}


def test_a_sink_that_is_silent_costs_neither_its_service_nor_the_others(pool: PoolServer, store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as mute:
        asked = {"samplePercent": 100, "sink": f"http://127.0.0.1:{mute.getsockname()[1]}/"}
        pool.write(settings(store, "mute", classifier(1), payloadLog=asked))
        pool.serves("mute")
        assert outcomes(pool, "mute", 20) == {"1": 20}
        assert outcomes(pool, "quiet", 5) == {"1": 5}
        pool.remove("mute")
        eventually(lambda: pool.ask("mute").status_code == 404, "the service gone")
        assert outcomes(pool, "quiet", 5) == {"1": 5}


@pytest.mark.parametrize(
    ("service", "asked", "said"),
    [
        ("mask", {"samplePercent": 1, "sink": "http://127.0.0.1/x", "mask": ["nothing"]}, "names 'nothing'"),
        ("sink", {"samplePercent": 1, "sink": "http://?/x"}, "not file:///path, http(s)://host/path"),
    ],
)
def test_a_log_that_cannot_be_kept_as_asked_for_fails_that_revision_and_says_why(
    pool: PoolServer, store: Store, service: str, asked: dict[str, Any], said: str
) -> None:
    pool.write(settings(store, service, classifier(1), payloadLog=asked))
    name = f"{service}-00000001"
    eventually(lambda: pool.revisions(service).get(name, {}).get("state") == "failed", "the refusal")
    assert said in pool.revisions(service)[name]["reason"]
    assert pool.ask(service).status_code == 503
    pool.write(document(f"after-{service}", {"1": store.put(classifier(2))}))
    pool.serves(f"after-{service}", "quiet")


def runs(pool: PoolServer, model: str) -> float:
    return pool.counts("plimsoll_batch_size_count", "model")[model]


def test_each_service_says_how_many_rows_share_a_run_and_how_long_they_are_waited_for(
    pool: PoolServer, store: Store
) -> None:
    together = {"batching": {"maxBatchSize": 4, "maxDelayMilliseconds": 1000}}
    pool.write(
        settings(store, "together", classifier(1), **together),
        settings(store, "alone", classifier(2), batching={"maxBatchSize": 1}),
    )
    pool.serves("together", "alone")
    before = {name: runs(pool, name) for name in ("together", "alone")}
    with ThreadPoolExecutor(4) as clients:
        for name in ("together", "alone"):
            answers = list(clients.map(lambda row, name=name: pool.ask(name, row, 1.0, 2.0, 3.0), range(4)))
            assert {one.status_code for one in answers} == {200}
    assert runs(pool, "alone") - before["alone"] == 4
    assert runs(pool, "together") - before["together"] < 4


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"batching": {"maxBatchSize": 0}}, "batching.maxBatchSize is 0, not a number from 1 to 65536"),
        ({"batching": {"maxDelayMilliseconds": 1001}}, "maxDelayMilliseconds is 1001, not a number from 0 to 1000"),
        ({"payloadLog": {"samplePercent": 1, "sink": "file:///tmp/x"}}, "not http(s)://host/path"),
    ],
)
def test_a_document_beyond_its_bounds_is_ignored_and_named(
    pool: PoolServer, store: Store, asked: dict[str, Any], said: str
) -> None:
    pool.write(settings(store, "wrong", classifier(1), **asked))
    eventually(lambda: any(said in line["message"] for line in pool.log()), said)
    assert pool.ask("wrong").status_code == 404


def test_a_model_that_raises_in_its_runs_answers_500_and_the_others_as_ever(pool: PoolServer, store: Store) -> None:
    pool.write(document("raises", {"1": store.put(RAISES)}))
    pool.serves("raises")
    stop = threading.Event()
    failed: list[int] = []

    def poison() -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                failed.append(pool.ask("raises", *POISON, client=client).status_code)

    threads = [threading.Thread(target=poison) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(failed) > 20, "failures")
        assert outcomes(pool, "quiet", 50) == {"1": 50}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(failed) == {500}
    assert pool.ask("raises").status_code == 200, "a good row is answered by the same model"
    assert pool.revisions("raises")["raises-00000001"]["state"] == "ready"


def test_a_label_counts_by_the_id_of_a_grpc_answer(pool: PoolServer, store: Store) -> None:
    pool.write(document("labelled", {"1": store.put(classifier(1))}))
    pool.serves("labelled")
    with channel(pool) as opened:
        answer, call = infer(opened).with_call(raw([[1.0, 2.0, 3.0, 4.0]], model_name="labelled"), timeout=60)
    token = dict(call.initial_metadata())["plimsoll-prediction-id"]
    assert [one.name for one in answer.outputs] == ["label", "probabilities"]
    label = int.from_bytes(answer.raw_output_contents[0], "little")
    same = pool.ask("labelled", 1.0, 2.0, 3.0, 4.0).json()["outputs"][0]["data"]
    assert same == [label]
    url = pool.url("/v2/models/labelled/feedback")
    said = httpx.post(url, json={"prediction_id": token, "label": label})
    assert said.json() == {"counted": 1, "repeated": 0, "refused": []}
    assert httpx.post(url, json={"prediction_id": token, "label": label}).json()["repeated"] == 1
    counted = pool.counts("plimsoll_feedback_total", "model", "version", "outcome", "age")
    assert counted["labelled 1 correct 1m"] == 1
