"""Conversion of HistGradientBoosting where protobuf refuses what skl2onnx 1.20 gives it.

skl2onnx marks leaves with the Python value False among integers; protobuf from 7 on takes only integers there.
"""

from collections.abc import Callable
from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from skl2onnx.operator_converters.random_forest import (
    convert_sklearn_random_forest_classifier,
    convert_sklearn_random_forest_regressor_converter,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

FLAGS = "nodes_missing_value_tracks_true"


class _IntegerFlags:
    """A skl2onnx container that writes the flags as integers and passes everything else on."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *arguments: Any, **attributes: Any) -> None:
        if FLAGS in attributes:
            attributes[FLAGS] = [int(flag) for flag in attributes[FLAGS]]
        self._container.add_node(*arguments, **attributes)


def _with_integer_flags(convert: Callable[..., None]) -> Callable[[Any, Any, Any], None]:
    return lambda scope, operator, container: convert(scope, operator, _IntegerFlags(container))


def register() -> None:
    """Make skl2onnx use these converters from now on."""
    update_registered_converter(
        HistGradientBoostingClassifier,
        "SklearnHistGradientBoostingClassifier",
        calculate_linear_classifier_output_shapes,
        _with_integer_flags(convert_sklearn_random_forest_classifier),
        options={
            "zipmap": [True, False, "columns"],
            "raw_scores": [True, False],
            "output_class_labels": [False, True],
            "nocl": [True, False],
        },
    )
    update_registered_converter(
        HistGradientBoostingRegressor,
        "SklearnHistGradientBoostingRegressor",
        calculate_linear_regressor_output_shapes,
        _with_integer_flags(convert_sklearn_random_forest_regressor_converter),
        options={"raw_scores": [True, False]},
    )
