"""What a publisher refuses, what it measures, and what it leaves in the store."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

from tests.builders.onnx_models import linear_classifier
from tests.integration.training.conftest import Job
from tests.integration.training.runs import CSV_KEY, RUN_HASH, gate, sign_model, sign_table, table_run

Change = Callable[[onnx.ModelProto], None]


@pytest.fixture
def data(job: Job) -> str:
    return job.put(CSV_KEY, sign_table())


def changed(change: Change, model: bytes | None = None) -> bytes:
    """`sign_model`, altered."""
    proto = onnx.load_model_from_string(sign_model() if model is None else model)
    change(proto)
    return proto.SerializeToString()


def _external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def _external_in_a_branch(model: onnx.ModelProto) -> None:
    inner = onnx.load_model_from_string(changed(_external)).graph
    branch = helper.make_graph([], "branch", [], [], [inner.initializer[0]])
    node = helper.make_node("If", ["condition"], ["nothing"], then_branch=branch, else_branch=branch)
    model.graph.node.insert(0, node)


def _external_constant(model: onnx.ModelProto) -> None:
    inner = onnx.load_model_from_string(changed(_external)).graph
    model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=inner.initializer[0]))


def _foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Gelu", ["scores"], ["more"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _own_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["a"], ["b"])
    model.functions.append(helper.make_function("", "Mine", ["a"], ["b"], [node], [helper.make_opsetid("", 17)]))


def _broken(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nowhere"


def _without_label(model: onnx.ModelProto) -> None:
    model.graph.node[-1].output[0] = model.graph.output[0].name = "answer"


def _scalar_label(model: onnx.ModelProto) -> None:
    model.graph.node[-1].output[0] = "labels"
    model.graph.node.append(helper.make_node("ReduceMax", ["labels"], ["label"], keepdims=0))
    model.graph.output[0].type.tensor_type.ClearField("shape")


def _long_name(model: onnx.ModelProto) -> None:
    model.graph.node[-1].output[0] = model.graph.output[0].name = "x" * 3000


def _text_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "flavour"
    model.graph.node[0].input[0] = "flavour"


def _nan_probabilities(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == "intercepts":
            tensor.CopyFrom(numpy_helper.from_array(np.full(2, np.nan, np.float32), "intercepts"))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (changed(_external), "the tensor 'coefficients' is kept in another file; store the weights inside the model"),
        (changed(_external_in_a_branch), "the tensor 'coefficients' is kept in another file"),
        (changed(_external_constant), "the tensor 'coefficients' is kept in another file"),
        (
            changed(_foreign_operator),
            "the model needs operators of com.microsoft; only ai.onnx and ai.onnx.ml are allowed",
        ),
        (changed(_own_function), "the model defines functions of its own (Mine); inline them"),
        (changed(_broken), "onnxruntime cannot load the model: "),
        (
            changed(_without_label),
            "a model for Classification needs an output label; this one has answer, probabilities",
        ),
        (changed(_text_input), "the model takes an input 'flavour', which is no feature of the data"),
        (changed(_scalar_label), "output label must have one row for each row of input"),
        (changed(_long_name), "this one has " + "x" * 900),
        (changed(_nan_probabilities), "output probabilities is not finite on the evaluation data"),
        (
            linear_classifier(np.ones((2, 2), np.float32), np.zeros(2, np.float32)),
            "input has shape [-1, 2]; the data have 3",
        ),
        (linear_classifier(np.ones((3, 4), np.float32), np.zeros(4, np.float32)), "has shape [50, 4] for 2 classes"),
        (b"no model at all", "the file is not an ONNX model"),
        (b"x" * 9000, "the model has more than 8192 bytes (limits.modelBytes)"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[:40],
)
def test_a_model_that_is_not_safe_or_not_fit_is_rejected_with_a_reason(
    job: Job, data: str, model: bytes, reason: str
) -> None:
    job.asks(table_run(data, limits={"modelBytes": 8192})).stages(model)
    outcome = job.call("publish")
    assert (outcome.code, outcome.message["verdict"]) == (0, "Rejected")
    result = job.result()
    assert reason in result["reason"]
    assert result["verdict"] == "Rejected"
    assert not any(key.startswith("models/") for key in job.stored())


def test_failed_gates_are_a_verdict_and_not_an_error(job: Job, data: str) -> None:
    job.asks(table_run(data, gates=[gate("accuracy", min=0.9), gate("log_loss", max=100.0)])).stages(sign_model(0.0))
    outcome = job.process("publish")
    assert (outcome.code, outcome.message["verdict"]) == (0, "GatesFailed"), outcome.log
    failed, passed = job.result()["gates"]
    measured = failed["measured"]
    assert failed == {
        "metric": "accuracy",
        "requirement": "min 0.9",
        "measured": measured,
        "passed": False,
        "message": f"accuracy {measured:.4f} < required 0.9",
    }
    assert passed["passed"] is True
    assert "gate failed: accuracy" in outcome.log


def test_a_slice_is_measured_on_its_rows_alone(job: Job, data: str) -> None:
    """The model is right for site 1 and says 1 whatever comes from site 2."""
    gates = [gate("accuracy", min=0.9, slice={"column": "site", "value": value}) for value in ("1", "2.0", "3")]
    weights = np.array([[0, 1e2], [0, 0], [0, 1e4]], np.float32)
    job.asks(table_run(data, gates=gates)).stages(linear_classifier(weights, np.array([0, -1e4], np.float32)))
    assert job.call("publish").message["verdict"] == "GatesFailed"
    first, second, absent = job.result()["gates"]
    assert (first["measured"], first["passed"]) == (1.0, True)
    assert second["measured"] == pytest.approx(_share_of_positive(data, job, "2"))
    assert second["message"].startswith("accuracy where site = 2.0 ")
    assert absent["measured"] is None
    assert absent["message"] == "accuracy where site = 3 was not measured: no evaluation row has site = 3"


def _share_of_positive(uri: str, job: Job, site: str) -> float:
    rows = [line.split(",") for line in job.get(uri).decode().splitlines()[1:]]
    order = np.random.RandomState(3).permutation(len(rows))[: len(rows) // 4]
    targets = [int(rows[index][3]) for index in order if rows[index][2] == site]
    return sum(targets) / len(targets)


def champion(job: Job, model: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(model).hexdigest()
    return {"signs": {"uri": job.put(f"models/champion/{digest}/model.onnx", model), "sha256": digest}}


@pytest.mark.parametrize(
    ("challenger", "reigning", "compared", "verdict"),
    [
        (1.0, 0.0, gate("accuracy", comparedTo="signs"), "Passed"),
        (0.0, 1.0, gate("accuracy", comparedTo="signs"), "GatesFailed"),
        (0.0, 1.0, gate("accuracy", comparedTo="signs", tolerance=0.9), "Passed"),
        (0.8, 0.8, gate("accuracy", comparedTo="signs"), "Passed"),
        (1.0, 0.0, gate("log_loss", comparedTo="signs"), "Passed"),
        (0.0, 1.0, gate("log_loss", comparedTo="signs"), "GatesFailed"),
    ],
)
def test_a_challenger_is_compared_to_the_champion_on_the_same_rows(
    job: Job, data: str, challenger: float, reigning: float, compared: dict[str, Any], verdict: str
) -> None:
    run = table_run(data, gates=[compared], champions=champion(job, sign_model(reigning)))
    job.asks(run).stages(sign_model(challenger))
    assert job.call("publish").message["verdict"] == verdict
    assert "(signs " in job.result()["gates"][0]["message"]


def test_without_a_champion_there_is_nothing_to_be_compared_to(job: Job, data: str) -> None:
    job.asks(table_run(data, gates=[gate("accuracy", comparedTo="signs")])).stages(sign_model())
    assert job.call("publish").message["verdict"] == "Passed"
    assert job.result()["gates"][0]["message"].endswith("the first: signs serves no version to compare to")


def test_a_champion_that_cannot_take_the_data_lets_nothing_pass(job: Job, data: str) -> None:
    narrow = linear_classifier(np.ones((2, 2), np.float32), np.zeros(2, np.float32))
    run = table_run(data, gates=[gate("accuracy", comparedTo="signs")], champions=champion(job, narrow))
    job.asks(run).stages(sign_model())
    assert job.call("publish").message["verdict"] == "GatesFailed"
    assert "was not compared to signs: input has shape [-1, 2]" in job.result()["gates"][0]["message"]


def test_a_champion_with_other_bytes_than_its_digest_is_an_error_to_repeat(job: Job, data: str) -> None:
    given = champion(job, sign_model())
    given["signs"]["sha256"] = "0" * 64
    run = table_run(data, gates=[gate("accuracy", comparedTo="signs")], champions=given)
    outcome = job.asks(run).stages(sign_model()).call("publish")
    assert outcome.code == 1
    assert "the store is damaged" in outcome.message["error"]["message"]


def test_a_run_made_again_adopts_the_earlier_result(job: Job, data: str) -> None:
    run = table_run(data)
    first = job.asks(run).stages(sign_model()).call("publish")
    standing = job.get(f"runs/{RUN_HASH}/result.json")
    again = job.asks({**run, "run": {**run["run"], "uid": "2"}}).call("publish")
    assert again.message == first.message
    assert job.get(f"runs/{RUN_HASH}/result.json") == standing


def test_a_result_that_differs_from_the_earlier_one_is_never_written(job: Job, data: str) -> None:
    job.asks(table_run(data)).stages(sign_model()).call("publish")
    standing = job.get(f"runs/{RUN_HASH}/result.json")
    outcome = job.stages(sign_model(0.9)).call("publish")
    assert (outcome.code, outcome.message["error"]["reason"]) == (2, "ResultConflict")
    assert "set a new rerunToken" in outcome.message["error"]["message"]
    assert job.get(f"runs/{RUN_HASH}/result.json") == standing


def test_a_publisher_that_died_before_its_result_is_finished_by_the_next(job: Job, data: str) -> None:
    """What the first had written, under an earlier run, stays as it is."""
    digest = hashlib.sha256(sign_model()).hexdigest()
    profile = b'{"formatVersion":1,"of":"another run"}'
    job.put(f"models/signs/sha256/{digest}/model.onnx", sign_model())
    job.put(f"models/signs/sha256/{digest}/profile.json", profile)
    assert job.asks(table_run(data)).stages(sign_model()).call("publish").message["verdict"] == "Passed"
    assert job.result()["profile"]["sha256"] == hashlib.sha256(profile).hexdigest()


def test_a_damaged_artifact_is_not_vouched_for(job: Job, data: str) -> None:
    digest = hashlib.sha256(sign_model()).hexdigest()
    job.put(f"models/signs/sha256/{digest}/model.onnx", b"something else")
    outcome = job.asks(table_run(data)).stages(sign_model()).call("publish")
    assert outcome.code == 1
    assert f"runs/{RUN_HASH}/result.json" not in job.stored()


def test_nothing_staged_is_an_error_to_repeat(job: Job, data: str) -> None:
    outcome = job.asks(table_run(data)).call("publish")
    assert outcome.code == 1
    assert outcome.message["error"]["message"].endswith("/staging/model.onnx does not exist")


def test_an_evaluation_file_of_its_own_is_measured_whole(job: Job, data: str) -> None:
    holdout = sign_table(80).replace(b"x,noise,site,target", b"noise,x,site,target")
    swapped = job.put("data/holdout.csv", holdout)
    digest = hashlib.sha256(holdout).hexdigest()
    references = {"training": {"uri": data, "sha256": None}, "evaluation": {"uri": swapped, "sha256": digest}}
    job.asks(table_run(data, data={**references, "split": None}, gates=[gate("accuracy", max=0.7)]))
    assert job.stages(sign_model()).call("publish").message["verdict"] == "Passed"
    result = job.result()
    assert result["rows"] == {"training": 200, "evaluation": 80}
    assert result["datasets"][1] == {"name": swapped, "version": f"sha256:{digest}", "rows": 80}


def test_an_evaluation_file_without_a_feature_is_the_users_mistake(job: Job, data: str) -> None:
    lacking = job.put("data/holdout.csv", b"x,target\n1,1\n-1,0\n")
    references = {"training": {"uri": data}, "evaluation": {"uri": lacking}, "split": None}
    outcome = job.asks(table_run(data, data=references)).stages(sign_model()).call("publish")
    assert outcome.code == 2
    assert outcome.message["error"]["message"].startswith("data.evaluation: the columns noise, site ")


def test_the_version_in_the_store_tells_where_it_comes_from(job: Job, data: str) -> None:
    job.asks(table_run(data)).stages(sign_model()).call("publish")
    result = job.result()
    manifest = json.loads(job.get(result["artifact"]["uri"].replace("model.onnx", "manifest.json")))
    assert manifest["lineage"] == {
        "run": result["run"],
        "datasets": result["datasets"],
        "trainer": {"container": {"image": "trainer:1"}},
        "seed": 7,
        "images": {"training": "plimsoll-training:test"},
    }


def dictionaries() -> bytes:
    """A classifier for `sign_table`, as skl2onnx converts it by default; it knows nothing."""
    rows = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    fitted = LogisticRegression().fit(rows, np.arange(60) % 2)
    types = [("input", FloatTensorType([None, 3]))]
    return bytes(to_onnx(fitted, initial_types=types, target_opset=17).SerializeToString())


def test_a_classifier_that_answers_dictionaries_is_published_as_their_matrix(job: Job, data: str) -> None:
    job.asks(table_run(data, gates=[])).stages(dictionaries())
    outcome = job.call("publish")
    result = job.result()
    assert (outcome.code, result["verdict"]) == (0, "Passed"), result["reason"]
    assert result["signature"]["outputs"] == [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
    ]
    published = job.get(result["artifact"]["uri"])
    assert hashlib.sha256(published).hexdigest() == result["artifact"]["sha256"] == outcome.message["digest"]
    assert len(published) == result["artifact"]["sizeBytes"]
    (entry,) = onnx.load_model_from_string(published).metadata_props
    assert (entry.key, json.loads(entry.value)) == ("plimsoll.classes", {"probabilities": [0, 1]})


def test_a_champion_that_answers_dictionaries_is_compared_by_their_matrix(job: Job, data: str) -> None:
    run = table_run(data, gates=[gate("accuracy", comparedTo="signs")], champions=champion(job, dictionaries()))
    assert job.asks(run).stages(sign_model()).call("publish").message["verdict"] == "Passed"
    assert "(signs " in job.result()["gates"][0]["message"]
