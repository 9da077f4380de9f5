"""A fitted pipeline as ONNX, the same bytes for the same pipeline."""

from typing import Any

import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from plimsoll_training import boosted_trees
from plimsoll_training.columns import Features
from plimsoll_training.run import Task

TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}


def to_onnx_bytes(pipeline: Pipeline, features: Features, task: Task) -> bytes:
    """The serialised model: inputs and outputs named as the contracts say, no trace of when or where."""
    boosted_trees.register()
    options: dict[Any, dict[str, Any]] = {}
    final_types = [("prediction", FloatTensorType([None, 1]))]
    if task == "Classification":
        options[id(pipeline)] = {"zipmap": False}
        final_types = [("label", None), ("probabilities", None)]
    if any(isinstance(part, StandardScaler) for part in _parts(pipeline)):
        # Division as scikit-learn does it: a reciprocal rounds differently, and trees then branch differently.
        options[StandardScaler] = {"div": "div"}
    model = to_onnx(
        pipeline,
        initial_types=_inputs(features),
        final_types=final_types,
        options=options or None,
        target_opset=TARGET_OPSET,
    )
    return canonical(model)


def canonical(model: onnx.ModelProto) -> bytes:
    """Fixed producer fields and order of opsets; deterministic protobuf."""
    opsets = sorted((one.domain, one.version) for one in model.opset_import)
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in opsets)
    model.producer_name, model.producer_version = "plimsoll", ""
    model.domain, model.model_version, model.doc_string = "", 0, ""
    model.graph.name, model.graph.doc_string = "model", ""
    del model.metadata_props[:]
    return bytes(model.SerializeToString(deterministic=True))


def _inputs(features: Features) -> list[tuple[str, Any]]:
    if not features.text:
        return [("input", FloatTensorType([None, len(features.names)]))]
    return [(name, StringTensorType([None, 1]) if name in features.text else FloatTensorType([None, 1])) for name in features.names]


def _parts(pipeline: Pipeline) -> list[Any]:
    """Every transformer and the estimator, nested ones too."""
    found: list[Any] = []
    for _, part in pipeline.steps:
        inner = [one for _, one, _ in part.transformers_] if hasattr(part, "transformers_") else [part]
        for one in inner:
            found.extend(_parts(one) if isinstance(one, Pipeline) else [one])
    return found
