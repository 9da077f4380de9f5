"""A loaded model: its signature, and its answers in the shape that metrics need."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pandas as pd

from plimsoll_training import bfloat16
from plimsoll_training.columns import numeric, text
from plimsoll_training.errors import ModelRejectedError
from plimsoll_training.metric_names import Task
from plimsoll_training.metrics import Predictions
from plimsoll_training.run import Signature, Tensor
from plimsoll_training.structure import require_plain_model

BATCH_ROWS = 4096
SYNTHETIC_ELEMENTS = 1 << 26
# The V2 inference protocol's name of each ONNX tensor type, and numpy's.
DATATYPES: dict[str, tuple[str, Any]] = {
    "tensor(bool)": ("BOOL", np.bool_),
    "tensor(int8)": ("INT8", np.int8),
    "tensor(int16)": ("INT16", np.int16),
    "tensor(int32)": ("INT32", np.int32),
    "tensor(int64)": ("INT64", np.int64),
    "tensor(uint8)": ("UINT8", np.uint8),
    "tensor(uint16)": ("UINT16", np.uint16),
    "tensor(uint32)": ("UINT32", np.uint32),
    "tensor(uint64)": ("UINT64", np.uint64),
    "tensor(float16)": ("FP16", np.float16),
    "tensor(float)": ("FP32", np.float32),
    "tensor(double)": ("FP64", np.float64),
    "tensor(string)": ("BYTES", np.object_),
    "tensor(bfloat16)": (bfloat16.NAME, bfloat16.DTYPE),
}
NUMPY_TYPES = dict(DATATYPES.values())
# What scikit-learn's ZipMap answers, a dictionary from class to probability a row: to the server a matrix.
MAPS = frozenset({"seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))"})
Feeds = dict[str, npt.NDArray[Any]]


class LoadedModel:
    """A model that passed the structural refusals and that onnxruntime accepts."""

    def __init__(self, content: bytes) -> None:
        require_plain_model(content)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        # One thread: the node's cores are not the container's, and sums keep their order, so metrics their digits.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class
            remedy = "convert it with options={'zipmap': False}: " if "seq(map(" in str(error) else ""
            raise ModelRejectedError(f"onnxruntime cannot load the model: {remedy}{_first_line(error)}") from None
        self.signature = Signature(
            inputs=tuple(map(_tensor, self._session.get_inputs())),
            outputs=tuple(map(_output, self._session.get_outputs())),
        )
        kinds = {one.name: one.datatype for one in self.signature.inputs}
        self._bf16 = [name for name, kind in kinds.items() if kind == bfloat16.NAME]
        self._answers_bf16 = any(one.datatype == bfloat16.NAME for one in self.signature.outputs)
        if self._answers_bf16 and "BYTES" in kinds.values():
            raise ModelRejectedError("onnxruntime cannot answer BF16 to text from Python; cast these outputs to FP32")

    def run(self, feeds: Feeds) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name. ModelRejectedError when inference fails."""
        values = feeds | {name: bfloat16.value(feeds[name]) for name in self._bf16}
        try:
            answers = bfloat16.run(self._session, values) if self._answers_bf16 else self._session.run(None, values)
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ModelRejectedError(f"inference failed: {_first_line(error)}") from None
        names = [output.name for output in self.signature.outputs]
        return dict(zip(names, map(_array, answers), strict=True))

    def run_in_batches(self, feeds: Feeds) -> dict[str, npt.NDArray[Any]]:
        """As `run`, for any number of rows."""
        rows = len(next(iter(feeds.values())))
        parts = [
            self.run({name: values[start : start + BATCH_ROWS] for name, values in feeds.items()})
            for start in range(0, rows, BATCH_ROWS)
        ]
        outputs = {name: _joined(name, [part[name] for part in parts]) for name in parts[0]}
        for name, values in outputs.items():
            if len(values) != rows:
                raise ModelRejectedError(f"output {name} has {len(values)} rows for {rows} rows of input")
        return outputs


def require_outputs(signature: Signature, task: Task) -> None:
    """ModelRejectedError unless the outputs are those that the contracts give to the task."""
    outputs = {output.name: output for output in signature.outputs}
    wanted = {"label": ("INT64", "BYTES"), "probabilities": ("FP32", "FP64")}
    if task == "Regression":
        wanted = {"prediction": ("FP32", "FP64")}
    for name, datatypes in wanted.items():
        if name not in outputs:
            given = ", ".join(outputs)
            raise ModelRejectedError(f"a model for {task} needs an output {name}; this one has {given}")
        if outputs[name].datatype not in datatypes:
            raise ModelRejectedError(f"output {name} is {outputs[name].datatype}; it must be {' or '.join(datatypes)}")


def takes_matrix(signature: Signature) -> bool:
    """Whether all features come as one tensor, rather than as a tensor a column."""
    return (
        len(signature.inputs) == 1 and signature.inputs[0].name == "input" and signature.inputs[0].datatype != "BYTES"
    )


def feeds_for(signature: Signature, frame: pd.DataFrame, names: tuple[str, ...]) -> Feeds:
    """The rows of `frame` as the model takes them: one tensor `input`, or a tensor a column named as the column.

    `names` are the features in the order of the training data. ModelRejectedError when the model asks for others;
    UserError when a cell does not fit.
    """
    if takes_matrix(signature):
        return {"input": _matrix(signature.inputs[0], frame, names)}
    feeds: Feeds = {}
    for one in signature.inputs:
        if one.name not in names:
            raise ModelRejectedError(f"the model takes an input {one.name!r}, which is no feature of the data")
        if one.datatype == bfloat16.NAME:
            raise ModelRejectedError(
                f"input {one.name!r} is BF16, which no column is; take FP32 and cast it in the model"
            )
        values = text(frame, one.name) if one.datatype == "BYTES" else _numbers(one, frame)
        feeds[one.name] = values.reshape(-1, 1) if len(one.shape) == 2 else values
    return feeds


def predictions(outputs: dict[str, npt.NDArray[Any]], task: Task, classes: npt.NDArray[Any] | None) -> Predictions:
    """Outputs as metrics take them. ModelRejectedError when shapes do not fit the classes of the training data."""
    if task == "Regression":
        values = outputs["prediction"]
        if values.ndim not in (1, 2) or values.size != len(values):
            raise ModelRejectedError(f"output prediction has shape {list(values.shape)}; one value a row is needed")
        if not np.isfinite(values).all():
            raise ModelRejectedError("output prediction is not finite on the evaluation data")
        return Predictions(values.reshape(-1).astype(np.float64))
    assert classes is not None
    label, probabilities = outputs["label"].reshape(-1), outputs["probabilities"]
    if probabilities.ndim != 2 or probabilities.shape[1] != len(classes):
        raise ModelRejectedError(
            f"output probabilities has shape {list(probabilities.shape)} for {len(classes)} classes"
        )
    if len(label) != len(probabilities):
        raise ModelRejectedError("output label must have one value a row")
    if not np.isfinite(probabilities).all():
        raise ModelRejectedError("output probabilities is not finite on the evaluation data")
    return Predictions(label.astype(str) if label.dtype == object else label, probabilities, classes)


def synthetic_feeds(signature: Signature) -> Feeds:
    """One row of zeros (empty text) for every input. ModelRejectedError when that is too large to try."""
    for one in signature.inputs:
        if math.prod(max(size, 1) for size in one.shape) > SYNTHETIC_ELEMENTS:
            raise ModelRejectedError(f"input {one.name!r} of shape {list(one.shape)} is too large to try")
    return {
        one.name: np.full([1 if size < 0 else size for size in one.shape], "", dtype=object)
        if one.datatype == "BYTES"
        else np.zeros([1 if size < 0 else size for size in one.shape], dtype=NUMPY_TYPES[one.datatype])
        for one in signature.inputs
    }


def _joined(name: str, parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if any(part.ndim == 0 or part.shape[1:] != parts[0].shape[1:] for part in parts):
        raise ModelRejectedError(f"output {name} must have one row for each row of input")
    return np.concatenate(parts)


def _numbers(one: Tensor, frame: pd.DataFrame) -> npt.NDArray[Any]:
    values, kind = numeric(frame, one.name), NUMPY_TYPES[one.datatype]
    if np.issubdtype(kind, np.integer) and np.isnan(values).any():
        raise ModelRejectedError(f"input {one.name!r} is {one.datatype}, which cannot take the column's empty cells")
    return np.asarray(values.astype(kind))


def _matrix(one: Tensor, frame: pd.DataFrame, names: tuple[str, ...]) -> npt.NDArray[Any]:
    if len(one.shape) != 2 or one.shape[1] not in (-1, len(names)):
        raise ModelRejectedError(f"input has shape {list(one.shape)}; the data have {len(names)} features")
    if one.datatype not in ("FP32", "FP64"):
        raise ModelRejectedError(f"input is {one.datatype}; it must be FP32 or FP64")
    return np.column_stack([numeric(frame, name) for name in names]).astype(NUMPY_TYPES[one.datatype])


def _array(answer: Any) -> npt.NDArray[Any]:
    if isinstance(answer, list):
        return np.array([list(row.values()) for row in answer], dtype=np.float32).reshape(len(answer), -1)
    return np.asarray(answer)


def _output(node: Any) -> Tensor:
    return Tensor(name=node.name, datatype="FP32", shape=(-1, -1)) if node.type in MAPS else _tensor(node)


def _tensor(node: Any) -> Tensor:
    if node.type not in DATATYPES:
        raise ModelRejectedError(f"{node.name} is {node.type}, not a tensor that the protocol can carry")
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return Tensor(name=node.name, datatype=DATATYPES[node.type][0], shape=shape)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
