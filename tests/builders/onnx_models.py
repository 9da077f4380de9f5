"""Small ONNX models for tests and demonstrations: a right one, one that raises on some inputs, a slow one.

All take ``input`` FP32 ``[-1, features]`` and answer ``label`` INT64 ``[-1]`` and ``probabilities`` FP32
``[-1, classes]``, as the classifiers of training do. Importable without pytest; nothing is random, so a model's
digest is always the same.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
Array = NDArray[np.float32]


def weights(features: int, classes: int, seed: int = 7) -> tuple[Array, Array]:
    """Coefficients ``[features, classes]`` and intercepts ``[classes]`` of a classifier."""
    generator = np.random.default_rng(seed)
    return (
        generator.normal(size=(features, classes)).astype(np.float32),
        generator.normal(size=classes).astype(np.float32),
    )


def linear_classifier(coefficients: Array, intercepts: Array) -> bytes:
    """A linear classifier of given coefficients ``[features, classes]`` and intercepts ``[classes]``."""
    return _classifier(coefficients, intercepts, [], "input")


def linear_regressor(coefficients: Sequence[float], intercept: float) -> bytes:
    """A linear regressor; it answers ``prediction`` FP32 ``[-1, 1]``."""
    tensors = {
        "coefficients": np.array(coefficients, np.float32).reshape(-1, 1),
        "intercept": np.array([intercept], np.float32),
    }
    return model_bytes(
        [
            helper.make_node("MatMul", ["input", "coefficients"], ["products"]),
            helper.make_node("Add", ["products", "intercept"], ["prediction"]),
        ],
        [_value("input", TensorProto.FLOAT, [None, len(coefficients)])],
        [_value("prediction", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )


def failing_classifier(coefficients: Array, intercepts: Array, feature: int = 0, threshold: float = 0.0) -> bytes:
    """The same, but it raises at run time when any row has ``input[:, feature] > threshold``.

    The comparison becomes an index into a list of one: 0 is there, 1 is out of range and Gather raises.
    """
    nodes = [
        helper.make_node("Gather", ["input", "feature"], ["column"], axis=1),
        helper.make_node("ReduceMax", ["column"], ["largest"], axes=[0], keepdims=0),
        helper.make_node("Greater", ["largest", "threshold"], ["over"]),
        helper.make_node("Cast", ["over"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["only_zero", "index"], ["nothing"]),
        helper.make_node("Add", ["input", "nothing"], ["checked"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "feature": np.array(feature, np.int64),
        "threshold": np.array(threshold, np.float32),
        "only_zero": np.zeros(1, np.float32),
    }
    return _classifier(coefficients, intercepts, nodes, "checked", constants)


def slow_classifier(
    coefficients: Array, intercepts: Array, rounds: int = 200, width: int = 128, feature: int | None = None
) -> bytes:
    """The same answers, after ``rounds`` products of two ``width`` × ``width`` matrices in a Loop.

    200 rounds of width 128 take some 20 ms on one core; the time grows with rounds × width³. With ``feature`` it is
    slow only where that feature is above 0: the rounds are multiplied by its largest value, in whole numbers.
    """
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state_in", "mixing"], ["state_out"]),
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
        ],
        "round",
        [
            _value("round_number", TensorProto.INT64, []),
            _value("go_on", TensorProto.BOOL, []),
            _value("state_in", TensorProto.FLOAT, [width, width]),
        ],
        [_value("go_on_out", TensorProto.BOOL, []), _value("state_out", TensorProto.FLOAT, [width, width])],
    )
    nodes = [
        *_slowness(feature),
        # The state starts from the input, or the optimizer would compute the loop once and for all.
        helper.make_node("ReduceSum", ["input"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["start", "nothing"], ["state"]),
        helper.make_node("Loop", ["trips", "", "state"], ["mixed"], body=body),
        helper.make_node("ReduceSum", ["mixed"], ["mixed_sum"], keepdims=0),
        helper.make_node("Mul", ["mixed_sum", "zero"], ["still_nothing"]),
        helper.make_node("Add", ["input", "still_nothing"], ["late"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "zero": np.array(0, np.float32),
        "rounds": np.array(rounds, np.int64),
        "slow_feature": np.array(feature or 0, np.int64),
        "start": np.full((width, width), 1 / width, np.float32),
        "mixing": np.full((width, width), 1 / width, np.float32),
    }
    return _classifier(coefficients, intercepts, nodes, "late", constants)


def _slowness(feature: int | None) -> list[NodeProto]:
    """The number of trips: the rounds, or the rounds times the largest value of a feature."""
    if feature is None:
        return [helper.make_node("Identity", ["rounds"], ["trips"])]
    return [
        helper.make_node("Gather", ["input", "slow_feature"], ["slow_column"], axis=1),
        helper.make_node("ReduceMax", ["slow_column"], ["slowest"], axes=[0], keepdims=0),
        helper.make_node("Cast", ["slowest"], ["factor"], to=TensorProto.INT64),
        helper.make_node("Mul", ["rounds", "factor"], ["trips"]),
    ]


def digest(model: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(model).hexdigest()


def model_bytes(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    constants: Sequence[TensorProto] = (),
    domains: Sequence[str] = (),
) -> bytes:
    """The ONNX file of a graph; ``domains`` are operator sets besides ONNX's own."""
    graph = helper.make_graph(list(nodes), "model", list(inputs), list(outputs), list(constants))
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model: ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def _classifier(
    coefficients: Array,
    intercepts: Array,
    nodes: list[NodeProto],
    source: str,
    constants: dict[str, NDArray[Any]] | None = None,
) -> bytes:
    features, classes = coefficients.shape
    tensors: dict[str, NDArray[Any]] = {"coefficients": coefficients, "intercepts": intercepts, **(constants or {})}
    return model_bytes(
        [
            *nodes,
            helper.make_node("MatMul", [source, "coefficients"], ["products"]),
            helper.make_node("Add", ["products", "intercepts"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        ],
        [_value("input", TensorProto.FLOAT, [None, features])],
        [_value("label", TensorProto.INT64, [None]), _value("probabilities", TensorProto.FLOAT, [None, classes])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )


def _value(name: str, element: int, shape: Sequence[int | str | None]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, element, list(shape))
