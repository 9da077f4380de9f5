"""What a model may not contain, whoever made it. Reads the protobuf only; nothing is run."""

import json
from collections.abc import Iterator

import onnx

from plimsoll_training.errors import ModelRejectedError

ALLOWED_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
#: JSON in the file's metadata: the classes of each output that has a column a class, by the output's name.
CLASSES = "plimsoll.classes"


def require_plain_model(content: bytes) -> None:
    """ModelRejectedError for what is no ONNX model, keeps tensors in other files, or needs custom operators."""
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # whatever the parser makes of foreign bytes, they are no model
        raise ModelRejectedError("the file is not an ONNX model") from None
    if not model.HasField("graph") or not model.graph.output:
        raise ModelRejectedError("the file is not an ONNX model: it has no graph with outputs")
    if model.functions:
        raise ModelRejectedError(f"the model defines functions of its own ({model.functions[0].name}); inline them")
    graphs = list(graphs_of(model))
    domains = {one.domain for one in model.opset_import}
    domains |= {node.domain for graph in graphs for node in graph.node}
    if foreign := sorted(domains - ALLOWED_DOMAINS):
        raise ModelRejectedError(
            f"the model needs operators of {', '.join(foreign)}; only ai.onnx and ai.onnx.ml are allowed"
        )
    classes_of(model)
    for graph in graphs:
        for tensor in _tensors(graph):
            if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise ModelRejectedError(
                    f"the tensor {tensor.name!r} is kept in another file; store the weights inside the model"
                )


def classes_of(model: onnx.ModelProto) -> dict[str, list[int | str]]:
    """The names of classes that the file's metadata tell. ModelRejectedError for what the server would not read."""
    text = next((entry.value for entry in model.metadata_props if entry.key == CLASSES), "{}")
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    lists = list(told.values()) if isinstance(told, dict) else [None]
    if not all(isinstance(one, list) and all(type(name) in (int, str) for name in one) for one in lists):
        raise ModelRejectedError(
            f"the model's metadata {CLASSES} must be JSON, the classes of outputs as whole numbers or texts, such as"
            ' {"probabilities": ["no", "yes"]}'
        )
    return dict(told)


def graphs_of(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The graph, those of training, and every graph inside a node's attributes."""
    waiting = [model.graph]
    for training in model.training_info:
        waiting += [training.initialization, training.algorithm]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend(attribute.graphs)
                if attribute.HasField("g"):
                    waiting.append(attribute.g)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            sparse.extend(attribute.sparse_tensors)
            if attribute.HasField("sparse_tensor"):
                sparse.append(attribute.sparse_tensor)
    for one in sparse:
        yield one.values
        yield one.indices
