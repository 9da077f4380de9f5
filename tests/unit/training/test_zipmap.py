"""A classifier that answers dictionaries, and the same one that answers their matrix."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from plimsoll_serving import model as served
from plimsoll_training.errors import ModelRejectedError
from plimsoll_training.inference import LoadedModel
from plimsoll_training.zipmap import CLASSES, require_same_answers, without_zipmap
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from tests.builders import echo_models

ROWS = np.random.default_rng(5).normal(size=(90, 4)).astype(np.float32)
NAMES = np.array(["blau", "gelb", "Übel"])
ESTIMATORS = [LogisticRegression(), RandomForestClassifier(5, random_state=1), KNeighborsClassifier(), GaussianNB()]


def converted(estimator: Any, truth: Any, **options: Any) -> bytes:
    """As skl2onnx does it by default."""
    types = [("input", FloatTensorType([None, 4]))]
    fitted = estimator.fit(ROWS, truth)
    return bytes(to_onnx(fitted, initial_types=types, target_opset=17, **options).SerializeToString())


def rewritten(content: bytes) -> bytes:
    made = without_zipmap(content)
    assert made is not None
    return made


def metadata(content: bytes) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
@pytest.mark.parametrize("classes", [[3, 5, 8], NAMES.tolist()], ids=["numbers", "names"])
def test_the_matrix_has_the_bits_of_the_dictionaries_and_the_names_of_the_contracts(
    estimator: Any, classes: list[Any]
) -> None:
    content = converted(estimator, np.array(classes)[np.arange(90) % 3])
    made = rewritten(content)
    onnx.checker.check_model(made, full_check=True)
    before, after = LoadedModel(content), LoadedModel(made)
    kind = "BYTES" if isinstance(classes[0], str) else "INT64"
    assert [(one.name, one.datatype, one.shape) for one in after.signature.outputs] == [
        ("label", kind, (-1,)),
        ("probabilities", "FP32", (-1, 3)),
    ]
    was, now = before.run({"input": ROWS}), after.run({"input": ROWS})
    assert now["label"].tolist() == was["output_label"].tolist()
    assert now["probabilities"].tobytes() == was["output_probability"].tobytes()
    require_same_answers(before, after, {"input": ROWS})
    assert json.loads(metadata(made)[CLASSES]) == {"probabilities": classes}
    assert rewritten(content) == made, "the same model is the same bytes"


def test_other_models_are_left_as_they_are() -> None:
    assert without_zipmap(converted(LogisticRegression(), np.arange(90) % 3, options={"zipmap": False})) is None
    assert without_zipmap(echo_models.column_shares()) is None
    assert without_zipmap(b"no model, though it says ZipMap") is None


def test_outputs_of_other_names_keep_them_and_other_metadata_stay() -> None:
    model = onnx.load_model_from_string(echo_models.of_classes([7, 10, 20]))
    helper.set_model_props(model, {"author": "me", CLASSES: '{"other": ["a"], "scores": [1]}'})
    made = rewritten(model.SerializeToString())
    assert [one.name for one in LoadedModel(made).signature.outputs] == ["scores"]
    assert metadata(made) == {"author": "me", CLASSES: '{"other": ["a"], "scores": [7, 10, 20]}'}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"scores": 3}', '{"scores": [1.5]}', '{"scores": [true]}'])
def test_classes_that_the_server_would_not_read_are_refused_with_what_it_reads(text: str) -> None:
    model = onnx.load_model_from_string(echo_models.column_shares())
    helper.set_model_props(model, {CLASSES: text})
    with pytest.raises(ModelRejectedError, match=r"metadata plimsoll.classes must be JSON"):
        LoadedModel(model.SerializeToString())


def test_classes_that_are_not_in_order_are_refused_with_the_remedy() -> None:
    with pytest.raises(
        ModelRejectedError, match=r"the classes of scores .ZipMap. are not sorted; convert it with zipmap off"
    ):
        without_zipmap(echo_models.of_classes([10, 7, 20]))


def test_a_model_that_answers_otherwise_is_refused() -> None:
    first, second = (LoadedModel(converted(LogisticRegression(C=c), np.arange(90) % 3)) for c in (1.0, 0.1))
    with pytest.raises(ModelRejectedError, match="does not answer as with it"):
        require_same_answers(first, second, {"input": ROWS})


def test_what_onnxruntime_cannot_run_names_the_remedy() -> None:
    named = converted(LogisticRegression(), np.arange(90) % 3, final_types=[("label", None), ("probabilities", None)])
    with pytest.raises(ModelRejectedError, match=r"convert it with options={'zipmap': False}: "):
        LoadedModel(named)
    with pytest.raises(served.ArtifactError, match=r"convert the model with options={'zipmap': False}"):
        served.Model(named)


def test_the_server_finds_the_classes_where_the_publisher_puts_them() -> None:
    made = rewritten(converted(LogisticRegression(), NAMES[np.arange(90) % 3]))
    assert served.CLASSES == CLASSES
    assert served.Model(made).classes == {"probabilities": NAMES.tolist()}
