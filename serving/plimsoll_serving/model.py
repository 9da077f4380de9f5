"""One ONNX model: verified, loaded, described and run. Nothing here knows of HTTP or of the event loop."""

import ctypes
import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from plimsoll_serving.artifact import PROFILE_FILE
from plimsoll_serving.errors import ArtifactError, ModelError, RequestError, SettingsError
from plimsoll_serving.providers import CPU, in_use, open_session
from plimsoll_serving.v2.datatypes import DATATYPES, of_onnx
from plimsoll_serving.v2.signature import Signature, Tensor

ORT_FATAL = 4
ONNX_BFLOAT16 = 16
# Operators that repeat or choose by the values they are given, and those whose output may be of any size. In the file a
# node has its type in field 4 (`op_type` of NodeProto in onnx.proto); the same bytes elsewhere do no harm.
_LOOPS = (b"Loop", b"Scan", b"If", b"SequenceMap")
_RESIZING = (b"Range", b"Tile", b"Expand", b"ConstantOfShape", b"Resize", b"Upsample", b"Pad", b"OneHot")
# JSON in the file's metadata: the classes of outputs that have a column a class, by the output's name.
CLASSES = "plimsoll.classes"
# What scikit-learn's ZipMap answers.
_MAPS = frozenset({"seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))"})
# Nothing can lie below this path: a graph that keeps weights in other files is refused, wherever the process runs.
NO_FOLDER = "/dev/null"
# The defaults; where none are given, each run makes its own.
_RUN_OPTIONS = onnxruntime.RunOptions()


class Model:
    """A loaded model.

    Args:
        data: the ONNX file, with every weight inside and only operators that ONNX Runtime knows.
        threads: threads of one inference.
        providers: ONNX Runtime's execution providers, in the order of preference.

    Attributes:
        signature: inputs and outputs.
        providers: those that run its operators, in the order of preference.
        loops: whether one row may take any time, whatever the others take.
        steady: whether what a run takes follows from the shapes of its inputs.
        classes: of each output that has a column a class and tells them: the dictionaries of ZipMap, once one was seen,
            and what the file's metadata say (`CLASSES`).
        without_rows: each output for inputs without rows, once it is known. Many graphs raise on those (a neighbour
            that is not there, a matrix of no size), others do not: a request must not tell versions apart by it.

    Raises:
        ArtifactError: ONNX Runtime refuses the graph or cannot run it from Python or on these providers, or an input or
            output is not a tensor the protocol can carry.
        SettingsError: a provider is not there.
    """

    def __init__(self, data: bytes, threads: int = 1, providers: Sequence[str] = (CPU,)) -> None:
        try:
            self._session = open_session(data, _options(threads), providers, threads)
        except (SettingsError, ArtifactError):
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ArtifactError(_explain_refusal(str(error))) from None
        self.loops = _uses(data, _LOOPS)
        self.steady = not self.loops and not _uses(data, _RESIZING)
        self.providers: list[str] = in_use(self._session)
        self.signature = Signature(
            inputs={node.name: _tensor(node, "input") for node in self._session.get_inputs()},
            outputs={node.name: _tensor(node, "output") for node in self._session.get_outputs()},
        )
        # What ONNX Runtime's Python asks before it goes down has been answered: every input is there. It would take a
        # third of a small run.
        self._answer = getattr(self._session, "_sess", self._session).run
        # The file, which it would only need again to fall back from another processor to this one.
        self._session._model_bytes = None
        tensors = [*self.signature.inputs.values(), *self.signature.outputs.values()]
        self._raw = any(tensor.datatype.kind == "raw" for tensor in tensors)
        answers_raw = any(tensor.datatype.kind == "raw" for tensor in self.signature.outputs.values())
        self._text = any(tensor.datatype.kind == "bytes" for tensor in self.signature.inputs.values())
        if self._text and answers_raw:
            raise ArtifactError("ONNX Runtime cannot answer BF16 to text from Python; cast these outputs to FP32")
        self._maps = [node.name for node in self._session.get_outputs() if node.type in _MAPS]
        if self._maps and answers_raw:
            raise ArtifactError("ONNX Runtime cannot answer BF16 beside ZipMap from Python; convert with zipmap off")
        # What a dictionary says itself is right, whatever the file says of it.
        said = _classes(self._session)
        self.classes = {name: classes for name, classes in said.items() if name not in self._maps}
        self.without_rows: dict[str, NDArray[Any]] = {}

    def run(self, inputs: dict[str, NDArray[Any]], outputs: list[str]) -> list[NDArray[Any]]:
        """Compute the named outputs. Safe from several threads; the interpreter lock is released meanwhile.

        Raises:
            RequestError: the inputs differ in their number of rows and the graph could not join them; or they have no
                values and the graph raised.
            ModelError: the graph raised.
        """
        try:
            if self._raw:
                return self._run_raw(inputs, outputs)
            answers = self._answer(outputs, inputs, _RUN_OPTIONS)
            if self._maps:
                return [
                    self._table(name, answer) if name in self._maps else answer
                    for name, answer in zip(outputs, answers, strict=True)
                ]
            return list(answers)
        except Exception as error:
            return self._instead(inputs, outputs, error)

    def _instead(self, inputs: dict[str, NDArray[Any]], outputs: list[str], error: Exception) -> list[NDArray[Any]]:
        """What is answered where the graph raised."""
        rows = {name: array.shape[0] for name, array in inputs.items() if array.ndim}
        if len(set(rows.values())) > 1:
            told = ", ".join(f"{name!r} has {count}" for name, count in rows.items())
            raise RequestError(f"inputs differ in rows (first size of shape): {told}") from None
        if self.without_rows and not any(rows.values()):
            return [self.without_rows[name] for name in outputs]
        empty = next((name for name, array in inputs.items() if not array.size), None)
        if empty is not None:
            raise RequestError(f"input {empty!r} has no values, and the model does not answer that") from None
        raise ModelError(_first_line(str(error))) from None

    def _table(self, name: str, rows: list[dict[Any, float]]) -> NDArray[Any]:
        """The matrix that ZipMap made a list of dictionaries of: a column a class, ordered by the classes' names."""
        if not rows:
            return self.without_rows.get(name, np.empty((0, 0), np.float32))
        if name not in self.classes:
            self.classes[name] = list(rows[0])
        return np.array([list(row.values()) for row in rows], dtype=np.float32)

    def _run_raw(self, inputs: dict[str, NDArray[Any]], outputs: list[str]) -> list[NDArray[Any]]:
        """For tensors of a type that numpy does not have: their 16 bits pass as UINT16."""
        raw = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(array), ONNX_BFLOAT16)
            for name, array in inputs.items()
            if self.signature.inputs[name].datatype.kind == "raw"
        }
        if self._text or self._maps:  # of which no OrtValue is made; no output is raw then
            answers = self._session.run(outputs, inputs | raw)
            return [self._table(n, one) if n in self._maps else one for n, one in zip(outputs, answers, strict=True)]
        plain = {name: array for name, array in inputs.items() if name not in raw}
        values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in plain.items()} | raw
        answers = self._session.run_with_ort_values(outputs, values)
        return [
            _bits(answer) if self.signature.outputs[name].datatype.kind == "raw" else answer.numpy()
            for name, answer in zip(outputs, answers, strict=True)
        ]


def _classes(session: onnxruntime.InferenceSession) -> dict[str, list[int | str]]:
    try:
        text = session.get_modelmeta().custom_metadata_map.get(CLASSES, "{}")
    except UnicodeDecodeError:  # some other entry, which nobody asks for
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, list[int | str]])
    except msgspec.MsgspecError as error:
        raise ArtifactError(f"the model's metadata {CLASSES} is not {{output: [classes]}}: {error}") from None


def _uses(data: bytes, operators: Sequence[bytes]) -> bool:
    return any(b"\x22%c%b" % (len(name), name) in data for name in operators)


def _bits(value: Any) -> NDArray[Any]:
    """A copy of the 16-bit elements of an OrtValue."""
    shape = value.shape()
    size = math.prod(shape) * 2
    data = ctypes.string_at(value.data_ptr(), size) if size else b""
    return np.frombuffer(data, np.uint16).reshape(shape)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ORT_FATAL
    # Spinning threads burn the CPU quota of the pod between requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
    return options


def _explain_refusal(message: str) -> str:
    if NO_FOLDER in message:
        return "the model keeps weights in other files (ONNX external data); save it as one file"
    if "INVALID_PROTOBUF" in message or "No graph was found" in message:
        return "the file is not an ONNX model"
    if "is not a registered function/op" in message:
        return f"the model uses operators that ONNX Runtime does not know: {_first_line(message)}"
    if "seq(map(" in message:  # skl2onnx writes what renames such an output, and ONNX Runtime has no such operator
        return f"convert the model with options={{'zipmap': False}}; ONNX Runtime refuses it: {_first_line(message)}"
    return f"ONNX Runtime refuses the model: {_first_line(message)}"


def _first_line(message: str) -> str:
    text = message.strip().partition("\n")[0]
    return text if len(text) <= 300 else text[:300] + "…"


def _tensor(node: Any, what: str) -> Tensor:
    datatype = of_onnx(node.type)
    if what == "output" and node.type in _MAPS:
        return Tensor(node.name, DATATYPES["FP32"], (-1, -1), (None, None))
    if datatype is None:
        raise ArtifactError(
            f"{what} {node.name!r} of the model is {node.type}, not a tensor that the protocol can carry"
        )
    return Tensor(
        name=node.name,
        datatype=datatype,
        shape=tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape),
        symbols=tuple(size if isinstance(size, str) and size else None for size in node.shape),
    )


def synthetic_inputs(signature: Signature) -> dict[str, NDArray[Any]]:
    """Zeros and empty strings of the smallest shape: one where the size is free."""
    inputs = {}
    for name, tensor in signature.inputs.items():
        shape = [1 if size < 0 else size for size in tensor.shape]
        fill: object = "" if tensor.datatype.kind == "bytes" else 0
        inputs[name] = np.full(shape, fill, dtype=tensor.datatype.dtype)
    return inputs


def sample_inputs(profile: bytes) -> list[Any]:
    """The profile's ``sample``: rows as they would be sent. Raises ArtifactError when the profile cannot be read."""
    try:
        document = json.loads(profile)
        sample = document.get("sample", [])
    except (ValueError, AttributeError) as error:
        raise ArtifactError(f"{PROFILE_FILE} is not a profile: {error}") from None
    return sample if isinstance(sample, list) else [sample]


def feature_names(profile: bytes) -> list[str]:
    """The profile's ``features`` by their index. Empty when it does not tell them in full."""
    features = json.loads(profile).get("features", [])
    try:
        return [str(feature["name"]) for feature in sorted(features, key=lambda feature: feature["index"])]
    except (TypeError, KeyError):
        return []
