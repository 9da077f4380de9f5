"""The allow-list, its parameters, and that what is served is what was fitted."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plimsoll_training.columns import infer_features, target_values
from plimsoll_training.convert import to_onnx_bytes
from plimsoll_training.data import bundled_csv, parse_csv
from plimsoll_training.errors import ModelRejectedError, UserError
from plimsoll_training.estimators import CLASSIFIERS, REGRESSORS, make_estimator
from plimsoll_training.inference import LoadedModel, feeds_for
from plimsoll_training.preprocessing import make_pipeline
from plimsoll_training.run import Signature, SklearnTrainer, Tensor
from plimsoll_training.train import fit, training_table

QUICK = {"n_estimators": 9, "max_iter": 60}


@pytest.mark.parametrize(
    ("name", "parameters", "task", "message"),
    [
        (
            "LogisticRegresion",
            {},
            "Classification",
            "is not an estimator for Classification; did you mean LogisticRegression?",
        ),
        ("Ridge", {}, "Classification", "trainer.sklearn.estimator: Ridge is not an estimator for Classification; "),
        ("os.system", {}, "Regression", "os.system is not an estimator for Regression; choose LinearRegression, Ridge"),
        (
            "RandomForestClassifier",
            {"n_estimator": 3},
            "Classification",
            "trainer.sklearn.parameters.n_estimator: n_estimator is not a parameter of RandomForestClassifier; "
            "did you mean n_estimators?",
        ),
        ("Ridge", {"random_state": 3}, "Regression", "parameters.random_state: set seed of the TrainingJob instead"),
        (
            "SVC",
            {"probability": False},
            "Classification",
            "parameters.probability: it is always True here; leave it out",
        ),
    ],
)
def test_a_name_that_is_not_allowed_is_refused_with_a_suggestion(
    name: str, parameters: dict[str, Any], task: Any, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        make_estimator(name, parameters, task, 0)
    assert message in str(caught.value)


def test_the_seed_becomes_the_random_state_of_estimators_that_have_one() -> None:
    assert make_estimator("RandomForestClassifier", {}, "Classification", 11).random_state == 11
    assert not hasattr(make_estimator("GaussianNB", {}, "Classification", 11), "random_state")


def served_and_fitted(task: Any, source: str, trainer: SklearnTrainer) -> tuple[dict[str, Any], Any, Any]:
    frame = parse_csv(bundled_csv(source), source)
    features = infer_features(frame, "target")
    table = training_table(frame, features, trainer)
    estimator = make_estimator(trainer.estimator, trainer.parameters, task, 7)
    estimator.set_params(**{key: QUICK[key] for key in QUICK if key in estimator.get_params()})
    pipeline = make_pipeline(trainer.preprocessing, features, estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few iterations do not converge, and need not
        fit(pipeline, table, target_values(frame, "target", task))
        model = LoadedModel(to_onnx_bytes(pipeline, features, task))
    return model.run(feeds_for(model.signature, frame, features.names)), pipeline, table


def test_no_column_is_taken_for_bf16() -> None:
    halves = Signature(inputs=(Tensor(name="a", datatype="BF16", shape=(-1, 1)),), outputs=())
    with pytest.raises(ModelRejectedError, match=r"input 'a' is BF16, which no column is"):
        feeds_for(halves, pd.DataFrame({"a": [1.5, 2.0]}), ("a",))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_the_same_when_served(name: str) -> None:
    trainer = SklearnTrainer.model_validate({"estimator": name, "preprocessing": {"scaler": "Standard"}})
    served, pipeline, table = served_and_fitted("Classification", "wine", trainer)
    assert (served["label"] == pipeline.predict(table)).mean() > 0.99
    np.testing.assert_allclose(served["probabilities"], pipeline.predict_proba(table), atol=2e-3)


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_answers_the_same_when_served(name: str) -> None:
    trainer = SklearnTrainer.model_validate({"estimator": name, "preprocessing": {"scaler": "Standard"}})
    served, pipeline, table = served_and_fitted("Regression", "diabetes", trainer)
    assert served["prediction"].shape == (442, 1)
    np.testing.assert_allclose(served["prediction"][:, 0], pipeline.predict(table), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("scaler", ["None", "Standard", "MinMax", "Robust"])
@pytest.mark.parametrize("impute", ["Mean", "Median", "MostFrequent"])
@pytest.mark.parametrize("categorical", ["OneHot", "Ordinal"])
def test_preprocessing_is_inside_the_graph(scaler: str, impute: str, categorical: str) -> None:
    """Names that are no identifiers, missing cells, and a category that training never saw."""
    random = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "age (years)": [f"{age:.3f}" for age in random.rand(120) * 50],
            "b-c.d": [str(n) for n in random.randint(0, 9, 120)],
            "site": random.choice(["A", "B", "ü c"], 120),
            "kind of": random.choice(["x", "y", ""], 120),
        },
        dtype=object,
    )
    frame["target"] = ["yes" if float(age) > 25 else "no" for age in frame["age (years)"]]
    frame.loc[3, "b-c.d"] = ""
    asked = {"scaler": scaler, "impute": impute, "categorical": categorical}
    trainer = SklearnTrainer.model_validate({"estimator": "LogisticRegression", "preprocessing": asked})
    features = infer_features(frame, "target")
    estimator = make_estimator("LogisticRegression", {"max_iter": 1000}, "Classification", 0)
    pipeline = make_pipeline(trainer.preprocessing, features, estimator)
    fit(pipeline, training_table(frame, features, trainer), target_values(frame, "target", "Classification"))
    model = LoadedModel(to_onnx_bytes(pipeline, features, "Classification"))
    assert [one.name for one in model.signature.inputs] == ["age (years)", "b-c.d", "site", "kind of"]
    frame.loc[0, "site"] = "unseen"
    table = training_table(frame, features, trainer)
    served = model.run(feeds_for(model.signature, frame, features.names))
    np.testing.assert_allclose(served["probabilities"], pipeline.predict_proba(table), atol=1e-5)


def test_a_missing_number_needs_imputing() -> None:
    frame = pd.DataFrame({"x": ["1", "", "3"], "target": ["0", "1", "0"]}, dtype=object)
    features = infer_features(frame, "target")
    plain = SklearnTrainer.model_validate({"estimator": "LogisticRegression"})
    with pytest.raises(
        UserError, match=r"column 'x' has 1 empty cells and LogisticRegression takes none; set .*impute"
    ):
        training_table(frame, features, plain)
    boosted = SklearnTrainer.model_validate({"estimator": "HistGradientBoostingClassifier"})
    assert np.isnan(training_table(frame, features, boosted)).sum() == 1


def test_a_column_with_the_name_of_an_output_is_refused() -> None:
    frame = pd.DataFrame({"label": ["a", "b"] * 10, "target": ["0", "1"] * 10}, dtype=object)
    features = infer_features(frame, "target")
    trainer = SklearnTrainer.model_validate({"estimator": "LogisticRegression"})
    pipeline = make_pipeline(
        trainer.preprocessing, features, make_estimator("LogisticRegression", {}, "Classification", 0)
    )
    fit(pipeline, training_table(frame, features, trainer), target_values(frame, "target", "Classification"))
    with pytest.raises(UserError, match="column 'label': the model needs this name for itself; rename the column"):
        to_onnx_bytes(pipeline, features, "Classification")


def test_parameters_without_an_onnx_form_are_the_users_mistake() -> None:
    trainer = SklearnTrainer.model_validate({"estimator": "KNeighborsClassifier", "parameters": {"metric": "canberra"}})
    with pytest.raises(
        UserError, match=r"trainer\.sklearn: KNeighborsClassifier with these parameters has no ONNX form: "
    ):
        served_and_fitted("Classification", "iris", trainer)
