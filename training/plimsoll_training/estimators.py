"""The estimators a TrainingJob may name. An allow-list: nothing is ever imported from what a user wrote."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree

from plimsoll_training.errors import UserError
from plimsoll_training.metric_names import Task

CLASSIFIERS: dict[str, type[Any]] = {
    one.__name__: one
    for one in (
        linear_model.LogisticRegression,
        ensemble.RandomForestClassifier,
        ensemble.ExtraTreesClassifier,
        ensemble.GradientBoostingClassifier,
        ensemble.HistGradientBoostingClassifier,
        svm.SVC,
        neural_network.MLPClassifier,
        neighbors.KNeighborsClassifier,
        tree.DecisionTreeClassifier,
        naive_bayes.GaussianNB,
    )
}
REGRESSORS: dict[str, type[Any]] = {
    one.__name__: one
    for one in (
        linear_model.LinearRegression,
        linear_model.Ridge,
        linear_model.Lasso,
        linear_model.ElasticNet,
        ensemble.RandomForestRegressor,
        ensemble.ExtraTreesRegressor,
        ensemble.GradientBoostingRegressor,
        ensemble.HistGradientBoostingRegressor,
        tree.DecisionTreeRegressor,
        neighbors.KNeighborsRegressor,
        neural_network.MLPRegressor,
    )
}
ACCEPT_MISSING = frozenset({"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"})
FORCED: dict[str, dict[str, Any]] = {"SVC": {"probability": True}}


def make_estimator(name: str, parameters: Mapping[str, Any], task: Task, seed: int) -> Any:
    """The estimator, unfitted, `seed` as its random_state. UserError with a suggestion for unknown names."""
    allowed = CLASSIFIERS if task == "Classification" else REGRESSORS
    if name not in allowed:
        raise UserError(_unknown("trainer.sklearn.estimator", name, list(allowed), f"an estimator for {task}"))
    accepted = list(inspect.signature(allowed[name]).parameters)
    for parameter in parameters:
        field = f"trainer.sklearn.parameters.{parameter}"
        if parameter == "random_state":
            raise UserError(f"{field}: set seed of the TrainingJob instead")
        if parameter in FORCED.get(name, {}):
            raise UserError(f"{field}: it is always {FORCED[name][parameter]} here; leave it out")
        if parameter not in accepted:
            raise UserError(_unknown(field, parameter, accepted, f"a parameter of {name}"))
    seeded = {"random_state": seed} if "random_state" in accepted else {}
    return allowed[name](**parameters, **seeded, **FORCED.get(name, {}))


def _unknown(field: str, given: str, known: list[str], what: str) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose {', '.join(known)}"
    return f"{field}: {given} is not {what}; {hint}"
