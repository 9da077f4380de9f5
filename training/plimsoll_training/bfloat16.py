"""BF16, which numpy does not have: its 16 bits as UINT16, and ONNX Runtime's own values around them."""

import ctypes
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

NAME = "BF16"
DTYPE = np.uint16
ONNX_ELEMENT = 16  # TensorProto.BFLOAT16


def value(bits: npt.NDArray[Any]) -> Any:
    """What ONNX Runtime takes."""
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(bits), ONNX_ELEMENT)


def run(session: ort.InferenceSession, feeds: dict[str, Any]) -> list[Any]:
    """As `session.run`, where BF16 is answered; every input is a value or an array of numbers."""
    values = {
        name: one if isinstance(one, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(one)
        for name, one in feeds.items()
    }
    answers = session.run_with_ort_values(None, values)
    return [_bits(one) if one.element_type() == ONNX_ELEMENT else one.numpy() for one in answers]


def _bits(answer: Any) -> npt.NDArray[Any]:
    """A copy."""
    size = math.prod(answer.shape()) * np.dtype(DTYPE).itemsize
    data = ctypes.string_at(answer.data_ptr(), size) if size else b""
    return np.frombuffer(data, DTYPE).reshape(answer.shape())
