"""How each metric is measured.

Definitions are scikit-learn's; macro averages count a class without predictions as 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from plimsoll_training.metric_names import METRICS_OF, Task

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """Answers of a model: `values` (n,); of a classifier also `probabilities` (n, k), column j for `classes[j]`."""

    values: Values
    probabilities: Values | None = None
    classes: Values | None = None

    def of(self, rows: Values) -> "Predictions":
        """Only the rows of the mask."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.values[rows], probabilities, self.classes)


def log_loss(truth: Values, predictions: Predictions) -> float:
    """Mean of −ln p(true class), p clipped at the precision of the probabilities, rows normalised.

    As scikit-learn's, but a class that the model does not know has probability 0 rather than being an error.
    """
    assert predictions.probabilities is not None and predictions.classes is not None
    epsilon = float(np.finfo(predictions.probabilities.dtype).eps)
    given = predictions.probabilities.astype(np.float64)
    given = given / np.clip(given.sum(axis=1, keepdims=True), epsilon, None)
    position = np.clip(np.searchsorted(predictions.classes, truth), 0, len(predictions.classes) - 1)
    known = predictions.classes[position] == truth
    chosen = np.where(known, given[np.arange(len(truth)), position], 0.0)
    return float(-np.log(np.clip(chosen, epsilon, 1 - epsilon)).mean())


def balanced_accuracy(truth: Values, predictions: Predictions) -> float:
    """Mean recall over the classes that occur in `truth`."""
    classes = np.unique(truth)
    return float(np.mean([(predictions.values[truth == one] == one).mean() for one in classes]))


def _macro(measure: Callable[..., float]) -> Callable[[Values, Predictions], float]:
    return lambda truth, got: float(measure(truth, got.values, average="macro", zero_division=0))


def _plain(measure: Callable[..., float]) -> Callable[[Values, Predictions], float]:
    return lambda truth, got: float(measure(truth, got.values))


def _r2(truth: Values, predictions: Predictions) -> float:
    # One row has no variance to explain; scikit-learn warns and answers NaN.
    return float(sk.r2_score(truth, predictions.values)) if len(truth) > 1 else float("nan")


MEASURES: dict[str, Callable[[Values, Predictions], float]] = {
    "accuracy": _plain(sk.accuracy_score),
    "balanced_accuracy": balanced_accuracy,
    "f1_macro": _macro(sk.f1_score),
    "precision_macro": _macro(sk.precision_score),
    "recall_macro": _macro(sk.recall_score),
    "log_loss": log_loss,
    "r2": _r2,
    "mean_absolute_error": _plain(sk.mean_absolute_error),
    "mean_squared_error": _plain(sk.mean_squared_error),
    "root_mean_squared_error": _plain(sk.root_mean_squared_error),
}


def measure(name: str, truth: Values, predictions: Predictions) -> float | None:
    """The metric on these rows; None where it has no finite value."""
    value = MEASURES[name](truth, predictions)
    return value if np.isfinite(value) else None


def measure_all(task: Task, truth: Values, predictions: Predictions) -> dict[str, float]:
    """Every metric of the task that has a finite value."""
    measured = {name: measure(name, truth, predictions) for name in METRICS_OF[task]}
    return {name: value for name, value in measured.items() if value is not None}
