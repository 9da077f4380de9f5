"""A model that was made elsewhere: builds an ONNX file and prints its ModelVersion, as a pipeline of yours would.

    python examples/quickstart/elsewhere.py fragile --number 3 --bucket plimsoll-quickstart --out build/digits-v3.onnx

Three sorts: `sound` is a logistic regression on the digits; `fragile` is the same but fails at run time on rows whose
pixel PIXEL is fully black, which its author never saw; `slow` is the same but takes far longer to answer.
Upload the file to the URI that the manifest names, then `kubectl apply` the manifest.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import sys
import warnings

import numpy
import onnx
import skl2onnx
import yaml
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

#: The pixel whose full black the fragile model cannot bear: about every fifth row has it.
PIXEL = 12
BLACK = 16.0
#: Matrix products that the slow model adds to every answer.
ROUNDS = 1500


def sound() -> onnx.ModelProto:
    """Logistic regression: `input` FP32 [-1, 64] → `label` INT64 [-1], `probabilities` FP32 [-1, 10]."""
    rows, digits = load_digits(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = LogisticRegression(C=0.05, max_iter=60).fit(rows, digits)
    kinds = [("input", skl2onnx.common.data_types.FloatTensorType([None, 64]))]
    names = [("label", "label"), ("probabilities", "probabilities")]
    model = skl2onnx.to_onnx(estimator, initial_types=kinds, options={"zipmap": False}, target_opset=17)
    rename = dict(zip([output.name for output in model.graph.output], [new for _, new in names], strict=True))
    for output in model.graph.output:
        output.name = rename[output.name]
    for node in model.graph.node:
        node.output[:] = [rename.get(name, name) for name in node.output]
    return model


def fragile() -> onnx.ModelProto:
    """`sound`, with a look-up of a table by the brightness of one pixel: the table is one entry too short."""
    model = sound()
    constants = {
        "pixel": numpy.array([PIXEL], dtype=numpy.int64),
        "table": numpy.zeros((16, 1), dtype=numpy.float32),
    }
    nodes = [
        helper.make_node("Gather", ["input", "pixel"], ["brightness"], axis=1),
        helper.make_node("Cast", ["brightness"], ["level"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["level", "squeeze_axis"], ["levels"]),
        helper.make_node("Gather", ["table", "levels"], ["correction"], axis=0),
    ]
    constants["squeeze_axis"] = numpy.array([1], dtype=numpy.int64)
    return _add_to_probabilities(model, nodes, constants, "correction")


def slow() -> onnx.ModelProto:
    """`sound`, with a long loop of matrix products whose outcome is multiplied by zero."""
    model = sound()
    side = 96
    constants = {
        "rounds": numpy.array(ROUNDS, dtype=numpy.int64),
        "go_on": numpy.array(True),
        "matrix": numpy.eye(side, dtype=numpy.float32),
        "zero": numpy.array([[0.0]], dtype=numpy.float32),
    }
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["again"], ["again_out"]),
            helper.make_node("MatMul", ["state", "state"], ["state_out"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [side, side]),
        ],
        [
            helper.make_tensor_value_info("again_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [side, side]),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["brightest"], keepdims=1),
        helper.make_node("Mul", ["brightest", "zero"], ["nought"]),
        helper.make_node("Add", ["matrix", "nought"], ["start"]),
        helper.make_node("Loop", ["rounds", "go_on", "start"], ["end"], body=body),
        helper.make_node("ReduceMax", ["end"], ["one"], keepdims=1),
        helper.make_node("Mul", ["one", "zero"], ["correction"]),
    ]
    return _add_to_probabilities(model, nodes, constants, "correction")


def _add_to_probabilities(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], constants: dict[str, numpy.ndarray], correction: str
) -> onnx.ModelProto:
    for node in model.graph.node:
        node.output[:] = ["uncorrected" if name == "probabilities" else name for name in node.output]
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend([*nodes, helper.make_node("Add", ["uncorrected", correction], ["probabilities"])])
    onnx.checker.check_model(model)
    return model


def manifest(name: str, number: int, uri: str, content: bytes) -> dict[str, object]:
    """The ModelVersion of `content` at `uri`."""
    return {
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"{name}-v{number}"},
        "spec": {
            "model": name,
            "artifact": {
                "uri": uri,
                "sha256": hashlib.sha256(content).hexdigest(),
                "sizeBytes": len(content),
                "format": "onnx",
            },
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sort", choices=["sound", "fragile", "slow"])
    parser.add_argument("--number", type=int, required=True, help="number of the version")
    parser.add_argument("--bucket", required=True, help="bucket of the namespace: plimsoll-{namespace}")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="where to write the ONNX file")
    options = parser.parse_args()
    content = {"sound": sound, "fragile": fragile, "slow": slow}[options.sort]().SerializeToString(deterministic=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(content)
    uri = f"s3://{options.bucket}/uploads/{hashlib.sha256(content).hexdigest()}/model.onnx"
    yaml.safe_dump(manifest("digits", options.number, uri, content), sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
