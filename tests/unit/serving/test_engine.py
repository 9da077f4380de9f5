"""Answers and warm-up of the engine with real models."""

import json
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from plimsoll_serving.engine import Engine, sample_request
from plimsoll_serving.errors import ArtifactError
from plimsoll_serving.http.message import Request
from plimsoll_serving.jobs import Result
from plimsoll_serving.model import Model, sample_inputs
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from tests.builders import echo_models, onnx_models

COEFFICIENTS, INTERCEPTS = onnx_models.weights(features=4, classes=3)


def engine(model: bytes) -> Engine:
    return Engine(Model(model), "digits", "7")


def post(content: bytes) -> Request:
    return Request("POST", "/", "", [], content, True)


def batch(model: Engine, *bodies: bytes) -> list[Result]:
    """Answers to requests that share a run if they may."""
    decoded = [(post(content), model.codec.decode(post(content), model.signature)) for content in bodies]
    return model.execute([model.job(request, infer, model.codec, lambda _: None) for request, infer in decoded])


def answer(model: Engine, content: bytes) -> Result:
    (result,) = batch(model, content)
    return result


@pytest.fixture
def failing() -> Engine:
    return engine(onnx_models.failing_classifier(COEFFICIENTS, INTERCEPTS, feature=1, threshold=5))


def columns() -> Engine:
    """A model of two columns, one of text."""
    values = [("site", TensorProto.STRING), ("size", TensorProto.FLOAT)]
    return engine(
        onnx_models.model_bytes(
            [helper.make_node("Identity", [name], [f"{name}_back"]) for name, _ in values],
            [helper.make_tensor_value_info(name, element, [None, 1]) for name, element in values],
            [helper.make_tensor_value_info(f"{name}_back", element, [None, 1]) for name, element in values],
        )
    )


def body(row: list[float]) -> bytes:
    return json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": row}]}).encode()


def test_a_graph_that_raises_is_a_failure_of_the_server_on_that_input_only(failing: Engine) -> None:
    bad = answer(failing, body([1, 6, 1, 1]))
    assert (bad.response.status, bad.rows) == (500, 0)
    assert json.loads(bad.response.body)["error"].startswith("model 'digits' version '7' failed on this input: ")
    assert "out of data bounds" in str(bad.failure)
    good = answer(failing, body([1, 5, 1, 1]))
    assert (good.response.status, good.rows, good.failure) == (200, 1, None)


def test_the_builders_agree_where_all_answer(failing: Engine) -> None:
    right = engine(onnx_models.linear_classifier(COEFFICIENTS, INTERCEPTS))
    slow = engine(onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS, rounds=2))
    at_times = engine(onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS, rounds=2, feature=1))
    answers = {answer(model, body([1, 2, 3, 4])).response.body for model in (right, failing, slow, at_times)}
    assert len(answers) == 1


@pytest.mark.parametrize(
    "sample",
    [
        [{"site": "north", "size": 1.5}, {"site": "south", "size": None}],
        [{"site": ["north"], "size": [1.5]}, {"site": ["south"], "size": [None]}],
        [
            {
                "inputs": [
                    {"name": "site", "datatype": "BYTES", "shape": [2, 1], "data": ["north", "south"]},
                    {"name": "size", "datatype": "FP32", "shape": [2, 1], "data": [1.5, None]},
                ]
            }
        ],
    ],
    ids=["a value an input", "values of each input", "a whole request"],
)
def test_a_sample_is_sent_as_a_request(sample: list[Any]) -> None:
    model = columns()
    request = sample_request(sample, model)
    assert request is not None
    result = answer(model, request)
    assert result.response.status == 200
    assert [output["data"] for output in json.loads(result.response.body)["outputs"]] == [
        ["north", "south"],
        [1.5, "NaN"],
    ]


def test_rows_of_values_are_the_sample_of_a_model_of_one_tensor(failing: Engine) -> None:
    rows = [[1, 2, 3, 4], [5, 1, 7, 8]]
    request = sample_request(rows, failing)
    assert request is not None
    assert [output["shape"] for output in json.loads(answer(failing, request).response.body)["outputs"]] == [
        [2],
        [2, 3],
    ]
    assert sample_request([{"input": row} for row in rows], failing) == request
    failing.warm_up([[1, 2, 3, 4]])


def test_a_sample_that_fails_stops_the_start(failing: Engine) -> None:
    with pytest.raises(ArtifactError, match="the model does not answer its profile's sample"):
        failing.warm_up([[1, 6, 3, 4]])


def test_a_model_that_refuses_zeros_may_start_without_a_sample(caplog: pytest.LogCaptureFixture) -> None:
    engine(onnx_models.failing_classifier(COEFFICIENTS, INTERCEPTS, threshold=-1)).warm_up([])
    assert "the model does not answer zeros" in caplog.text


@pytest.mark.parametrize("sample", [[], [[1, 6, 3, 4]]], ids=["zeros", "its profile's sample"])
def test_on_another_processor_what_fails_when_it_is_tried_stops_the_start(sample: list[Any]) -> None:
    """OpenVINO takes models that it then fails on; what of it is the model's own, nobody can tell."""
    model = Model(onnx_models.failing_classifier(COEFFICIENTS, INTERCEPTS, threshold=-1))
    model.providers = ["OpenVINOExecutionProvider", "CPUExecutionProvider"]
    with pytest.raises(
        ArtifactError, match=r"on OpenVINOExecutionProvider and .* leave spec\.runtime\.executionProvider"
    ):
        Engine(model, "digits", "7").warm_up(sample)


@pytest.mark.parametrize("profile", [b"{", b"[]", b"\xff"])
def test_a_profile_that_cannot_be_read_is_refused(profile: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"profile\.json is not a profile"):
        sample_inputs(profile)


def test_what_fails_in_a_batch_is_tried_alone(failing: Engine) -> None:
    failing.warm_up([[1, 2, 3, 4]])
    assert failing.batches
    results = batch(failing, body([1, 2, 3, 4]), body([1, 6, 1, 1]), body([4, 3, 2, 1]))
    assert [result.response.status for result in results] == [200, 500, 200]
    assert results[2].response.body == answer(failing, body([4, 3, 2, 1])).response.body


def test_rows_of_different_requests_share_a_run_and_come_back_in_place() -> None:
    model = engine(onnx_models.linear_classifier(COEFFICIENTS, INTERCEPTS))
    model.warm_up([])
    rows = [[float(i), 1.0, 2.0, 3.0 - i] for i in range(20)]
    seen: list[int] = []

    class Counting:
        def observe(self, inputs: Any, outputs: Any, rows: int) -> None:
            seen.append(rows)

    model.observers.append(Counting())
    together = batch(model, *map(body, rows))
    assert seen == [20]
    for row, result in zip(rows, together, strict=True):
        alone, shared = (json.loads(one.response.body)["outputs"] for one in (answer(model, body(row)), result))
        assert shared[0] == alone[0]
        assert shared[1]["data"] == pytest.approx(alone[1]["data"], abs=1e-6)


@pytest.mark.parametrize("known", [(0, 1, 2), (0, 2), (1,)], ids=["all", "the first and last", "one between"])
def test_requests_whose_text_is_known_share_a_run_with_others(known: tuple[int, ...]) -> None:
    model = engine(onnx_models.linear_classifier(COEFFICIENTS, INTERCEPTS))
    model.warm_up([])
    shapes, jobs, forms = [], [], {True: [b"", b" ", b"  "], False: [b"   ", b"    ", b"     "]}
    for number, rows in enumerate((1, 3, 2)):
        item = {"name": "input", "datatype": "FP32", "shape": [rows, 4], "data": [float(number)] * 4 * rows}
        content = json.dumps({"inputs": [item]}).encode() + forms[number in known][number]
        for _ in range(1 + (number in known)):
            infer = model.codec.decode(post(content), model.signature)
        assert (infer.layout is not None) == (number in known)
        jobs.append(model.job(post(content), infer, model.codec, lambda _: None))

    class Shapes:
        def observe(self, inputs: Any, outputs: Any, rows: int) -> None:
            shapes.append((inputs["input"].shape, inputs["input"][:, 0].tolist(), rows))

    model.observers.append(Shapes())
    results = model.execute(jobs)
    assert shapes == [((6, 4), [0, 1, 1, 1, 2, 2], 6)]
    assert [result.rows for result in results] == [1, 3, 2]
    assert [json.loads(result.response.body)["outputs"][0]["shape"] for result in results] == [[1], [3], [2]]
    assert jobs[0].key == jobs[1].key == jobs[2].key


@pytest.mark.parametrize(
    ("operator", "shape", "shares"),
    [
        ("Identity", [None, 2], True),
        ("Identity", [4, 2], False),
        ("Identity", [], False),
        ("CumSum", [None, 2], False),
    ],
)
def test_models_whose_rows_depend_on_one_another_do_not_share_runs(
    operator: str, shape: list[int | None], shares: bool
) -> None:
    axis = helper.make_tensor("axis", TensorProto.INT64, [], [0])
    inputs = ["x", "axis"] if operator == "CumSum" else ["x"]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [axis] if operator == "CumSum" else [],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = engine(made.SerializeToString())
    model.warm_up([])
    assert model.batches is shares


def without_rows(columns: int = 4) -> bytes:
    return json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [0, columns], "data": []}]}).encode()


def shapes(result: Result) -> dict[str, list[int]]:
    return {one["name"]: one["shape"] for one in json.loads(result.response.body)["outputs"]}


def converted(estimator: Any, **options: Any) -> bytes:
    """A classifier of four columns and three classes, as skl2onnx writes it."""
    rows = np.random.default_rng(5).normal(size=(60, 4)).astype(np.float32)
    fitted = estimator.fit(rows, np.array(["small", "middle", "big"])[np.arange(60) % 3])
    types = [("input", FloatTensorType([None, 4]))]
    return bytes(to_onnx(fitted, initial_types=types, target_opset=17, **options).SerializeToString())


@pytest.mark.parametrize(
    "estimator", [MLPClassifier(max_iter=5), KNeighborsClassifier(), GaussianNB(), LogisticRegression()]
)
@pytest.mark.parametrize("options", [{}, {"options": {"zipmap": False}}], ids=["dictionaries", "matrix"])
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_no_rows_are_answered_with_no_rows_by_models_that_raise_on_them_too(
    estimator: Any, options: dict[str, Any]
) -> None:
    model = engine(converted(estimator, **options))
    model.warm_up([])
    found = answer(model, without_rows())
    assert (found.response.status, found.failure) == (200, None)
    assert sorted(shapes(found).values()) == [[0], [0, 3]]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_model_that_raises_without_rows_is_not_blamed_where_nothing_is_known_of_its_rows() -> None:
    found = answer(engine(converted(MLPClassifier(max_iter=5))), without_rows())
    assert (found.response.status, found.failure) == (400, None)
    assert "input 'input' has no values" in json.loads(found.response.body)["error"]


@pytest.mark.parametrize("classes", [[7, 10, 20], ["blau", "gelb", "rot"]])
def test_scores_by_class_are_a_matrix_whatever_the_keys_and_the_rows(classes: Any) -> None:
    model = engine(echo_models.of_classes(classes))
    model.warm_up([])
    assert model.batches
    for rows in (0, 1, 3):
        item = {"name": "input", "datatype": "FP32", "shape": [rows, 3], "data": list(range(3 * rows))}
        (scores,) = json.loads(answer(model, json.dumps({"inputs": [item]}).encode()).response.body)["outputs"]
        assert (scores["shape"], scores["data"]) == ([rows, 3], list(range(3 * rows)))


def with_classes(text: str) -> bytes:
    model = onnx.load_model_from_string(onnx_models.linear_classifier(COEFFICIENTS, INTERCEPTS))
    helper.set_model_props(model, {"plimsoll.classes": text})
    return bytes(model.SerializeToString())


def test_classes_are_those_that_the_file_tells() -> None:
    assert engine(with_classes('{"probabilities": ["a", "b", "c"]}')).classes == {"probabilities": ["a", "b", "c"]}


@pytest.mark.parametrize("text", ["", "[]", '{"probabilities": 3}', '{"probabilities": [1.5]}', "[" * 100_000])
def test_classes_that_cannot_be_read_are_refused_when_the_model_is_loaded(text: str) -> None:
    with pytest.raises(ArtifactError, match=r"metadata plimsoll.classes is not {output: \[classes\]}"):
        Model(with_classes(text))


def test_a_dictionary_tells_its_classes_whatever_the_file_says() -> None:
    model = onnx.load_model_from_string(echo_models.of_classes([2, 0, 1]))
    helper.set_model_props(model, {"plimsoll.classes": '{"scores": [2, 0, 1]}'})
    found = engine(bytes(model.SerializeToString()))
    found.warm_up([])
    assert found.classes == {"scores": [0, 1, 2]}


def test_metadata_of_others_that_are_no_text_keep_no_model_from_being_served() -> None:
    data = with_classes('{"probabilities": ["a", "b", "c"]}').replace(b'"a"', b'"\xff"')
    assert engine(data).classes == {}


def test_the_file_does_not_stay_in_memory_beside_the_model_made_of_it() -> None:
    content = onnx_models.linear_classifier(COEFFICIENTS, INTERCEPTS)
    before = sys.getrefcount(content)
    model = Model(content)
    assert model.signature.inputs
    assert sys.getrefcount(content) == before


def test_text_beside_bf16_is_answered_where_no_bf16_is() -> None:
    values = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in (("text", 8), ("half", 16))]
    answers = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in (("said", 8), ("single", 1))]
    nodes = [helper.make_node("Identity", ["text"], ["said"]), helper.make_node("Cast", ["half"], ["single"], to=1)]
    model = Model(onnx_models.model_bytes(nodes, values, answers))
    inputs = {"text": np.array([["a"], ["b"]], dtype=object), "half": np.array([[0x3F80], [0x4000]], np.uint16)}
    said, single = model.run(inputs, ["said", "single"])
    assert (said.tolist(), single.tolist()) == ([["a"], ["b"]], [[1.0], [2.0]])


def half_and_scores(*, answers_half: bool) -> bytes:
    """``input`` FP32 → ``scores`` by class (ZipMap), and ``half`` BF16 → ``single`` FP32, or as it is."""
    model = onnx.load_model_from_string(echo_models.of_classes([0, 1]))
    kind = TensorProto.BFLOAT16 if answers_half else TensorProto.FLOAT
    model.graph.node.append(helper.make_node("Cast", ["half"], ["single"], to=kind))
    model.graph.input.append(helper.make_tensor_value_info("half", TensorProto.BFLOAT16, [None, 1]))
    model.graph.output.append(helper.make_tensor_value_info("single", kind, [None, 1]))
    return bytes(model.SerializeToString())


def test_bf16_beside_scores_by_class_is_answered_where_no_bf16_is() -> None:
    model = Model(half_and_scores(answers_half=False))
    inputs = {"input": np.array([[0.25, 0.75]], np.float32), "half": np.array([[0x3F80]], np.uint16)}
    scores, single = model.run(inputs, ["scores", "single"])
    assert (scores.tolist(), single.tolist()) == ([[0.25, 0.75]], [[1.0]])
    with pytest.raises(ArtifactError, match="convert with zipmap off"):
        Model(half_and_scores(answers_half=True))


def test_text_beside_an_answer_of_bf16_is_refused_when_the_model_is_loaded() -> None:
    with pytest.raises(ArtifactError, match="cast these outputs to FP32"):
        Model(echo_models.of_every_type(["BYTES", "BF16"]))
