"""What the API server lets through is what the training programs can do; they share no code."""

from __future__ import annotations

from typing import Literal, get_args

import pytest
from plimsoll.api import gates, trainingdata, trainingjob
from plimsoll_training import data, estimators, metric_names, run


def test_the_estimators_are_those_of_the_trainer() -> None:
    assert list(get_args(trainingjob.Classifier)) == list(estimators.CLASSIFIERS)
    assert list(get_args(trainingjob.Regressor)) == list(estimators.REGRESSORS)


def test_the_metrics_are_those_of_the_gates() -> None:
    assert get_args(gates.ClassificationMetric) == metric_names.METRICS_OF["Classification"]
    assert get_args(gates.RegressionMetric) == metric_names.METRICS_OF["Regression"]
    assert set(gates.ERRORS) == metric_names.LOWER_IS_BETTER


def test_the_bundled_sets_are_those_of_the_training_image() -> None:
    assert {name for names in trainingdata.BUNDLED.values() for name in names} == set(data.BUNDLED)


@pytest.mark.parametrize("step", ["scaler", "impute", "categorical"])
def test_the_preprocessing_is_that_of_the_trainer(step: Literal["scaler", "impute", "categorical"]) -> None:
    ours = trainingjob.Preprocessing.model_fields[step]
    theirs = run.Preprocessing.model_fields[step]
    assert (ours.annotation, ours.default) == (theirs.annotation, theirs.default)
