"""The header of each answer: of a run that several requests share, each id holds the rows of its own answer."""

from typing import Any

import numpy as np
import pytest
from plimsoll_serving.codec import Answer, InferRequest, Run
from plimsoll_serving.feedback.annotation import HEADER, Annotation
from plimsoll_serving.feedback.token import MAX_ROWS, Signer, text_digest
from plimsoll_serving.v2.datatypes import DATATYPES
from plimsoll_serving.v2.signature import Signature

from tests.unit.serving.test_decode import Made, tensor

SIZES = (1, 3, MAX_ROWS + 2, 1, 2)
KINDS = {"INT64": "i", "UINT64": "i", "UINT8": "i", "BOOL": "i", "FP32": "f", "FP64": "f", "BYTES": "t"}


@pytest.mark.parametrize("datatype", KINDS)
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_an_id_holds_the_predictions_of_its_own_rows(datatype: str, shape: tuple[int, ...]) -> None:
    signer = Signer([b"secret"], "demo/digits", ("digits", "7", "digits-a"), start=0)
    annotation = Annotation(signer, "label", clock=lambda: 1000.0)
    numbers = np.arange(sum(SIZES)) % (2 if datatype == "BOOL" else 200)
    made = Made(Signature({}, {"label": tensor("label", datatype, shape)}))
    labels = _labels(datatype, numbers)
    run, start = Run({"label": labels.reshape(len(labels), *shape[1:])}, len(labels), made), 0
    for size in SIZES:
        answer = Answer(InferRequest(None, {}, ["label"]), run, (start, start + size), alone=False)
        header = annotation.header(answer)
        assert header is not None
        assert header[0] == HEADER
        found = signer.read(header[1].decode())
        wanted = labels[start : start + min(size, MAX_ROWS)].tolist()
        assert found.values == tuple(map(text_digest, wanted) if datatype == "BYTES" else wanted)
        assert (found.time, found.kind) == (1000, KINDS[datatype])
        start += size


def _labels(datatype: str, numbers: Any) -> Any:
    if datatype == "BYTES":
        return np.array([f"class {number}" for number in numbers], dtype=object)
    return (numbers / 8 if KINDS[datatype] == "f" else numbers).astype(DATATYPES[datatype].dtype)
