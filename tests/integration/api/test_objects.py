"""What users see of stored objects: what may change, columns, explanations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from plimsoll.api.kinds import KINDS

from tests.integration.api.apiserver import PLURALS, TABLE, ApiServer, Manifest, Refused, cases

IMMUTABLE = "cannot change: a ModelVersion is immutable but for approval; make a new one"
DIGEST = "f" * 64


@pytest.fixture(scope="module")
def version(server: ApiServer) -> Manifest:
    """A ModelVersion with every field. It goes with its namespace, whatever its status says of who uses it."""
    full = next(case for case in cases("good_manifests", "ModelVersion") if case["case"] == "everything")
    return server.create(full["manifest"])


@pytest.fixture(scope="module")
def job(server: ApiServer) -> Manifest:
    return server.create(cases("good_manifests", "TrainingJob")[0]["manifest"])


@pytest.fixture(scope="module")
def service(server: ApiServer) -> Manifest:
    return server.create(cases("good_manifests", "InferenceService")[0]["manifest"])


@pytest.mark.parametrize(
    ("field", "change"),
    [
        pytest.param("artifact", {"artifact": {"sha256": DIGEST}}, id="another artifact"),
        pytest.param("artifact", {"artifact": {"sizeBytes": 5}}, id="another size"),
        pytest.param("signature", {"signature": None}, id="no signature"),
        pytest.param(
            "signature", {"signature": {"outputs": [{"name": "a", "datatype": "FP32", "shape": [1]}]}}, id="outputs"
        ),
        pytest.param("metrics", {"metrics": {"accuracy": 0.99}}, id="a better metric"),
        pytest.param("metrics", {"metrics": {"f1_macro": 0.9}}, id="one more metric"),
        pytest.param("metrics", {"metrics": None}, id="no metrics"),
        pytest.param("profile", {"profile": {"sha256": DIGEST}}, id="another profile"),
        pytest.param("lineage", {"lineage": {"seed": 8}}, id="another seed"),
        pytest.param("lineage", {"lineage": {"parameters": {"C": 0.2}}}, id="another parameter"),
        pytest.param("lineage", {"lineage": {"datasets": []}}, id="no data sets"),
        pytest.param("provenance", {"provenance": {"signature": "eA=="}}, id="another signature"),
        pytest.param("provenance", {"provenance": None}, id="no provenance"),
        pytest.param("requireApproval", {"requireApproval": False}, id="without approval"),
    ],
)
def test_a_version_cannot_change(server: ApiServer, version: Manifest, field: str, change: Manifest) -> None:
    with pytest.raises(Refused) as refusal:
        server.patch("ModelVersion", version["metadata"]["name"], {"spec": change}, dry_run=True)
    assert refusal.value.sentences == [f"spec.{field}: Invalid value: {field} {IMMUTABLE}"]


def test_a_version_cannot_pass_to_another_model(server: ApiServer, version: Manifest) -> None:
    with pytest.raises(Refused) as refusal:
        server.patch("ModelVersion", version["metadata"]["name"], {"spec": {"model": "iris"}}, dry_run=True)
    assert f"spec.model: Invalid value: model {IMMUTABLE}" in refusal.value.sentences


@pytest.mark.parametrize("approval", [{"decision": "Rejected", "by": "bob", "reason": "biased"}, None])
def test_an_approval_may_change_and_vanish(server: ApiServer, version: Manifest, approval: Manifest | None) -> None:
    name = version["metadata"]["name"]
    stored = server.patch("ModelVersion", name, {"spec": {"approval": approval}}, dry_run=True)
    assert stored["spec"].get("approval") == approval


def test_a_training_job_keeps_its_model_and_may_change_else(server: ApiServer, job: Manifest) -> None:
    with pytest.raises(Refused) as refusal:
        server.patch("TrainingJob", "digits", {"spec": {"model": "iris"}}, dry_run=True)
    assert refusal.value.sentences == [
        "spec.model: Invalid value: model cannot change: make another TrainingJob for another model"
    ]
    changed = server.patch("TrainingJob", "digits", {"spec": {"seed": 1, "rerunToken": "x"}}, dry_run=True)
    assert changed["spec"]["seed"] == 1


def test_a_status_does_not_touch_the_spec_nor_the_generation(server: ApiServer, service: Manifest) -> None:
    change = {"spec": {"model": {"name": "iris"}}, "status": {"phase": "Pending"}}
    stored = server.patch("InferenceService", "digits", change, "/status", dry_run=True)
    assert stored["spec"] == service["spec"]
    assert stored["metadata"]["generation"] == service["metadata"]["generation"]
    assert stored["status"]["phase"] == "Pending"


CONDITIONS = [
    {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "2 of 2 pods",
        "lastTransitionTime": "2026-11-22T12:00:00Z",
    },
    {
        "type": "Promoted",
        "status": "False",
        "reason": "Analyzing",
        "message": "",
        "lastTransitionTime": "2026-11-22T12:00:00Z",
    },
]


def test_the_columns_of_a_service_tell_how_its_release_goes(server: ApiServer, service: Manifest) -> None:
    status = {
        "phase": "Analyzing",
        "stable": {"revision": "digits-0a1b2c3d", "version": "6"},
        "message": "step 1 of 2: 120 of 200 requests",
        "candidate": {"revision": "digits-4e5f6a7b", "version": "7"},
        "weight": 20,
        "step": "1/2",
        "conditions": CONDITIONS,
        "verdict": {
            "outcome": "Inconclusive",
            "mode": "Sequential",
            "reason": "too few requests",
            "at": "2026-11-22T12:00:00Z",
        },
    }
    row = _row(server, "InferenceService", "digits", status)
    shown = [row[name] for name in ("Phase", "Stable", "Candidate", "Weight", "Step", "Ready", "Verdict", "Message")]
    assert shown == ["Analyzing", "6", "7", 20, "1/2", "True", "Inconclusive", "step 1 of 2: 120 of 200 requests"]
    assert [*row][:10] == [
        "Name",
        "Phase",
        "Stable",
        "Candidate",
        "Weight",
        "Step",
        "Ready",
        "Verdict",
        "Message",
        "Age",
    ]


def test_the_columns_of_a_training_job_tell_its_result(server: ApiServer, job: Manifest) -> None:
    status = {
        "phase": "Succeeded",
        "modelVersion": "digits-v7",
        "summary": "accuracy 0.9711 ≥ 0.9",
        "conditions": CONDITIONS[:1],
    }
    row = _row(server, "TrainingJob", "digits", status)
    shown = [row[name] for name in ("Phase", "Version", "Result", "Ready", "Why", "Model", "Data")]
    assert shown == [
        "Succeeded",
        "digits-v7",
        "accuracy 0.9711 ≥ 0.9",
        "True",
        "2 of 2 pods",
        "digits",
        "sklearn://digits",
    ]


def test_the_columns_of_a_version_tell_who_serves_it(server: ApiServer, version: Manifest) -> None:
    status = {
        "phase": "Ready",
        "summary": "accuracy 0.9711",
        "inUseBy": ["digits", "digits-eu"],
        "conditions": CONDITIONS[:1],
    }
    row = _row(server, "ModelVersion", version["metadata"]["name"], status)
    shown = [row[name] for name in ("Phase", "Result", "Serves", "Ready", "Approval", "By")]
    assert shown == ["Ready", "accuracy 0.9711", '["digits","digits-eu"]', "True", "Approved", "ada@example.com"]


def _row(server: ApiServer, kind: str, name: str, status: Manifest) -> dict[str, Any]:
    """The row of `kubectl get -o wide`, as the API server renders it."""
    server.patch(kind, name, {"status": status}, "/status")
    table = server.call("GET", server.path(kind, name), Accept=TABLE)
    columns = sorted(
        zip(table["columnDefinitions"], table["rows"][0]["cells"], strict=True), key=lambda pair: pair[0]["priority"]
    )
    return {column["name"]: cell for column, cell in columns}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kubectl_explain_has_a_text_for_every_field(server: ApiServer, kind: Any) -> None:
    published = server.call("GET", "/openapi/v3/apis/plimsoll.dev/v1alpha1")["components"]["schemas"]
    schema = published[f"dev.plimsoll.v1alpha1.{kind.name}"]
    assert set(schema["properties"]) >= {"spec", "status"}
    for part in ("spec", "status"):
        silent = [path for path, text in _explained(schema["properties"][part], part) if not text]
        assert silent == []


def _explained(schema: Manifest, path: str) -> Iterator[tuple[str, str]]:
    yield path, schema.get("description", "")
    for name, field in schema.get("properties", {}).items():
        yield from _explained(field, f"{path}.{name}")
    for name, field in schema.get("items", {}).get("properties", {}).items():
        yield from _explained(field, f"{path}[].{name}")


@pytest.mark.parametrize("kind", PLURALS)
def test_short_names_and_the_category_are_served(server: ApiServer, kind: str) -> None:
    found = server.call("GET", "/apis/plimsoll.dev/v1alpha1")["resources"]
    resource = next(entry for entry in found if entry["name"] == PLURALS[kind])
    assert resource["categories"] == ["mlops"]
    assert resource["shortNames"] == [next(entry.short_name for entry in KINDS if entry.name == kind)]
