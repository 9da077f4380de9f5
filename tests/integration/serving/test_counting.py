"""What a real server counts of its answers: bins by the profile, and labels that come later."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.builders import onnx_models
from tests.integration.serving.harness import (
    COEFFICIENTS,
    INTERCEPTS,
    MODEL,
    RIGHT,
    Server,
    eventually,
    running,
    session,
    v2,
    write_route,
)

FEEDBACK = f"/v2/models/{MODEL}/feedback"
EDGES = [-1.0, 0.0, 1.0]
PROFILE = json.dumps(
    {
        "formatVersion": 1,
        "features": [
            {"name": name, "index": index, "edges": EDGES, "counts": [1, 1, 1, 1], "range": [-3.0, 3.0]}
            for index, name in enumerate("abcd")
        ],
        "outputs": [
            {"name": "label", "values": [2, 0, 1], "counts": [1, 1, 1, 0]},
            {"name": "probabilities", "edges": [0.5, 0.75], "counts": [1, 1, 1], "range": [0.34, 1.0]},
        ],
        "sample": [{"input": [1.0, 2.0, 3.0, 4.0]}],
    }
).encode()


def profiled(folder: Path, revision: str, version: str = "1", model: bytes = RIGHT, **env: str) -> Server:
    """A server whose version has a profile."""
    server = Server(folder, model, revision, version, PLIMSOLL_PROFILE_SHA256=onnx_models.digest(PROFILE), **env)
    (folder / "profile.json").write_bytes(PROFILE)
    return server


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_text("the key of all pods of this service\n")
    return str(path)


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory, key: str) -> Iterator[tuple[Server, Server, Server]]:
    """Two versions of a service with one key, and a pod that has none."""
    folder = tmp_path_factory.mktemp("pods")
    shared = {"PLIMSOLL_FEEDBACK_KEY_FILE": key, "PLIMSOLL_SERVICE": "digits", "PLIMSOLL_NAMESPACE": "demo"}
    other = onnx_models.linear_classifier(COEFFICIENTS, -INTERCEPTS)
    stable = profiled(folder / "stable", "digits-aaaa", "1", **shared)
    candidate = profiled(folder / "candidate", "digits-bbbb", "2", other, **shared)
    lonely = profiled(folder / "lonely", "digits-cccc", "3", **shared | {"PLIMSOLL_FEEDBACK_KEY_FILE": ""})
    with running(stable, candidate, lonely):
        yield stable, candidate, lonely


def bins(server: Server, what: str) -> Counter[str]:
    return Counter(
        {
            name: int(value)
            for name, value in server.counts(f"plimsoll_{what}_bin_total", what_label(what), "bin").items()
        }
    )


def what_label(what: str) -> str:
    return {"prediction": "output", "feature": "feature"}[what]


def expected_bin(value: float, edges: list[float], low: float, high: float) -> str:
    if math.isnan(value):
        return "missing"
    if math.isinf(value):
        return "infinite"
    if not low <= value <= high:
        return "below_range" if value < low else "above_range"
    return next((f"le:{edge}" for edge in edges if value <= edge), "le:+Inf")


def answered(rows: list[list[float]]) -> tuple[list[int], list[float]]:
    """Labels and highest probabilities by ONNX Runtime itself."""
    labels, probabilities = session(RIGHT).run(["label", "probabilities"], {"input": np.array(rows, np.float32)})
    return labels.tolist(), probabilities.max(axis=1).tolist()


def test_warm_up_and_probes_are_counted_nowhere(tmp_path: Path) -> None:
    with running(profiled(tmp_path, "digits-fresh")) as (server,):
        server.get("/v2/health/ready")
        server.get(f"/v2/models/{MODEL}")
        assert set(bins(server, "feature").values()) == {0}
        assert set(bins(server, "prediction").values()) == {0}
        assert set(server.counts("plimsoll_bin_rows_total", "outcome").values()) == {0}
        assert set(server.counts("plimsoll_payload_log_events_total", "outcome")) == {"written", "dropped", "failed"}


def test_every_row_is_in_the_bins_of_the_profile_at_the_next_scrape(pods: tuple[Server, ...]) -> None:
    stable, *_ = pods
    before = bins(stable, "feature"), bins(stable, "prediction")
    generator = np.random.default_rng(5)
    rows = np.round(generator.normal(size=(60, 4)) * 2, 1).tolist()
    with httpx.Client() as client:
        for at in range(0, 30, 3):
            client.post(stable.url(), json=v2(*rows[at : at + 3]))
        for row in rows[30:]:
            client.post(stable.url(port="direct"), json=v2(row))
    found = bins(stable, "feature") - before[0]
    assert found == Counter(
        f"{name} {expected_bin(float(np.float32(row[index])), EDGES, -3, 3)}"
        for row in rows
        for index, name in enumerate("abcd")
    )
    labels, highest = answered(rows)
    assert bins(stable, "prediction") - before[1] == Counter(
        [f"label value:{label}" for label in labels]
        + [f"probabilities {expected_bin(value, [0.5, 0.75], 0.34, 1.0)}" for value in highest]
    )


def test_missing_and_infinite_values_are_counted_in_and_out(pods: tuple[Server, ...]) -> None:
    stable, *_ = pods
    before = bins(stable, "feature"), bins(stable, "prediction")
    assert stable.infer(v2(["NaN", "Infinity", "-Infinity", 9])).status_code == 200  # type: ignore[list-item]
    features = bins(stable, "feature") - before[0]
    assert features == Counter({"a missing": 1, "b infinite": 1, "c infinite": 1, "d above_range": 1})
    assert (bins(stable, "prediction") - before[1])["probabilities nan"] == 1


def test_what_the_model_refused_is_not_counted(pods: tuple[Server, ...]) -> None:
    stable, *_ = pods
    before = bins(stable, "feature")
    assert stable.infer({"inputs": []}).status_code == 400
    assert bins(stable, "feature") == before


def test_a_delegated_request_is_counted_by_the_pod_that_answers(pods: tuple[Server, ...]) -> None:
    stable, candidate, _ = pods
    before = bins(stable, "feature").total(), bins(candidate, "feature").total()
    write_route([stable, candidate], stable, epoch=3, weights=[0, 100])
    answer = stable.infer(v2([1, 2, 3, 4], [1, 2, 3, 4]))
    assert answer.headers["plimsoll-model-version"] == "2"
    assert bins(stable, "feature").total() == before[0]
    assert bins(candidate, "feature").total() == before[1] + 8
    assert _counted(stable, answer.headers["plimsoll-prediction-id"], answer) == 2
    assert candidate.counts("plimsoll_feedback_total", "version")["2"] == 0
    assert _feedback(stable)["2 correct 1m"] >= 2
    write_route([stable, candidate], stable, epoch=4, weights=[100, 0])


def _feedback(server: Server) -> dict[str, float]:
    return server.counts("plimsoll_feedback_total", "version", "outcome", "age")


def _counted(server: Server, token: str, answer: httpx.Response) -> int:
    labels = next(one["data"] for one in answer.json()["outputs"] if one["name"] == "label")
    said = httpx.post(server.url(FEEDBACK), json={"prediction_id": token, "label": labels})
    assert said.status_code == 200, said.text
    return int(said.json()["counted"])


def test_a_label_counts_at_any_pod_of_the_service_for_the_version_that_predicted(pods: tuple[Server, ...]) -> None:
    stable, candidate, _ = pods
    before = _feedback(candidate)
    answer = stable.infer(v2([1, 2, 3, 4], [4, 3, 2, 1]))
    token = answer.headers["plimsoll-prediction-id"]
    labels = next(one["data"] for one in answer.json()["outputs"] if one["name"] == "label")
    wrong = (labels[1] + 1) % 3
    said = httpx.post(candidate.url(FEEDBACK), json={"prediction_id": token, "label": [labels[0], wrong]})
    assert said.json() == {"counted": 2, "repeated": 0, "refused": []}
    after = _feedback(candidate)
    assert after["1 correct 1m"] - before.get("1 correct 1m", 0) == 1
    assert after["1 incorrect 1m"] - before.get("1 incorrect 1m", 0) == 1
    again = httpx.post(candidate.url(FEEDBACK), json=[{"prediction_id": token, "label": labels}])
    assert again.json() == {"counted": 0, "repeated": 1, "refused": []}
    assert _feedback(candidate) == after


def test_without_the_shared_key_an_id_is_valid_in_its_own_pod_only_and_the_log_says_so(
    pods: tuple[Server, ...],
) -> None:
    stable, _, lonely = pods
    answer = lonely.infer(v2([1, 2, 3, 4]))
    token = answer.headers["plimsoll-prediction-id"]
    refused = httpx.post(stable.url(FEEDBACK), json={"prediction_id": token, "label": 1})
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("prediction_id is not signed by this service")
    assert stable.counts("plimsoll_feedback_refused_total", "reason")["signature"] >= 1
    assert _counted(lonely, token, answer) == 1
    assert any("valid in this pod only" in line["message"] for line in lonely.log())


def test_feedback_is_posted_and_nothing_else(pods: tuple[Server, ...]) -> None:
    stable, *_ = pods
    assert stable.get(FEEDBACK).status_code == 405
    assert httpx.post(stable.url(FEEDBACK), content=b"{").status_code == 400
    assert httpx.post(stable.url("/v2/models/other/feedback"), json={}).status_code == 404


def test_an_answer_without_its_label_has_no_id(pods: tuple[Server, ...]) -> None:
    stable, *_ = pods
    answer = stable.infer(v2([1, 2, 3, 4], outputs=[{"name": "probabilities"}]))
    assert answer.status_code == 200
    assert "plimsoll-prediction-id" not in answer.headers


def test_a_slow_model_in_worker_threads_is_counted_as_well(tmp_path: Path) -> None:
    slow = onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS, rounds=20)
    with running(profiled(tmp_path, "digits-slow", model=slow)) as (server,):
        tokens = {server.infer(v2([1, 2, 3, 4])).headers["plimsoll-prediction-id"] for _ in range(4)}
        assert len(tokens) == 4
        eventually(lambda: server.counts("plimsoll_bin_rows_total", "outcome")["counted"] == 4, "four rows are counted")


def test_a_profile_that_cannot_be_read_costs_its_bins_only(tmp_path: Path) -> None:
    broken = json.dumps({"features": [{"name": "a"}], "outputs": [], "sample": []}).encode()
    server = Server(tmp_path, RIGHT, "digits-x", PLIMSOLL_PROFILE_SHA256=onnx_models.digest(broken))
    (tmp_path / "profile.json").write_bytes(broken)
    with running(server):
        assert server.infer(v2([1, 2, 3, 4])).status_code == 200
        assert bins(server, "prediction")["probabilities finite"] == 1
        assert any("features[0] has neither values nor edges" in line["message"] for line in server.log())
