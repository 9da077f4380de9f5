"""Feedback against its predictions: checked, counted once, answered with a sentence where it is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plimsoll_serving.errors import RequestError
from plimsoll_serving.feedback.counts import Cohort, FeedbackCounts, age_of
from plimsoll_serving.feedback.token import MAX_ROWS, Prediction, Signer, TokenError, text_digest

#: Ids of this many feedbacks are remembered, the last ones (some 10 MiB).
REMEMBERED_IDS = 65536
#: An id may seem to come from the future: the clocks of two nodes differ.
CLOCK_SKEW_SECONDS = 300
#: Its square, and a sum of such squares, is still a number.
LARGEST_LABEL = 1e140
_KINDS = {"i": "a whole number or a boolean", "f": "a number", "t": "a string"}


class Refusal(RequestError):
    """Feedback that is not counted; ``reason`` is its label."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Counted:
    """What came of one piece of feedback: rows counted, or that the id had been seen before."""

    rows: int
    repeated: bool = False


class FeedbackBook:
    """Counts feedback of one service's model. On the event loop only.

    Args:
        max_age: seconds after which an id is refused.
        clock: Unix seconds.
    """

    def __init__(
        self, signer: Signer, model: str, counts: FeedbackCounts, max_age: float, clock: Callable[[], float]
    ) -> None:
        self._signer = signer
        self._model = model
        self._counts = counts
        self._max_age = max_age
        self._clock = clock
        self._seen: dict[bytes, None] = {}

    def take(self, item: Any, where: str) -> Counted:
        """Count one ``{"prediction_id", "label"}``. Raises Refusal naming the field.

        Args:
            where: what stands before the names of its fields in messages, such as ``[3].``
        """
        try:
            return self._take(item, where)
        except Refusal as refusal:
            self._counts.refused(refusal.reason)
            raise

    def _take(self, item: Any, where: str) -> Counted:
        token, label = _fields(item, where)
        prediction = self._read(token, where)
        labels = label if isinstance(label, list) else [label]
        held = len(prediction.values)
        # Of a longer answer the id holds the first rows only; the labels of the others are left.
        if len(labels) < held or (len(labels) > held and held < MAX_ROWS):
            raise Refusal(
                "label",
                f"{where}label has {len(labels)} values, but the answer had {held} rows; send one for each, null where "
                "it is not known",
            )
        truths = [_truth(one, prediction.kind, where, row) for row, one in enumerate(labels[:held])]
        if prediction.signature in self._seen:
            self._counts.refused("repeated")
            return Counted(0, repeated=True)
        self._remember(prediction.signature)
        age = age_of(self._clock() - prediction.time)
        cohort = self._counts.cohort(prediction.version, age)
        rows = 0
        for predicted, truth in zip(prediction.values, truths, strict=True):
            if truth is not None:
                _count(cohort, prediction.kind, predicted, truth)
                rows += 1
        return Counted(rows)

    def _read(self, token: str, where: str) -> Prediction:
        try:
            prediction = self._signer.read(token)
        except TokenError as error:
            raise Refusal(error.reason, f"{where}prediction_id {error}") from None
        if prediction.model != self._model:
            raise Refusal(
                "model",
                f"{where}prediction_id is of model {prediction.model!r}; "
                f"send it to /v2/models/{prediction.model}/feedback",
            )
        age = self._clock() - prediction.time
        if age > self._max_age or age < -CLOCK_SKEW_SECONDS:
            raise Refusal(
                "expired",
                f"{where}prediction_id is {age / 86400:.1f} days old, more than the {self._max_age / 86400:g} days "
                "after which labels are refused (PLIMSOLL_FEEDBACK_MAX_AGE_SECONDS)"
                if age > 0
                else f"{where}prediction_id is {-age:.0f} seconds in the future; set the clocks of the nodes right",
            )
        return prediction

    def _remember(self, signature: bytes) -> None:
        if len(self._seen) >= REMEMBERED_IDS:
            del self._seen[next(iter(self._seen))]
        self._seen[signature] = None


def _fields(item: Any, where: str) -> tuple[str, Any]:
    if not isinstance(item, dict):
        raise Refusal("malformed", f'{where or "the body"} is not an object with "prediction_id" and "label"')
    token = item.get("prediction_id")
    if not isinstance(token, str):
        raise Refusal(
            "malformed", f"{where}prediction_id is not a string; send the answer's header plimsoll-prediction-id"
        )
    if item.get("label") is None:
        raise Refusal("malformed", f"{where}label is missing; send what turned out to be true")
    return token, item["label"]


def _truth(label: Any, kind: str, where: str, row: int) -> Any:
    """A label in the form of the id's values; None where it is not known."""
    if label is None:
        return None
    if kind == "t" and isinstance(label, str):
        return text_digest(label)
    if kind == "i" and (isinstance(label, int) or (isinstance(label, float) and label.is_integer())):
        return wrapped(int(label))
    if kind == "f" and isinstance(label, int | float) and not isinstance(label, bool) and abs(label) < LARGEST_LABEL:
        return float(label)
    raise Refusal("label", f"{where}label: the value of row {row} is not {_KINDS[kind]}, as the prediction is")


def wrapped(number: int) -> int:
    """The signed 64 bits that an id holds of a whole number: those of UINT64 above 2⁶³ - 1 are negative there."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _count(cohort: Cohort, kind: str, predicted: Any, truth: Any) -> None:
    if kind != "f":
        cohort.outcomes["correct" if predicted == truth else "incorrect"] += 1
        return
    error = predicted - truth
    if not abs(error) < LARGEST_LABEL:
        cohort.outcomes["not_finite"] += 1
        return
    cohort.outcomes["measured"] += 1
    cohort.squared += error * error
    if error > 0:
        cohort.over += error
    else:
        cohort.under -= error
