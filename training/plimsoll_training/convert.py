"""A fitted pipeline as ONNX, the same bytes for the same pipeline."""

from typing import Any

import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from plimsoll_training import boosted_trees
from plimsoll_training.columns import Features
from plimsoll_training.errors import UserError
from plimsoll_training.metric_names import Task
from plimsoll_training.structure import graphs_of

TARGET_OPSET = {"": 18, "ai.onnx.ml": 3}


def to_onnx_bytes(pipeline: Pipeline, features: Features, task: Task) -> bytes:
    """The serialised model: inputs and outputs named as the contracts say, no trace of when or where.

    UserError when skl2onnx has no conversion for these parameters.
    """
    boosted_trees.register()
    final_types = [("prediction", FloatTensorType([None, 1]))]
    if task == "Classification":
        final_types = [("label", None), ("probabilities", None)]
    try:
        model = to_onnx(
            pipeline,
            initial_types=_inputs(features),
            final_types=final_types,
            options=_options(pipeline, task) or None,
            target_opset=TARGET_OPSET,
        )
    except (RuntimeError, ValueError, NotImplementedError) as error:
        name = type(pipeline.steps[-1][1]).__name__
        reason = (str(error).splitlines() or [""])[0][:200]
        raise UserError(f"trainer.sklearn: {name} with these parameters has no ONNX form: {reason}") from error
    if features.text:
        _rename_inputs(model, {alias: name for name, alias in features.aliases.items()})
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


def _options(pipeline: Pipeline, task: Task) -> dict[Any, dict[str, Any]]:
    options: dict[Any, dict[str, Any]] = {}
    if task == "Classification":
        options[id(pipeline)] = {"zipmap": False}
    if any(isinstance(part, StandardScaler) for part in _parts(pipeline)):
        # Division as scikit-learn does it: a reciprocal rounds differently, and trees then branch differently.
        options[StandardScaler] = {"div": "div"}
    return options


def _inputs(features: Features) -> list[tuple[str, Any]]:
    if not features.text:
        return [("input", FloatTensorType([None, len(features.names)]))]
    return [
        (alias, StringTensorType([None, 1]) if name in features.text else FloatTensorType([None, 1]))
        for name, alias in features.aliases.items()
    ]


def _rename_inputs(model: onnx.ModelProto, names: dict[str, str]) -> None:
    """Give the inputs the names of their columns. UserError when another value of the graph has such a name."""
    graphs = list(graphs_of(model))
    taken = {output for graph in graphs for node in graph.node for output in node.output}
    taken |= {tensor.name for graph in graphs for tensor in graph.initializer}
    if clash := sorted(taken & set(names.values())):
        raise UserError(f"column {clash[0]!r}: the model needs this name for itself; rename the column")
    for one in model.graph.input:
        one.name = names[one.name]
    for node in (node for graph in graphs for node in graph.node):
        node.input[:] = [names.get(name, name) for name in node.input]


def _parts(pipeline: Pipeline) -> list[Any]:
    """Every transformer and the estimator, nested ones too."""
    found: list[Any] = []
    for _, part in pipeline.steps:
        inner = [one for _, one, _ in part.transformers_] if hasattr(part, "transformers_") else [part]
        for one in inner:
            found.extend(_parts(one) if isinstance(one, Pipeline) else [one])
    return found
