"""ONNX models that answer what they were given, so that a test knows each value of an answer without computing it.

Every answer is independent of what else is in the batch, bit for bit, except in `column_shares` and `column_counts`,
which are made to depend on it: a server that runs requests together must see that it cannot. Importable without pytest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tests.builders.onnx_models import model_bytes

Size = int | str | None
Tensors = Mapping[str, tuple[int, Sequence[Size]]]

#: ONNX's element type of each datatype of the protocol.
ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
    "BF16": TensorProto.BFLOAT16,
}
#: A size that is the same for all inputs.
ROWS = "rows"


def echo(tensors: Tensors) -> bytes:
    """``echo_{name}`` of each input ``{name}``: (element type, shape)."""
    nodes = [helper.make_node("Identity", [name], [f"echo_{name}"]) for name in tensors]
    return model_bytes(nodes, _values(tensors), _values(tensors, "echo_"))


def of_every_type(datatypes: Sequence[str], columns: int = 2) -> bytes:
    """`echo` with an input ``[rows, columns]`` of each datatype, named as it in small letters."""
    return echo({name.lower(): (ELEMENTS[name], [ROWS, columns]) for name in datatypes})


def of_bf16(columns: int = 2) -> bytes:
    """`of_every_type`, BF16 but no BYTES; besides: ``widened`` FP32 = bf16, ``narrowed`` BF16 = fp32 rounded to it."""
    tensors: Tensors = {
        name.lower(): (element, [ROWS, columns]) for name, element in ELEMENTS.items() if name != "BYTES"
    }
    nodes = [helper.make_node("Identity", [name], [f"echo_{name}"]) for name in tensors]
    nodes += [
        helper.make_node("Cast", ["bf16"], ["widened"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["fp32"], ["narrowed"], to=TensorProto.BFLOAT16),
    ]
    outputs = [
        *_values(tensors, "echo_"),
        helper.make_tensor_value_info("widened", TensorProto.FLOAT, [ROWS, columns]),
        helper.make_tensor_value_info("narrowed", TensorProto.BFLOAT16, [ROWS, columns]),
    ]
    return model_bytes(nodes, _values(tensors), outputs)


def of_text_and_bf16() -> bytes:
    """``text`` BYTES and ``half`` BF16 [rows, 2] → ``echo_text``, ``widened`` FP32 = half.

    BF16 is an input only: ONNX Runtime's Python cannot answer it where there is text.
    """
    tensors: Tensors = {"text": (TensorProto.STRING, [ROWS, 2]), "half": (TensorProto.BFLOAT16, [ROWS, 2])}
    nodes = [
        helper.make_node("Identity", ["text"], ["echo_text"]),
        helper.make_node("Cast", ["half"], ["widened"], to=TensorProto.FLOAT),
    ]
    outputs = [
        helper.make_tensor_value_info("echo_text", TensorProto.STRING, [ROWS, 2]),
        helper.make_tensor_value_info("widened", TensorProto.FLOAT, [ROWS, 2]),
    ]
    return model_bytes(nodes, _values(tensors), outputs)


def of_every_rank() -> bytes:
    """`echo` with FP32 inputs ``rank0`` to ``rank5``, free and fixed sizes mixed; the scalar has no rows."""
    sizes = [[], [None], [None, 3], [2, None, None], [None, 2, None, 1], [None, 1, None, 2, None]]
    return echo({f"rank{len(shape)}": (TensorProto.FLOAT, shape) for shape in sizes})


def of_fixed_shape() -> bytes:
    """`echo` whose sizes are all fixed, rows too: ``fp32`` ``[3, 2]``, ``bytes`` ``[1]``."""
    return echo({"fp32": (TensorProto.FLOAT, [3, 2]), "bytes": (TensorProto.STRING, [1])})


def of_several_widths() -> bytes:
    """Inputs of several types whose rows agree and whose widths are free.

    ``values`` FP32 [rows, width], ``key`` INT64 [rows], ``text`` BYTES [rows, 1], ``cube`` FP64 [rows, 2, depth].
    Besides their echoes: ``doubled`` = 2 * values, ``keyed`` INT64 [rows, 2] = key beside its negation.
    """
    tensors: Tensors = {
        "values": (TensorProto.FLOAT, [ROWS, "width"]),
        "key": (TensorProto.INT64, [ROWS]),
        "text": (TensorProto.STRING, [ROWS, 1]),
        "cube": (TensorProto.DOUBLE, [ROWS, 2, "depth"]),
    }
    nodes: list[NodeProto] = [helper.make_node("Identity", [name], [f"echo_{name}"]) for name in tensors]
    nodes += [
        helper.make_node("Add", ["values", "values"], ["doubled"]),
        helper.make_node("Unsqueeze", ["key", "last"], ["column"]),
        helper.make_node("Neg", ["column"], ["negated"]),
        helper.make_node("Concat", ["column", "negated"], ["keyed"], axis=1),
    ]
    outputs = [
        *_values(tensors, "echo_"),
        helper.make_tensor_value_info("doubled", TensorProto.FLOAT, [ROWS, "width"]),
        helper.make_tensor_value_info("keyed", TensorProto.INT64, [ROWS, 2]),
    ]
    return model_bytes(nodes, _values(tensors), outputs, [numpy_helper.from_array(np.array([1]), "last")])


def of_classes(classes: Sequence[int] | Sequence[str]) -> bytes:
    """``input`` FP32 [rows, classes] → ``scores``: a dictionary a row, from each class to its column (ZipMap).

    What scikit-learn's classifiers are by default where skl2onnx converts them, with ``output_probability`` for scores.
    """
    texts = isinstance(classes[0], str)
    labels = {"classlabels_strings" if texts else "classlabels_int64s": list(classes)}
    score = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    row = helper.make_map_type_proto(TensorProto.STRING if texts else TensorProto.INT64, score)
    return model_bytes(
        [helper.make_node("ZipMap", ["input"], ["scores"], domain="ai.onnx.ml", **labels)],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [ROWS, len(classes)])],
        [helper.make_value_info("scores", helper.make_sequence_type_proto(row))],
        domains=["ai.onnx.ml"],
    )


def column_shares() -> bytes:
    """``input`` FP32 [rows, 3] → ``shares`` [rows, 3], each value less the largest of its column, ``largest`` [1, 3].

    Rows of other requests in the same run change both.
    """
    return _against_largest(TensorProto.FLOAT, "shares", largest=True)


def column_counts() -> bytes:
    """``input`` INT64 [rows, 3] → ``counts`` [rows, 3], as `column_shares` does, without the output that tells it."""
    return _against_largest(TensorProto.INT64, "counts", largest=False)


def _against_largest(element: int, output: str, largest: bool) -> bytes:
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["largest"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["input", "largest"], [output]),
    ]
    inputs = [helper.make_tensor_value_info("input", element, [ROWS, 3])]
    outputs = [helper.make_tensor_value_info(output, element, [ROWS, 3])]
    if largest:
        outputs.append(helper.make_tensor_value_info("largest", element, [1, 3]))
    return model_bytes(nodes, inputs, outputs)


def _values(tensors: Tensors, prefix: str = "") -> list[ValueInfoProto]:
    return [
        helper.make_tensor_value_info(f"{prefix}{name}", element, list(shape))
        for name, (element, shape) in tensors.items()
    ]
