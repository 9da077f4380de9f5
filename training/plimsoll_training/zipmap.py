"""skl2onnx's ZipMap: a classifier that answers a dictionary a row is published as the matrix that it makes them of.

A matrix can be counted, cut into rows and sent as one tensor, and costs no Python object a row and class. The names of
the classes, which the dictionaries have, go to the model's metadata, where the server finds them.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import onnx

from plimsoll_training.errors import ModelRejectedError
from plimsoll_training.inference import Feeds, LoadedModel
from plimsoll_training.structure import CLASSES, classes_of, graphs_of

OPERATOR = "ZipMap"
#: What skl2onnx calls outputs beside and of a ZipMap, and by which names they are judged.
NAMES = {"output_label": "label", "output_probability": "probabilities"}
CHECKED_ROWS = 1024


def without_zipmap(content: bytes) -> bytes | None:
    """The model with a matrix for each list of dictionaries; None where it answers none.

    ModelRejectedError where classes are not in their order, which is that of the columns.
    """
    if OPERATOR.encode() not in content:
        return None
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # whatever the parser makes of foreign bytes: loading the model says so
        return None
    outputs = {output.name: output for output in model.graph.output}
    found = [node for node in model.graph.node if node.op_type == OPERATOR and outputs.keys() & set(node.output)]
    if not found:
        return None
    classes = {}
    for node in found:
        classes[node.output[0]] = labels = _labels(node)
        del node.attribute[:]
        node.op_type, node.domain = "Identity", ""
        output = outputs[node.output[0]]
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, [None, len(labels)]))
    names = NAMES if set(outputs) == set(NAMES) and not _inputs(model) & set(NAMES.values()) else {}
    _rename(model, names)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    told = classes_of(model) | {names.get(name, name): labels for name, labels in classes.items()}
    onnx.helper.set_model_props(model, kept | {CLASSES: json.dumps(told, ensure_ascii=False)})
    return bytes(model.SerializeToString(deterministic=True))


def require_same_answers(before: LoadedModel, after: LoadedModel, feeds: Feeds) -> None:
    """ModelRejectedError unless both answer the same bits to the first of the rows, whatever the outputs are called."""
    some = {name: values[:CHECKED_ROWS] for name, values in feeds.items()}
    one, other = before.run(some), after.run(some)
    for was, now in zip(one.values(), other.values(), strict=True):
        if was.shape != now.shape or was.dtype != now.dtype or _bits(was) != _bits(now):
            raise ModelRejectedError("the model without ZipMap does not answer as with it; convert it with zipmap off")


def _bits(values: npt.NDArray[Any]) -> object:
    return values.tolist() if values.dtype.kind == "O" else values.tobytes()


def _labels(node: onnx.NodeProto) -> list[int] | list[str]:
    """ONNX Runtime loads no ZipMap without them."""
    numbers = [number for one in node.attribute for number in one.ints]
    texts = [text.decode("utf-8", "replace") for one in node.attribute for text in one.strings]
    labels = numbers or texts
    if labels != sorted(set(labels)):
        raise ModelRejectedError(f"the classes of {node.output[0]} (ZipMap) are not sorted; convert it with zipmap off")
    return labels


def _inputs(model: onnx.ModelProto) -> set[str]:
    return {one.name for one in model.graph.input}


def _rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Values of all graphs, at once; a value that has one of the new names already gets another."""
    graphs = list(graphs_of(model))
    taken = {name for graph in graphs for node in graph.node for name in (*node.input, *node.output)}
    every = dict(names)
    for name in names.values():
        free = name
        while free in taken or free in every.values():
            free += "_"
        every[name] = free
    for graph in graphs:
        for node in graph.node:
            node.input[:] = [every.get(name, name) for name in node.input]
            node.output[:] = [every.get(name, name) for name in node.output]
        for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
            value.name = every.get(value.name, value.name)
