"""What the operator writes is what the programs read, and what they write is what the operator believes."""

from typing import Any

import pytest
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.core import outcome, run, versions
from plimsoll.core.result import Message, Result, accept, parse_message

from tests.builders import training as t
from tests.integration.training.conftest import Job


def asked(*modifiers: t.Modifier) -> tuple[run.Run, TrainingJobSpec]:
    manifest = t.training_job(*modifiers)
    manifest["metadata"]["uid"] = "1"
    spec = TrainingJobSpec.model_validate(manifest["spec"])
    return run.training_run(manifest, spec), spec


def believed(job: Job, raw: bytes, identity: run.Run, key: str) -> Result:
    message = parse_message(raw.decode())
    assert isinstance(message, Message)
    found = accept(job.get(key), message, run=identity.hash, key=key)
    assert isinstance(found, Result), found
    return found


@pytest.mark.parametrize("tolerance", [None, 0.01])
def test_a_run_becomes_a_version_and_then_a_champion(job: Job, tolerance: float | None) -> None:
    identity, spec = asked()
    job.asks(run.document(identity, spec, "training:1"))
    assert [job.call(verb).code for verb in ("fetch", "train", "upload")] == [0, 0, 0]
    published = job.call("publish")
    result = believed(job, published.raw, identity, identity.result_key)
    assert result.verdict == "Passed"
    manifest = versions.manifest(identity, spec, result, 1, {"signedBy": "key", "signature": "c2lnbmF0dXJl"})
    version = ModelVersionSpec.model_validate(manifest["spec"])
    assert job.get(version.artifact.uri)
    assert version.profile is not None and job.get(version.profile.uri)

    gate: dict[str, Any] = {"metric": "accuracy", "comparedTo": {"inferenceService": "digits"}}
    later, stricter = asked(t.with_spec(gates=[gate | ({"tolerance": tolerance} if tolerance else {})]))
    champion = {"digits": {"uri": version.artifact.uri, "sha256": version.artifact.sha256}}
    job.put(f"runs/{later.hash}/staging/model.onnx", job.get(version.artifact.uri))
    job.asks(run.document(later, stricter, "training:1", champion))
    again = believed(job, job.call("publish").raw, later, later.result_key)
    assert again.verdict == "Passed", again.gates


def test_a_service_without_a_version_is_no_champion(job: Job) -> None:
    identity, spec = asked(t.comparing())
    job.asks(run.document(identity, spec, "training:1", {"digits": None}))
    assert [job.call(verb).code for verb in ("fetch", "train", "upload")] == [0, 0, 0]
    result = believed(job, job.call("publish").raw, identity, identity.result_key)
    assert result.verdict == "Passed"


def test_failed_gates_are_believed_too(job: Job) -> None:
    identity, spec = asked(t.with_spec(gates=[{"metric": "accuracy", "min": 0.9999}]))
    job.asks(run.document(identity, spec, "training:1"))
    assert [job.call(verb).code for verb in ("fetch", "train", "upload")] == [0, 0, 0]
    result = believed(job, job.call("publish").raw, identity, identity.result_key)
    assert result.verdict == "GatesFailed"
    assert result.gates[0].requirement == "min 0.9999"


def test_a_rejected_model_is_believed_too(job: Job) -> None:
    identity, spec = asked()
    job.asks(run.document(identity, spec, "training:1"))
    job.put(f"runs/{identity.hash}/staging/model.onnx", b"no model")
    result = believed(job, job.call("publish").raw, identity, identity.result_key)
    assert result.verdict == "Rejected"
    assert result.reason


def test_a_users_mistake_is_understood(job: Job) -> None:
    trainer = {"sklearn": {"estimator": "LogisticRegression", "parameters": {"C": -1}}}
    identity, spec = asked(t.with_spec(trainer=trainer))
    job.asks(run.document(identity, spec, "training:1"))
    assert job.call("fetch").code == 0
    ended = job.call("train")
    assert ended.code == 2
    found = outcome.users_error("train", ended.raw.decode())
    assert found.reason == "InvalidParameters"
    assert "C" in found.message


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_a_verification_is_believed(job: Job, right: bool) -> None:
    identity, spec = asked()
    job.asks(run.document(identity, spec, "training:1"))
    assert [job.call(verb).code for verb in ("fetch", "train", "upload")] == [0, 0, 0]
    model = job.get(f"runs/{identity.hash}/staging/model.onnx")
    uri = job.put("mine.onnx", model if right else model + b"x")
    manifest = t.model_version(
        t.with_spec(artifact={"uri": uri, "sha256": run.digest(model), "sizeBytes": len(model), "format": "onnx"})
    )
    manifest["metadata"]["uid"] = "2"
    version = ModelVersionSpec.model_validate(manifest["spec"])
    wanted = run.verification_run(manifest, version)
    job.asks(run.verify_document(wanted, version, "training:1"))
    key = run.verification_key(wanted, version.artifact.sha256)
    result = believed(job, job.call("verify").raw, wanted, key)
    assert result.verdict == ("Passed" if right else "Rejected")
    assert (result.signature is not None) is right
