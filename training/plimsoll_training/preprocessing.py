"""The pipeline around an estimator, so that preprocessing is inside the graph and inputs are raw columns."""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler

from plimsoll_training.columns import Features
from plimsoll_training.run import Preprocessing

SCALERS = {"Standard": StandardScaler, "MinMax": MinMaxScaler, "Robust": RobustScaler}
STRATEGIES = {"Mean": "mean", "Median": "median", "MostFrequent": "most_frequent"}


def make_pipeline(wanted: Preprocessing, features: Features, estimator: Any) -> Pipeline:
    """Impute and scale numeric columns, encode text columns, then the estimator.

    Impute and scaler apply to numbers only: a missing text cell is a category of its own.
    """
    steps: list[tuple[str, Any]] = []
    if wanted.impute != "None":
        steps.append(("impute", SimpleImputer(strategy=STRATEGIES[wanted.impute])))
    if wanted.scaler != "None":
        steps.append(("scale", SCALERS[wanted.scaler]()))
    if not features.text:
        return Pipeline([*steps, ("estimator", estimator)])
    parts: list[tuple[str, Any, list[str]]] = []
    alias = features.aliases
    numbers = [alias[name] for name in features.names if name not in features.text]
    if numbers:
        parts.append(("numbers", Pipeline(steps) if steps else "passthrough", numbers))
    categories = [alias[name] for name in features.names if name in features.text]
    parts.append(("categories", _encoder(wanted.categorical), categories))
    return Pipeline([("columns", ColumnTransformer(parts, sparse_threshold=0)), ("estimator", estimator)])


def _encoder(categorical: str) -> Any:
    # A category that training never saw must not be an error at serving time.
    if categorical == "OneHot":
        return OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
