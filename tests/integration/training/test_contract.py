"""The operator and the programs share no code: what one writes, the other reads."""

from typing import Any

import pytest
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.core import run as asked
from plimsoll.core.result import Result, accept, parse_message

from tests.integration.training.conftest import Job
from tests.integration.training.runs import CSV_KEY, sign_model, sign_table

SPEC: dict[str, Any] = {
    "model": "digits",
    "task": "Classification",
    "data": {"training": {"uri": "sklearn://digits"}, "split": {"fraction": 0.25}},
    "target": "target",
    "trainer": {"sklearn": {"estimator": "GaussianNB", "parameters": {"var_smoothing": 0.01}}},
    "gates": [{"metric": "accuracy", "min": 0.5, "comparedTo": {"inferenceService": "digits"}, "tolerance": 0.01}],
    "seed": 7,
}


def resource(name: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "demo", "name": name, "uid": "0b5c"}}


def test_the_operator_accepts_what_a_run_of_its_own_document_reports(job: Job) -> None:
    spec = TrainingJobSpec.model_validate(SPEC)
    run = asked.training_run(resource("digits"), spec)
    job.asks(asked.document(run, spec, "plimsoll-training:1"))
    for verb in ("fetch", "train", "upload"):
        assert job.call(verb).code == 0
    message = parse_message(job.call("publish").raw.decode())
    assert message is not None
    result = accept(job.get(run.result_key), message, run=run.hash, key=run.result_key)
    assert isinstance(result, Result), result
    assert (result.verdict, [gate.passed for gate in result.gates]) == ("Passed", [True])


@pytest.mark.parametrize(
    ("staged", "gates", "verdict"),
    [(sign_model(0.0), [{"metric": "accuracy", "min": 0.99}], "GatesFailed"), (b"no model", [], "Rejected")],
)
def test_the_operator_accepts_a_verdict_against_a_model(
    job: Job, staged: bytes, gates: list[Any], verdict: str
) -> None:
    data = {"training": {"uri": job.put(CSV_KEY, sign_table())}, "split": {"fraction": 0.25}}
    spec = TrainingJobSpec.model_validate({**SPEC, "data": data, "gates": gates})
    run = asked.training_run(resource("digits"), spec)
    job.asks(asked.document(run, spec, "plimsoll-training:1"))
    job.put(f"runs/{run.hash}/staging/model.onnx", staged)
    message = parse_message(job.call("publish").raw.decode())
    assert message is not None
    result = accept(job.get(run.result_key), message, run=run.hash, key=run.result_key)
    assert isinstance(result, Result), result
    assert result.verdict == verdict


def test_the_operator_accepts_a_verification(job: Job) -> None:
    uri = job.put("elsewhere/model.onnx", sign_model())
    artifact = {"uri": uri, "sha256": asked.digest(sign_model()), "sizeBytes": len(sign_model()), "format": "onnx"}
    spec = ModelVersionSpec.model_validate({"model": "digits", "artifact": artifact})
    run = asked.verification_run(resource("digits-v1"), spec)
    job.asks(asked.verify_document(run, spec, "plimsoll-training:1"))
    message = parse_message(job.call("verify").raw.decode())
    assert message is not None
    key = asked.verification_key(run, artifact["sha256"])
    result = accept(job.get(key), message, run=run.hash, key=key)
    assert isinstance(result, Result), result
    assert result.verdict == "Passed"
