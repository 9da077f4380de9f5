"""Labels are compared with what was predicted, once each, and put with those of their age."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from plimsoll_serving.codec import Answer, InferRequest, Run
from plimsoll_serving.errors import SettingsError
from plimsoll_serving.feedback import book as module
from plimsoll_serving.feedback.annotation import Annotation, predicted_output
from plimsoll_serving.feedback.book import FeedbackBook
from plimsoll_serving.feedback.counts import MAX_VERSIONS, FeedbackCounts, age_of
from plimsoll_serving.feedback.endpoint import FeedbackEndpoint
from plimsoll_serving.feedback.keys import read_keys
from plimsoll_serving.feedback.token import MAX_ROWS, Signer
from plimsoll_serving.http.message import Request
from plimsoll_serving.v2.datatypes import DATATYPES
from plimsoll_serving.v2.signature import Signature, Tensor

NOW = 1_800_000_000
DAY = 86400
SECRET = b"a secret of the namespace"


class Pod:
    """One pod of the service that takes feedback."""

    def __init__(self, secret: bytes = SECRET, max_age: float = 30 * DAY) -> None:
        self.counts = FeedbackCounts("digits", "7")
        signer = Signer([secret], "demo/digits", ("digits", "7", "digits-a"), 1)
        self.endpoint = FeedbackEndpoint(FeedbackBook(signer, "digits", self.counts, max_age, lambda: NOW))

    def post(self, body: Any) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = self.endpoint.answer(Request("POST", "/v2/models/digits/feedback", "", [], raw, True))
        return response.status, json.loads(response.body)

    def refused(self, body: Any) -> str:
        status, answer = self.post(body)
        assert status == 400
        return str(answer["error"])

    def read(self) -> dict[str, float]:
        return {
            " ".join((sample.name, *list(sample.labels.values())[1:])): sample.value
            for family in self.counts.collect()
            for sample in family.samples
            if sample.value
        }


def issued(values: Any, age: float = 30, version: str = "7", model: str = "digits", secret: bytes = SECRET) -> str:
    """An id that a pod of that version gave so many seconds ago."""
    signer = Signer([secret], "demo/digits", (model, version, f"{model}-{version}"), issued.count)  # type: ignore[attr-defined]
    issued.count += 1000  # type: ignore[attr-defined]
    return signer.sign(np.array(values), int(NOW - age)).decode()


issued.count = 5  # type: ignore[attr-defined]


def test_labels_are_correct_or_incorrect_by_version_and_age() -> None:
    pod = Pod()
    assert pod.post({"prediction_id": issued([3]), "label": 3}) == (
        200, {"counted": 1, "repeated": 0, "refused": []},
    )  # fmt: skip
    pod.post({"prediction_id": issued([3], age=2 * DAY, version="8"), "label": 4})
    pod.post({"prediction_id": issued([1, 2, 3], age=300), "label": [1, None, 4.0]})
    assert pod.read() == {
        "plimsoll_feedback_total 7 correct 1m": 1,
        "plimsoll_feedback_total 8 incorrect 7d": 1,
        "plimsoll_feedback_total 7 correct 10m": 1,
        "plimsoll_feedback_total 7 incorrect 10m": 1,
    }


def test_text_and_truth_are_compared_too() -> None:
    pod = Pod()
    names = np.array(["setosa", "virginica"], dtype=object)
    pod.post({"prediction_id": issued(names), "label": ["setosa", "setosa"]})
    pod.post({"prediction_id": issued([True]), "label": True})
    assert pod.read() == {"plimsoll_feedback_total 7 correct 1m": 2, "plimsoll_feedback_total 7 incorrect 1m": 1}


def test_a_label_above_63_bits_is_compared() -> None:
    pod = Pod()
    highest = np.array([2**64 - 1], dtype=np.uint64).astype(np.int64)
    pod.post({"prediction_id": issued(highest), "label": 2**64 - 1})
    assert pod.read() == {"plimsoll_feedback_total 7 correct 1m": 1}


def test_errors_of_numbers_are_summed_by_direction() -> None:
    pod = Pod()
    pod.post({"prediction_id": issued([10.0, 5.0, 7.0, np.nan]), "label": [8, 5.5, 7, 1]})
    assert pod.read() == {
        "plimsoll_feedback_total 7 measured 1m": 3,
        "plimsoll_feedback_total 7 not_finite 1m": 1,
        "plimsoll_feedback_error_total 7 over 1m": 2,
        "plimsoll_feedback_error_total 7 under 1m": 0.5,
        "plimsoll_feedback_squared_error_total 7 1m": 4.25,
    }


def test_an_id_counts_once_and_saying_it_again_is_no_error() -> None:
    pod = Pod()
    said = {"prediction_id": issued([3]), "label": 3}
    assert [pod.post(said)[1]["counted"], pod.post(said)[1]["counted"]] == [1, 0]
    assert pod.post([said, {**said, "label": 4}]) == (200, {"counted": 0, "repeated": 2, "refused": []})
    assert pod.read() == {"plimsoll_feedback_total 7 correct 1m": 1, "plimsoll_feedback_refused_total repeated": 3}


def test_only_the_last_ids_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_IDS", 2)
    pod = Pod()
    said = [{"prediction_id": issued([1]), "label": 1} for _ in range(3)]
    pod.post(said)
    assert [pod.post(one)[1]["repeated"] for one in (said[2], said[1], said[0])] == [1, 1, 0]


def test_of_a_list_the_good_ones_count_and_the_others_are_named() -> None:
    pod = Pod()
    good = {"prediction_id": issued([3]), "label": 3}
    status, answer = pod.post([good, {"prediction_id": "1.x.y", "label": 3}, {"prediction_id": issued([3])}])
    assert (status, answer["counted"]) == (200, 1)
    assert answer["refused"] == [
        {
            "index": 1,
            "error": "[1].prediction_id is cut short; send the whole value of the answer's header "
            "plimsoll-prediction-id",
        },
        {"index": 2, "error": "[2].label is missing; send what turned out to be true"},
    ]
    assert pod.refused([{"label": 1}]).startswith("[0].prediction_id is not a string")


def test_of_an_answer_with_many_rows_the_first_ones_count() -> None:
    pod = Pod()
    status, answer = pod.post({"prediction_id": issued(range(100)), "label": list(range(100))})
    assert (status, answer["counted"]) == (200, MAX_ROWS)


@pytest.mark.parametrize(
    ("body", "sentence", "reason"),
    [
        (b"{", "the body is not JSON", None),
        (b"[" * 100000, "the body is not JSON", None),
        (b'{"prediction_id": "x", "label": NaN}', "label is NaN, which JSON has no word for; send", None),
        ([], "the list has 0 items; send 1 to 1000 at a time", None),
        (7, 'the body is not an object with "prediction_id" and "label"', "malformed"),
        ({"prediction_id": 7, "label": 1}, "prediction_id is not a string", "malformed"),
        ({"prediction_id": "zzz", "label": 1}, "prediction_id is not a prediction id; send the value", "malformed"),
        ({"prediction_id": issued([1]), "label": None}, "label is missing", "malformed"),
        ({"prediction_id": issued([1]), "label": "1"}, "label: the value of row 0 is not a whole number", "label"),
        ({"prediction_id": issued([1.5]), "label": True}, "label: the value of row 0 is not a number", "label"),
        ({"prediction_id": issued([1.5]), "label": 10**300}, "label: the value of row 0 is not a number", "label"),
        ({"prediction_id": issued([1, 2]), "label": 1}, "label has 1 values, but the answer had 2 rows", "label"),
        ({"prediction_id": issued([1]), "label": [1, 2]}, "label has 2 values, but the answer had 1 rows", "label"),
        (
            {"prediction_id": issued([1], secret=b"of another namespace"), "label": 1},
            "prediction_id is not signed by this service", "signature",
        ),
        (
            {"prediction_id": issued([1], model="cats"), "label": 1},
            "prediction_id is of model 'cats'; send it to /v2/models/cats/feedback", "model",
        ),
        (
            {"prediction_id": issued([1], age=31 * DAY), "label": 1},
            "prediction_id is 31.0 days old, more than the 30 days", "expired",
        ),
        ({"prediction_id": issued([1], age=-900), "label": 1}, "prediction_id is 900 seconds in the future", "expired"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_refused_by_field(body: Any, sentence: str, reason: str | None) -> None:
    pod = Pod()
    assert pod.refused(body).startswith(sentence)
    assert pod.read() == ({f"plimsoll_feedback_refused_total {reason}": 1} if reason else {})


def test_versions_without_end_make_no_series_without_end() -> None:
    pod = Pod()
    for version in range(100):
        pod.post({"prediction_id": issued([1], version=str(1000 + version)), "label": 1})
    counted = {name: count for name, count in pod.read().items() if "total" in name}
    assert len(counted) == MAX_VERSIONS
    assert counted["plimsoll_feedback_total other correct 1m"] == 101 - MAX_VERSIONS


def test_ages_end_where_the_contract_says() -> None:
    seconds = (0, 60, 61, 600, 3600, 86400, 604800, 604801)
    assert [age_of(age) for age in seconds] == ["1m", "1m", "10m", "10m", "1h", "1d", "7d", "older"]
    assert age_of(-5) == "1m"


def outputs(**shapes: tuple[str, tuple[int, ...]]) -> Signature:
    return Signature(
        {}, {name: Tensor(name, DATATYPES[kind], shape, (None,) * len(shape)) for name, (kind, shape) in shapes.items()}
    )


def test_what_labels_are_compared_with() -> None:
    label, wide = ("INT64", (-1,)), ("FP32", (-1, 3))
    assert predicted_output(outputs(label=label, probabilities=wide)) == "label"
    assert predicted_output(outputs(prediction=("FP32", (-1, 1)), other=label)) == "prediction"
    assert predicted_output(outputs(score=("FP32", (-1, 1)), embedding=wide)) == "score"
    assert predicted_output(outputs(embedding=wide)) is None
    assert predicted_output(outputs(a=label, b=label)) is None


class Digits:
    name, version = "digits", "7"
    signature = Signature({}, {})


def answer(**arrays: np.ndarray[Any, Any]) -> Answer:
    rows = len(next(iter(arrays.values())))
    return Answer(InferRequest(None, {}, list(arrays)), Run(arrays, rows, Digits()), (0, rows or 1), alone=True)


@pytest.mark.parametrize("values", [[[3]], [2**64 - 1], [True], [0.5], [0.1]])
def test_the_id_of_one_number_is_that_of_an_array_of_one(values: Any) -> None:
    array = np.array(values)
    signer = Signer([SECRET], "demo/digits", ("digits", "7", "r"), 1)
    found = Annotation(signer, "label", lambda: NOW).header(answer(label=array))
    flat = array.reshape(-1)
    same = Signer([SECRET], "demo/digits", ("digits", "7", "r"), 1)
    assert found is not None
    assert found[1] == same.sign(flat.astype(np.int64) if flat.dtype == np.uint64 else flat, NOW)


def test_an_answer_without_the_prediction_has_no_id() -> None:
    annotation = Annotation(Signer([SECRET], "demo/digits", ("digits", "7", "r"), 1), "label", lambda: NOW)
    assert annotation.header(answer(probabilities=np.ones((1, 2)))) is None
    assert annotation.header(answer(label=np.ones(0))) is None
    found = annotation.header(answer(label=np.array([[3], [2**64 - 1]], dtype=np.uint64)))
    assert found is not None
    name, token = found
    assert name == b"plimsoll-prediction-id"
    pod = Pod()
    assert pod.post({"prediction_id": token.decode(), "label": [3, 2**64 - 1]})[1]["counted"] == 2
    assert pod.read() == {"plimsoll_feedback_total 7 correct 1m": 2}


def test_keys_are_lines_of_a_file_and_random_without_one(tmp_path: Any) -> None:
    path = tmp_path / "key"
    assert read_keys(path) != read_keys(None)
    path.write_bytes(b"0123456789abcdef\n\nthe older secret of it\n")
    assert read_keys(path) == [b"0123456789abcdef", b"the older secret of it"]
    path.write_bytes(b"short\n")
    with pytest.raises(SettingsError, match=r"PLIMSOLL_FEEDBACK_KEY_FILE: .* must hold 1 to 8 lines"):
        read_keys(path)
