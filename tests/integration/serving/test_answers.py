"""Answers over HTTP equal those of ONNX Runtime itself."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.builders import onnx_models
from tests.integration.serving.harness import RIGHT, Server, session, v2

Serve = Callable[[bytes], Server]


@pytest.fixture
def serve(tmp_path: Path) -> Any:
    """Start a server of a model for the test."""
    started: list[Server] = []

    def start(model: bytes, **env: str) -> Server:
        server = Server(tmp_path / "model", model, "digits-aaaa", **env).start()
        started.append(server)
        return server.wait_ready()

    yield start
    for server in started:
        server.kill()


def outputs(response: httpx.Response) -> dict[str, dict[str, Any]]:
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


def test_a_classifier_answers_as_onnx_runtime_does(server: Server) -> None:
    rows = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    label, probabilities = session(RIGHT).run(None, {"input": rows})
    answer = outputs(server.infer(v2(*rows.tolist())))
    assert answer["label"] == {"name": "label", "datatype": "INT64", "shape": [50], "data": label.tolist()}
    assert answer["probabilities"]["shape"] == [50, 3]
    np.testing.assert_array_equal(np.float32(answer["probabilities"]["data"]).reshape(50, 3), probabilities)


def test_id_parameters_and_requested_outputs_are_honoured(server: Server) -> None:
    body = v2([1, 2, 3, 4], id="request-7", parameters={"any": 1}, outputs=[{"name": "probabilities"}])
    answer = server.infer(body).json()
    assert answer["id"] == "request-7"
    assert (answer["model_name"], answer["model_version"]) == ("digits", "1")
    assert [output["name"] for output in answer["outputs"]] == ["probabilities"]
    assert "id" not in server.infer(v2([1, 2, 3, 4])).json()


def test_nan_and_infinity_go_in_and_out_as_words(server: Server) -> None:
    body = v2([1, 2, 3, 4])
    body["inputs"][0]["data"] = [None, "Infinity", "-Infinity", "NaN"]
    answer = outputs(server.infer(body))
    assert answer["probabilities"]["data"] == ["NaN", "NaN", "NaN"]


def test_a_batch_of_no_rows_is_answered_with_no_rows(server: Server) -> None:
    answer = outputs(
        server.infer(v2() | {"inputs": [{"name": "input", "datatype": "FP32", "shape": [0, 4], "data": []}]})
    )
    assert answer["label"]["shape"] == [0]
    assert answer["probabilities"] == {"name": "probabilities", "datatype": "FP32", "shape": [0, 3], "data": []}


ELEMENTS: dict[str, tuple[int, list[Any]]] = {
    "BOOL": (TensorProto.BOOL, [True, False]),
    "INT8": (TensorProto.INT8, [-128, 127]),
    "INT16": (TensorProto.INT16, [-32768, 32767]),
    "INT32": (TensorProto.INT32, [-(2**31), 2**31 - 1]),
    "INT64": (TensorProto.INT64, [-(2**63), 2**63 - 1]),
    "UINT8": (TensorProto.UINT8, [0, 255]),
    "UINT16": (TensorProto.UINT16, [0, 65535]),
    "UINT32": (TensorProto.UINT32, [0, 2**32 - 1]),
    "UINT64": (TensorProto.UINT64, [0, 2**64 - 1]),
    "FP16": (TensorProto.FLOAT16, [0.5, -65504.0]),
    "FP32": (TensorProto.FLOAT, [0.5, 16777217 / 16777216]),
    "FP64": (TensorProto.DOUBLE, [0.1, math.pi]),
    "BYTES": (TensorProto.STRING, ["", "grün 🌱"]),
}


def test_every_datatype_of_any_rank_passes_through_a_model_of_many_tensors(serve: Serve) -> None:
    """One graph that gives back each of its 13 inputs, of ranks 0 to 4."""
    ranks = {name: index % 5 for index, name in enumerate(ELEMENTS)}
    shape: Callable[[str], list[Any]] = lambda name: [None] * ranks[name]  # noqa: E731
    server = serve(
        onnx_models.model_bytes(
            [helper.make_node("Identity", [name], [f"{name}_back"]) for name in ELEMENTS],
            [helper.make_tensor_value_info(name, element, shape(name)) for name, (element, _) in ELEMENTS.items()],
            [helper.make_tensor_value_info(f"{name}_back", e, shape(name)) for name, (e, _) in ELEMENTS.items()],
        )
    )
    described = server.get("/v2/models/digits").json()
    assert [(item["datatype"], item["shape"]) for item in described["inputs"]] == [
        (n, [-1] * ranks[n]) for n in ELEMENTS
    ]
    sent = {
        name: (values[:1], []) if ranks[name] == 0 else (values, [2] + [1] * (ranks[name] - 1))
        for name, (_, values) in ELEMENTS.items()
    }
    inputs = [{"name": n, "datatype": n, "shape": shape, "data": data} for n, (data, shape) in sent.items()]
    answer = outputs(server.infer({"inputs": inputs}))
    for name, (data, wanted) in sent.items():
        assert answer[f"{name}_back"] == {"name": f"{name}_back", "datatype": name, "shape": wanted, "data": data}


def test_a_pipeline_of_raw_columns_and_string_labels_answers_as_scikit_learn_does(serve: Serve) -> None:
    generator = np.random.default_rng(3)
    sites = generator.choice(["north", "south", "west"], 200)
    sizes = generator.normal(size=200).astype(np.float32)
    labels = np.where((sizes > 0) ^ (sites == "west"), "big", "small")
    frame = pandas.DataFrame({"site": sites, "size": sizes})
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("site", encoder, ["site"]), ("size", StandardScaler(), ["size"])])
    fitted = make_pipeline(columns, LogisticRegression()).fit(frame, labels)
    types = [("site", StringTensorType([None, 1])), ("size", FloatTensorType([None, 1]))]
    model = to_onnx(fitted, initial_types=types, options={"zipmap": False}, target_opset=17).SerializeToString()
    server = serve(model)
    inputs = [
        {"name": "site", "datatype": "BYTES", "shape": [200, 1], "data": sites.tolist()},
        {"name": "size", "datatype": "FP32", "shape": [200, 1], "data": sizes.tolist()},
    ]
    answer = outputs(server.infer({"inputs": inputs}))
    assert answer["label"]["data"] == fitted.predict(frame).tolist()
    assert answer["label"]["datatype"] == "BYTES"
    given = np.array(answer["probabilities"]["data"]).reshape(200, 2)
    np.testing.assert_allclose(given, fitted.predict_proba(frame), atol=1e-5)
    inputs[1] |= {"shape": [3, 1], "data": [0, 0, 0]}
    uneven = server.infer({"inputs": inputs})
    assert uneven.status_code == 400
    assert uneven.json() == {"error": "inputs differ in rows (first size of shape): 'site' has 200, 'size' has 3"}
    inputs = [item | {"shape": [1, 1], "data": item["data"][:1]} for item in inputs]
    inputs[0]["data"] = ["nowhere"]
    unknown = server.infer({"inputs": inputs})
    assert unknown.status_code == 200, "the encoder ignores categories it has not seen"


def test_probabilities_that_scikit_learn_mapped_to_classes_are_a_matrix_again(serve: Serve) -> None:
    rows = np.random.default_rng(5).normal(size=(60, 4)).astype(np.float32)
    fitted = LogisticRegression().fit(rows, np.array(["small", "middle", "big"])[np.arange(60) % 3])
    model = to_onnx(fitted, initial_types=[("input", FloatTensorType([None, 4]))], target_opset=17)
    server = serve(model.SerializeToString())
    item = {"name": "input", "datatype": "FP32", "shape": [60, 4], "data": rows.reshape(-1).tolist()}
    answer = outputs(server.infer({"inputs": [item]}))
    assert answer["output_label"]["data"] == fitted.predict(rows).tolist()
    table = answer["output_probability"]
    assert (table["datatype"], table["shape"]) == ("FP32", [60, 3])
    np.testing.assert_allclose(np.reshape(table["data"], (60, 3)), fitted.predict_proba(rows), atol=1e-5)
    described = {one["name"]: one for one in server.get("/v2/models/digits").json()["outputs"]}
    assert described["output_probability"]["parameters"] == {"classes": ["big", "middle", "small"]}
    assert "parameters" not in described["output_label"]
