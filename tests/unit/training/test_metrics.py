"""Our metrics against scikit-learn's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_training.metric_names import LOWER_IS_BETTER, METRICS_OF
from plimsoll_training.metrics import MEASURES, Predictions, measure, measure_all
from sklearn import metrics as sk

from tests.unit.training.laws import slow_law


def classified(seed: int, rows: int, classes: int) -> tuple[np.ndarray, Predictions]:
    random = np.random.RandomState(seed)
    probabilities = random.dirichlet(np.ones(classes), rows).astype(np.float32)
    truth = random.randint(0, classes, rows)
    return truth, Predictions(probabilities.argmax(axis=1), probabilities, np.arange(classes))


@slow_law
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 6))
def test_metrics_of_classification_are_those_of_scikit_learn(seed: int, rows: int, classes: int) -> None:
    truth, given_ = classified(seed, rows, classes)
    measured = measure_all("Classification", truth, given_)
    macro = {"average": "macro", "zero_division": 0}
    assert measured["accuracy"] == pytest.approx(sk.accuracy_score(truth, given_.values))
    assert measured["f1_macro"] == pytest.approx(sk.f1_score(truth, given_.values, **macro))
    assert measured["precision_macro"] == pytest.approx(sk.precision_score(truth, given_.values, **macro))
    assert measured["recall_macro"] == pytest.approx(sk.recall_score(truth, given_.values, **macro))
    assert measured["log_loss"] == pytest.approx(
        sk.log_loss(truth, given_.probabilities, labels=np.arange(classes)), rel=1e-5
    )
    present = np.isin(given_.values, truth)
    if present.all():
        assert measured["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(truth, given_.values))


def test_a_class_the_model_does_not_know_costs_log_loss_and_is_no_error() -> None:
    given_ = Predictions(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1]))
    known = measure("log_loss", np.array([0, 1]), given_)
    unknown = measure("log_loss", np.array([0, 7]), given_)
    assert known == pytest.approx(np.log(2))
    assert unknown is not None and unknown > 10


def test_log_loss_works_on_names_of_classes() -> None:
    given_ = Predictions(np.array(["a", "b"]), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array(["a", "b"]))
    assert measure("log_loss", np.array(["a", "b"]), given_) == pytest.approx(-(np.log(0.9) + np.log(0.8)) / 2)


def test_a_metric_without_a_finite_value_is_none() -> None:
    one = Predictions(np.array([1.0]))
    assert measure("r2", np.array([1.0]), one) is None
    assert set(measure_all("Regression", np.array([1.0]), one)) == set(METRICS_OF["Regression"]) - {"r2"}


def test_every_name_has_a_measure_and_losses_are_better_when_lower() -> None:
    names = {name for of_task in METRICS_OF.values() for name in of_task}
    assert names == set(MEASURES)
    assert {name for name in names if name.endswith(("loss", "error"))} == LOWER_IS_BETTER
