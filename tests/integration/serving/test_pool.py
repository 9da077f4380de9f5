"""Many models in one process: right answers, splits, memory, fairness, and what is wrong with one harms no other."""

import json
import statistics
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.pool.residents import FIXED_BYTES, LOADING_FACTOR

from tests.builders import onnx_models
from tests.integration.serving.grpc_client import channel, infer, raw, unary
from tests.integration.serving.harness import COEFFICIENTS, INTERCEPTS, eventually
from tests.integration.serving.pool_harness import PoolServer, Store, classifier, document, outcomes, seconds_of

Start = Callable[..., PoolServer]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a pool with these documents, and ends it."""
    made: list[PoolServer] = []

    def begin(*documents: dict[str, Any], **env: str) -> PoolServer:
        pool = PoolServer(tmp_path / f"pod-{len(made)}", **env)
        made.append(pool)
        pool.write(*documents)
        pool.start().wait_ready()
        return pool

    yield begin
    for pool in made:
        pool.end()


def expected(seed: int, row: list[float]) -> list[float]:
    coefficients, intercepts = onnx_models.weights(features=4, classes=3, seed=seed)
    scores = np.array(row, np.float32) @ coefficients + intercepts
    powers = np.exp(scores - scores.max())
    return [float(value) for value in powers / powers.sum()]


def probabilities(response: httpx.Response) -> list[float]:
    outputs = {one["name"]: one["data"] for one in response.json()["outputs"]}
    found: list[float] = outputs["probabilities"]
    return found


def test_twenty_services_answer_each_with_its_own_model(start: Start, store: Store) -> None:
    pool = start(*(document(f"m{seed}", {"1": store.put(classifier(seed))}) for seed in range(20)))
    row = [0.1, -0.2, 0.3, 0.4]
    with httpx.Client() as client:
        for seed in range(20):
            response = pool.ask(f"m{seed}", *row, client=client)
            assert response.status_code == 200, response.text
            assert response.headers["plimsoll-revision"] == f"m{seed}-00000001"
            assert probabilities(response) == pytest.approx(expected(seed, row), abs=1e-5)
    assert pool.get("/v2/models").json()["models"] == sorted(f"m{seed}" for seed in range(20))


def test_a_release_is_split_in_the_pod_and_counted_by_arm(start: Start, store: Store) -> None:
    files = {"1": store.put(classifier(1)), "2": store.put(classifier(2))}
    pool = start(document("a", {"1": files["1"]}), document("b", {"1": files["2"]}))
    pool.write(document("a", files, epoch=2, weights={"1": 70, "2": 30}))
    pool.follows("a", 2)
    eventually(lambda: pool.revisions("a")["a-00000002"]["state"] == "ready", "the candidate ready")
    found = outcomes(pool, "a", 200)
    assert 25 <= found["2"] <= 95, "200 requests at 30 %: 60 expected, σ 6.5"
    assert {version: pool.arms()[f"a-0000000{version} ok"] for version in "12"} == found
    assert pool.arms()["b-00000001 ok"] == 0
    epochs = pool.value("plimsoll_route_epoch", "revision")
    assert epochs == {"a-00000001": 2, "a-00000002": 2, "b-00000001": 1}

    pool.write(document("a", {"2": files["2"], "1": files["1"]}, epoch=3, weights={"2": 95, "1": 5}))
    pool.follows("a", 3)
    assert outcomes(pool, "a", 60)["2"] > 40


def test_a_failing_candidate_costs_its_users_nothing_and_is_counted(start: Start, store: Store) -> None:
    failing = store.put(onnx_models.failing_classifier(COEFFICIENTS, INTERCEPTS, feature=0, threshold=-1.0))
    files = {"1": store.put(classifier(1)), "2": failing}
    pool = start(document("a", files, weights={"1": 50, "2": 50}), document("b", {"1": files["1"]}))
    assert outcomes(pool, "a", 60) == {"1": 60}
    assert pool.arms()["a-00000002 server_error"] >= 5
    assert pool.value("plimsoll_fallback_requests_total", "revision")["a-00000002"] >= 5
    assert pool.get("/route", "metrics").json()["services"]["a"]["breakersOpen"] == ["a-00000002"]
    assert pool.arms()["b-00000001 server_error"] == 0


def test_a_sticky_header_keeps_its_users_with_one_version(start: Start, store: Store) -> None:
    files = {"1": store.put(classifier(1)), "2": store.put(classifier(2))}
    pool = start(document("a", files, weights={"1": 50, "2": 50}, sticky={"header": "x-user"}))
    pool.serves("a")

    def version(user: int) -> str:
        response = httpx.post(
            pool.url("/v2/models/a/infer"),
            json={"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]},
            headers={"x-user": str(user)},
        )
        return str(response.headers["plimsoll-model-version"])

    first = [version(user) for user in range(20)]
    assert set(first) == {"1", "2"}
    assert [version(user) for user in range(20)] == first


def test_what_does_not_fit_into_memory_is_put_out_and_comes_back_with_the_next_request(
    start: Start, store: Store
) -> None:
    """Each model is taken for about 2 MiB, and for 4 while it is loaded; there is room for three of eight."""
    wide = [onnx_models.weights(features=4, classes=70_000, seed=seed) for seed in range(8)]
    documents = [document(f"m{i}", {"1": store.put(onnx_models.linear_classifier(*one))}) for i, one in enumerate(wide)]
    pool = start(*documents, PLIMSOLL_POOL_MEMORY_BYTES=str(8 << 20), PLIMSOLL_MAX_QUEUE_SECONDS="600")
    failures: list[str] = []

    def use(first: int) -> None:
        with httpx.Client() as client:
            for turn in range(16):
                response = pool.ask(f"m{(first + turn) % 8}", client=client)
                if response.status_code != 200:
                    failures.append(response.text)

    threads = [threading.Thread(target=use, args=(first,)) for first in (0, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    memory = pool.value("plimsoll_pool_memory_bytes", "kind")
    assert memory["used"] <= memory["budget"]
    assert pool.value("plimsoll_pool_evictions_total")[""] > 0
    states = [one for i in range(8) for one in pool.revisions(f"m{i}").values()]
    assert {one["state"] for one in states} == {"ready"}
    assert 0 < sum(one["inMemory"] for one in states) < 8


def test_a_candidate_that_was_put_out_is_called_back_by_its_own_share_once_there_is_room(
    start: Start, store: Store
) -> None:
    """Eight services in a release at once, with room for half of their models: some candidate has to go. The process
    may grow by three times a model while it is loaded, and there is room for two of those."""
    names, files = "abcdefgh", [store.put(working(number, width=1024)) for number in range(16)]
    size = Path(files[0]["uri"][7:]).stat().st_size
    releases = [
        document(name, {"1": files[i], "2": files[i + 8]}, weights={"1": 50, "2": 50}) for i, name in enumerate(names)
    ]
    budget = 8 * (size + FIXED_BYTES)
    pool = start(*releases, PLIMSOLL_POOL_MEMORY_BYTES=str(budget), PLIMSOLL_MAX_QUEUE_SECONDS="600")

    def versions(name: str) -> set[str]:
        found = [pool.ask(name, -1.0, 1.0, 2.0, 3.0) for _ in range(8)]
        assert {one.status_code for one in found} == {200}
        return {one.headers["plimsoll-model-version"] for one in found}

    def out() -> list[str]:
        for name in names:
            versions(name)
        candidates = {name: pool.revisions(name)[f"{name}-00000002"] for name in names}
        return [name for name, one in candidates.items() if not one["inMemory"] and "beside" in one["reason"]]

    left = eventually(out, "a candidate for which there is no room")[0]
    assert pool.arms()[f"{left}-00000002 server_error"] == 0
    for name in names:
        if name != left:
            pool.remove(name)
    eventually(lambda: "2" in versions(left), "the candidate back in memory")
    assert pool.revisions(left)[f"{left}-00000002"]["reason"] == ""


def test_models_that_are_all_at_work_keep_the_others_waiting_and_never_take_more_than_the_budget(
    start: Start, store: Store
) -> None:
    """Eight models of about the same size, room for three: each works for a while, at the same time if it could."""
    files = [store.put(working(number)) for number in range(8)]
    budget = 24 * (LOADING_FACTOR * Path(files[0]["uri"][7:]).stat().st_size + FIXED_BYTES) // 10
    documents = [document(f"m{number}", {"1": file}) for number, file in enumerate(files)]
    pool = start(*documents, PLIMSOLL_POOL_MEMORY_BYTES=str(budget), PLIMSOLL_MAX_QUEUE_SECONDS="600")
    answered: list[int] = []

    def ask(number: int) -> None:
        with httpx.Client() as client:
            answered.extend(pool.ask(f"m{number}", client=client).status_code for _ in range(3))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        services = pool.get("/route", "metrics").json()["services"].values()
        most = max(most, sum(one["inMemory"] for service in services for one in service["revisions"].values()))
    assert answered == [200] * 24
    assert 1 <= most <= 3
    eventually(lambda: pool.value("plimsoll_pool_memory_bytes", "kind")["used"] <= budget, "what grew put out")


def test_a_model_for_which_there_is_no_room_in_time_is_refused_with_when_to_come_again(
    start: Start, store: Store
) -> None:
    files = [store.put(working(number)) for number in range(2)]
    budget = 3 * (LOADING_FACTOR * Path(files[0]["uri"][7:]).stat().st_size + FIXED_BYTES) // 2
    pool = start(
        *(document(f"m{number}", {"1": file}) for number, file in enumerate(files)),
        PLIMSOLL_POOL_MEMORY_BYTES=str(budget),
        PLIMSOLL_MAX_QUEUE_SECONDS="0.05",
    )
    held = threading.Thread(target=pool.ask, args=("m0", 60.0, 1.0, 2.0, 3.0))
    held.start()
    eventually(lambda: pool.counts("plimsoll_inflight_requests", "model")["m0"] == 1, "the first to be at work")
    refused = pool.ask("m1")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "leave no room for it" in refused.json()["error"]
    held.join()
    pool.serves("m1")


def working(number: int, width: int = 512) -> bytes:
    """A model, of some 2 MiB by default, that takes a while where the first feature is above 0; no two are alike."""
    return onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS + number, rounds=40, width=width, feature=0)


def test_a_model_that_no_memory_would_hold_is_refused_with_the_remedy(start: Start, store: Store) -> None:
    big = onnx_models.linear_classifier(*onnx_models.weights(features=4, classes=70_000))
    small = store.put(classifier(1))
    pool = start(
        document("big", {"1": store.put(big)}), document("a", {"1": small}), PLIMSOLL_POOL_MEMORY_BYTES=str(2 << 20)
    )
    assert pool.revisions("big")["big-00000001"]["state"] == "failed"
    response = pool.ask("big")
    assert response.status_code == 503
    assert "raise spec.resources.memory of the ServingPool" in response.json()["error"]
    assert pool.ask("a").status_code == 200


def test_a_model_that_is_always_asked_leaves_its_share_to_the_others(start: Start, store: Store) -> None:
    """Eight clients keep a heavy model busy; the client of a lighter one does not wait until a run of it has ended.

    Without a share of its own it waits for a seventh of the heavy one's time, with it for a fiftieth.
    """
    heavy, lighter = (onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS, rounds=rounds) for rounds in (2400, 15))
    documents = (document("busy", {"1": store.put(heavy)}), document("other", {"1": store.put(lighter)}))
    pool = start(*documents, PLIMSOLL_MAX_QUEUE_SECONDS="600")
    pool.serves("busy", "other")
    stop = threading.Event()
    waited: list[float] = []

    def hammer() -> None:
        with httpx.Client() as client:
            while not stop.is_set():
                waited.append(seconds_of(pool, "busy", client))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(waited) >= 16, "the busy model to be busy")
    with httpx.Client() as client:
        others = [seconds_of(pool, "other", client) for _ in range(15)]
    stop.set()
    for thread in threads:
        thread.join()
    assert statistics.median(others) < statistics.median(waited) / 14


def test_a_file_that_is_missing_is_said_and_harms_no_other_service(start: Start, store: Store, tmp_path: Path) -> None:
    late = classifier(5)
    missing = {"uri": f"file://{tmp_path}/store/{onnx_models.digest(late)}.onnx", "sha256": onnx_models.digest(late)}
    pool = start(document("a", {"1": store.put(classifier(1))}), document("late", {"1": missing}))
    assert pool.ask("a").status_code == 200
    response = pool.ask("late")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "does not exist" in response.json()["error"]
    assert pool.get("/v2/models/late/ready").status_code == 503
    told = pool.counts("plimsoll_model_state", "revision", "state")
    assert told == {"a-00000001 ready": 1, "late-00000001 waiting": 1}
    store.put(late)
    pool.serves("late")
    assert pool.get("/v2/models/late/ready").json()["ready"] is True


def test_an_artifact_with_another_digest_is_never_served(start: Start, store: Store) -> None:
    other = store.put(classifier(1)) | {"sha256": "0" * 64}
    pool = start(document("a", {"1": store.put(classifier(1))}), document("forged", {"1": other}))
    (told,) = pool.revisions("forged").values()
    assert told["state"] == "failed"
    assert "expected 0000" in told["reason"]
    assert pool.ask("forged").status_code == 503
    assert pool.ask("a").status_code == 200


def test_a_file_that_was_changed_on_the_disk_is_not_loaded(start: Start, store: Store) -> None:
    pool = start(document("a", {"1": store.put(classifier(1))}))
    folder = pool.files / "b-00000001"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(classifier(3))
    pool.write(document("b", {"1": store.put(classifier(2))}))
    eventually(lambda: pool.revisions("b"), "the service")
    eventually(lambda: pool.revisions("b")["b-00000001"]["state"] == "failed", "the refusal")
    assert "not the artifact that was released" in pool.revisions("b")["b-00000001"]["reason"]


def test_a_document_that_is_malformed_or_old_changes_nothing(start: Start, store: Store) -> None:
    files = {"1": store.put(classifier(1)), "2": store.put(classifier(2))}
    pool = start(document("a", files, epoch=5), document("b", files, epoch=5))
    pool.write_text("a", "{")
    pool.write(document("b", {"2": files["2"]}, epoch=4))
    eventually(lambda: any("document" in line["message"] for line in pool.log()), "a complaint")
    pool.write(document("c", files))
    pool.serves("c")
    assert outcomes(pool, "a", 5) == outcomes(pool, "b", 5) == {"1": 5}


def test_a_service_that_goes_takes_its_files_and_series_along_and_nothing_of_the_others(
    start: Start, store: Store
) -> None:
    pool = start(document("a", {"1": store.put(classifier(1))}), document("b", {"1": store.put(classifier(2))}))
    pool.remove("a")
    eventually(lambda: pool.ask("a").status_code == 404, "a gone")
    eventually(lambda: not (pool.files / "a-00000001").exists(), "its files gone")
    assert outcomes(pool, "b", 5) == {"1": 5}
    assert set(pool.value("plimsoll_route_epoch", "revision")) == {"b-00000001"}


def test_two_services_of_one_model_are_told_apart_by_host_or_by_name(start: Start, store: Store) -> None:
    east = document("east", {"1": store.put(classifier(1))}, model="digits")
    west = document("west", {"1": store.put(classifier(2))}, model="digits")
    pool = start(east, west, document("other", {"1": store.put(classifier(3))}))
    for name, host in (("digits", "east.demo.svc"), ("digits", "east:8080"), ("east", "")):
        assert pool.ask(name, host=host).headers["plimsoll-revision"] == "east-00000001"
    assert pool.ask("digits", host="west.demo.svc.cluster.local").headers["plimsoll-revision"] == "west-00000001"
    refused = pool.ask("digits")
    assert refused.status_code == 404
    assert "east, west" in refused.json()["error"]
    assert pool.ask("nobody").status_code == 404
    assert httpx.get(pool.url("/v2/models"), headers={"host": "west.demo.svc"}).json() == {"models": ["digits"]}


def test_the_repository_lists_every_service_with_its_state(start: Start, store: Store, tmp_path: Path) -> None:
    missing = {"uri": f"file://{tmp_path}/nowhere.onnx", "sha256": "0" * 64}
    files = {"1": store.put(classifier(1)), "2": store.put(classifier(2))}
    pool = start(
        document("b", files, weights={"1": 50, "2": 50}),
        document("a", {"2": files["2"]}),
        document("late", {"1": missing}),
    )
    pool.serves("a", "b")
    url = pool.url("/v2/repository/index")
    listed = httpx.post(url).json()
    assert [(one["name"], one["version"], one["state"]) for one in listed] == [
        ("a", "2", "READY"),
        ("b", "1", "READY"),
        ("late", "1", "LOADING"),
    ]
    assert "does not exist" in listed[2]["reason"]
    assert [one["name"] for one in httpx.post(url, json={"ready": True}).json()] == ["a", "b"]
    assert [one["name"] for one in httpx.post(url, headers={"host": "b.team.svc"}).json()] == ["b"]
    load, unload = (httpx.post(pool.url(f"/v2/repository/models/{name}/{verb}")) for name, verb in LOADS)
    assert (load.status_code, unload.status_code) == (403, 404)
    assert "with its first request" in load.json()["error"]
    with channel(pool) as opened:
        told = unary(opened, "RepositoryIndex")(message("inference.RepositoryIndexRequest")())
    assert [(one.name, one.state) for one in told.models] == [("a", "READY"), ("b", "READY"), ("late", "LOADING")]


LOADS = (("a", "load"), ("unknown", "unload"))


def test_grpc_clients_are_told_apart_by_authority_or_by_name_and_refused_in_their_own_form(
    start: Start, store: Store
) -> None:
    east = document("east", {"1": store.put(classifier(1))}, model="digits")
    west = document("west", {"1": store.put(classifier(2))}, model="digits")
    pool = start(east, west)
    row = [[0.1, 0.2, 0.3, 0.4]]
    for seed, name, options in (
        (1, "east", {}),
        (2, "west", {}),
        (2, "digits", {"grpc__default_authority": "west.demo.svc:8081"}),
    ):
        with channel(pool, **options) as opened:
            answer = infer(opened)(raw(row, model_name=name), timeout=60)
        found = dict(zip([one.name for one in answer.outputs], answer.raw_output_contents, strict=True))
        assert np.frombuffer(found["probabilities"], np.float32) == pytest.approx(expected(seed, row[0]), abs=1e-5)
    with channel(pool) as opened, pytest.raises(grpc.RpcError) as refused:
        infer(opened)(raw(row, model_name="digits"), timeout=60)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert "east, west" in refused.value.details()


def test_a_version_is_asked_by_its_own_path_and_belongs_to_no_arm(start: Start, store: Store) -> None:
    files = {"1": store.put(classifier(1)), "2": store.put(classifier(2))}
    pool = start(document("a", files))
    assert pool.ask("a/versions/2").headers["plimsoll-model-version"] == "2"
    assert pool.get("/v2/models/a/versions/2").json()["versions"] == ["2"]
    assert pool.ask("a/versions/3").status_code == 404
    older = httpx.post(pool.url("/v1/models/a/versions/2:predict"), json={"instances": [[1, 2, 3, 4]]}, timeout=20)
    assert (older.status_code, older.headers["plimsoll-model-version"]) == (200, "2")
    assert sum(pool.arms().values()) == 0


def test_the_operator_asks_only_for_the_revisions_of_one_service(start: Start, store: Store) -> None:
    pool = start(*(document(f"m{i}", {"1": store.put(classifier(i))}) for i in range(5)))
    text = pool.get("/metrics?revision[]=m3-00000001&name[]=plimsoll_model_state", "metrics").text
    assert "m3-00000001" in text
    assert "m2-00000001" not in text


def test_a_model_that_killed_the_process_twice_is_not_loaded_again(tmp_path: Path, store: Store) -> None:
    pool = PoolServer(tmp_path / "pod")
    (pool.files / "marks").mkdir(parents=True)
    (pool.files / "marks" / "a-00000001.loading").write_text("2")
    pool.write(document("a", {"1": store.put(classifier(1))}), document("b", {"1": store.put(classifier(2))}))
    try:
        pool.start().wait_ready()
        assert "died 2 times while it loaded" in pool.revisions("a")["a-00000001"]["reason"]
        assert pool.ask("b").status_code == 200
        assert list((pool.files / "marks").glob("*.loading")) == [pool.files / "marks" / "a-00000001.loading"]
    finally:
        pool.end()


def test_a_model_that_kills_the_process_in_its_runs_is_found_and_its_neighbours_go_on(
    tmp_path: Path, store: Store
) -> None:
    """Two models run when the process dies: both are under suspicion. The next death has one of them to blame."""
    slow = store.put(onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS, rounds=1000, feature=0))
    pool = PoolServer(tmp_path / "pod")
    pool.write(*(document(name, {"1": slow}) for name in ("bad", "good")))
    pool.write(document("quick", {"1": store.put(classifier(2))}))
    try:
        pool.start().wait_ready()
        pool.die_while_running("bad", "good")
        pool.restart().wait_ready()
        assert {one["state"] for name in ("bad", "good") for one in pool.revisions(name).values()} == {"ready"}
        pool.die_while_running("bad")
        pool.restart().wait_ready()
        (told,) = pool.revisions("bad").values()
        assert (told["state"], "died 2 times while it ran this model" in told["reason"]) == ("failed", True)
        assert pool.ask("bad").status_code == 503
        assert pool.ask("quick").status_code == 200
        assert [one["state"] for one in pool.revisions("good").values()] == ["ready"]
        pool.remove("bad")
        eventually(lambda: not list((pool.files / "marks").glob("bad-*")), "its mark gone")
    finally:
        pool.end()


def test_both_processes_end_in_order_when_they_are_told_to(start: Start, store: Store) -> None:
    pool = start(document("a", {"1": store.put(classifier(1))}))
    assert pool.stop() == 0
    assert pool.stop_fetcher() == 0
    assert json.loads(pool.log_path.read_text().splitlines()[-1])["message"].startswith("stopped")
