"""Signatures and answers for the tests of the adaptors."""

from typing import Any

import numpy as np
from plimsoll_serving.codec import Answer, InferRequest, Run
from plimsoll_serving.http.message import Request
from plimsoll_serving.v2.datatypes import DATATYPES
from plimsoll_serving.v2.signature import Signature, Tensor


def tensor(name: str, datatype: str, *shape: int) -> Tensor:
    return Tensor(name, DATATYPES[datatype], shape, (None,) * len(shape))


def signature(inputs: list[Tensor], outputs: list[Tensor]) -> Signature:
    return Signature({one.name: one for one in inputs}, {one.name: one for one in outputs})


CLASSES = [tensor("label", "BYTES", -1), tensor("probabilities", "FP32", -1, 2)]
NUMBERS = signature([tensor("input", "FP32", -1, 3)], CLASSES)
MIXED = signature(
    [tensor("age", "FP32", -1, 1), tensor("city", "BYTES", -1, 1), tensor("visits", "INT64", -1, 1)],
    [tensor("prediction", "FP32", -1, 1)],
)
HALVES = signature([tensor("input", "BF16", -1, 2)], [tensor("halves", "BF16", -1)])
IMAGES = signature([tensor("image", "FP32", -1, 2, 2)], [tensor("score", "FP64", -1)])


class Served:
    def __init__(self, of: Signature) -> None:
        self.name, self.version, self.signature = "digits", "1", of


def request(body: bytes = b"", query: str = "", **headers: str) -> Request:
    found = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request("POST", "/", query, found, body, True)


def answer(of: Signature, outputs: dict[str, Any], encoding: Any = None) -> Answer:
    arrays = {name: np.asarray(values, of.outputs[name].datatype.dtype) for name, values in outputs.items()}
    rows = max(array.shape[0] if array.ndim else 1 for array in arrays.values())
    infer = InferRequest(None, {}, list(arrays), encoding=encoding)
    return Answer(infer, Run(arrays, rows, Served(of)), (0, rows), alone=True)
