"""Whether a ModelVersion that a user made is what it claims to be."""

import hashlib
from typing import Any

import pytest
from onnx import TensorProto, helper

from tests.builders import echo_models
from tests.builders.onnx_models import model_bytes
from tests.integration.training.conftest import Job
from tests.integration.training.runs import as_json, sign_model, verification

SIGNATURE = {
    "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "label", "datatype": "INT64", "shape": [-1]},
    ],
}
OTHER = {**SIGNATURE, "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}]}


def test_an_artifact_that_is_what_it_claims_passes(job: Job) -> None:
    uri = job.put("elsewhere/model.onnx", sign_model())
    run = verification(uri, sign_model(), signature=SIGNATURE)
    outcome = job.asks(run).process("verify")
    assert outcome.code == 0, outcome.log
    written = job.get(run["resultKey"])
    assert outcome.message == {
        "verdict": "Passed",
        "digest": run["artifact"]["sha256"],
        "result": hashlib.sha256(written).hexdigest(),
    }
    result = as_json(written)
    assert result["artifact"] == {**run["artifact"], "format": "onnx"}
    assert {one["name"] for one in result["signature"]["outputs"]} == {"label", "probabilities"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"artifact": {"sha256": "0" * 64}}, "artifact.sha256 says 0000"),
        ({"artifact": {"sizeBytes": 5}}, "artifact.sizeBytes says 5"),
        ({"artifact": {"sizeBytes": 2**21}}, "artifact.sizeBytes 2097152 is more than the limit of 1048576 bytes"),
        ({"limits": {"modelBytes": 100}, "artifact": {"sizeBytes": 99}}, "the model has more than 100 bytes"),
        ({"signature": OTHER}, "signature.inputs is input FP32[-1, 4], the model has input FP32[-1, 3]"),
        ({"artifact": {"uri": "s3://{bucket}/nowhere.onnx"}}, "artifact.uri: s3://"),
        ({"task": "Regression"}, "a model for Regression needs an output prediction"),
    ],
)
def test_an_artifact_that_is_not_what_it_claims_is_rejected(job: Job, changes: dict[str, Any], reason: str) -> None:
    uri = job.put("elsewhere/model.onnx", sign_model())
    run = verification(
        uri, sign_model(), **{key: dict(value) if isinstance(value, dict) else value for key, value in changes.items()}
    )
    run["artifact"]["uri"] = run["artifact"]["uri"].format(bucket=job.bucket)
    outcome = job.asks(run).call("verify")
    assert (outcome.code, outcome.message["verdict"]) == (0, "Rejected")
    assert reason in as_json(job.get(run["resultKey"]))["reason"]


def test_verifying_again_adopts_the_earlier_finding(job: Job) -> None:
    run = verification(job.put("elsewhere/model.onnx", sign_model()), sign_model())
    first = job.asks(run).call("verify")
    again = job.asks({**run, "run": {**run["run"], "uid": "2"}}).call("verify")
    assert again.message == first.message


def test_an_input_too_large_to_try_is_rejected(job: Job) -> None:
    vast = helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 2**40])
    total = helper.make_tensor_value_info("sum", TensorProto.FLOAT, None)
    model = model_bytes([helper.make_node("ReduceSum", ["input"], ["sum"])], [vast], [total])
    run = verification(job.put("elsewhere/model.onnx", model), model)
    assert job.asks(run).call("verify").message["verdict"] == "Rejected"
    assert "is too large to try" in as_json(job.get(run["resultKey"]))["reason"]


def test_a_version_that_answers_dictionaries_is_described_as_it_is_served(job: Job) -> None:
    """Its digest is that of the file as it is: nothing may be changed in it."""
    model = echo_models.of_classes(["blau", "gelb"])
    run = verification(job.put("elsewhere/model.onnx", model), model)
    assert job.asks(run).call("verify").message["verdict"] == "Passed"
    found = as_json(job.get(run["resultKey"]))
    assert found["signature"]["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": [-1, -1]}]


@pytest.mark.parametrize("model", [echo_models.of_bf16(), echo_models.of_text_and_bf16()], ids=["numbers", "text"])
def test_a_version_with_bf16_passes(job: Job, model: bytes) -> None:
    run = verification(job.put("elsewhere/model.onnx", model), model)
    assert job.asks(run).call("verify").message["verdict"] == "Passed"
    found = as_json(job.get(run["resultKey"]))["signature"]
    assert "BF16" in {one["datatype"] for one in found["inputs"]}


def test_a_version_that_answers_bf16_to_text_is_rejected_as_the_server_would_refuse_it(job: Job) -> None:
    model = echo_models.of_every_type(["BYTES", "BF16"])
    run = verification(job.put("elsewhere/model.onnx", model), model)
    assert job.asks(run).call("verify").message["verdict"] == "Rejected"
    assert "cast these outputs to FP32" in as_json(job.get(run["resultKey"]))["reason"]
