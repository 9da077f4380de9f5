"""The metrics that gates may name, with the direction in which each improves.

Definitions are scikit-learn's; macro averages count a class without predictions as 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

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


@dataclass(frozen=True)
class Metric:
    task: Literal["Classification", "Regression"]
    higher_is_better: bool
    measure: Callable[[Values, Predictions], float]


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


METRICS: dict[str, Metric] = {
    "accuracy": Metric("Classification", True, _plain(sk.accuracy_score)),
    "balanced_accuracy": Metric("Classification", True, balanced_accuracy),
    "f1_macro": Metric("Classification", True, _macro(sk.f1_score)),
    "precision_macro": Metric("Classification", True, _macro(sk.precision_score)),
    "recall_macro": Metric("Classification", True, _macro(sk.recall_score)),
    "log_loss": Metric("Classification", False, log_loss),
    "r2": Metric("Regression", True, _r2),
    "mean_absolute_error": Metric("Regression", False, _plain(sk.mean_absolute_error)),
    "mean_squared_error": Metric("Regression", False, _plain(sk.mean_squared_error)),
    "root_mean_squared_error": Metric("Regression", False, _plain(sk.root_mean_squared_error)),
}


def measure_all(task: str, truth: Values, predictions: Predictions) -> dict[str, float]:
    """Every metric of the task; one that has no finite value on these rows is left out."""
    measured = {name: one.measure(truth, predictions) for name, one in METRICS.items() if one.task == task}
    return {name: value for name, value in measured.items() if np.isfinite(value)}
