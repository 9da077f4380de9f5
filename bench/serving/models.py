"""The model files, the same for every server: made once from fixed seeds by scikit-learn and skl2onnx.

All take ``input`` FP32 ``[-1, features]`` and answer ``label`` INT64 ``[-1]`` and ``probabilities`` FP32
``[-1, classes]``.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20
NAME = "bench"
TRAINING_ROWS = 2000
OPSET = {"": 17, "ai.onnx.ml": 3}


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A folder with ``model.onnx`` and ``profile.json``."""

    name: str
    features: int
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "model.onnx"

    def digest(self, file: str) -> str:
        return hashlib.sha256((self.folder / file).read_bytes()).hexdigest()

    def rows(self, count: int) -> NDArray[np.float32]:
        """The rows that are sent: ``[count, features]``, four digits after the point as measured values have."""
        values = np.random.default_rng(SEED).normal(size=(count, self.features)).round(4)
        return values.astype(np.float32)


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500)


def _mlp() -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((128, 64), max_iter=15, random_state=SEED)


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, max_depth=10, random_state=SEED)


MODELS: dict[str, tuple[str, int, Callable[[], Any]]] = {
    "linear": ("logistic regression, 30 features", 30, _linear),
    "mlp": ("multi-layer perceptron (128, 64), 30 features", 30, _mlp),
    "forest": ("random forest, 100 trees of depth 10, 30 features", 30, _forest),
    "embedding": ("logistic regression on an embedding, 768 floats", 768, _linear),
}


def made(name: str, build: Path) -> ModelFile:
    """The model file, made if it is not there yet."""
    _, features, estimator = MODELS[name]
    model = ModelFile(name, features, build / "models" / name)
    if not (model.folder / "profile.json").is_file():
        model.folder.mkdir(parents=True, exist_ok=True)
        _make(model, estimator())
    return model


def _make(model: ModelFile, estimator: Any) -> None:
    from skl2onnx import to_onnx

    generator = np.random.default_rng(SEED)
    inputs = generator.normal(size=(TRAINING_ROWS, model.features)).astype(np.float32)
    score = inputs @ generator.normal(size=model.features) + generator.normal(size=TRAINING_ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the perceptron need not converge: only its speed counts
        estimator.fit(inputs, (score > 0).astype(np.int64))
    graph = to_onnx(
        estimator, inputs[:1], options={"zipmap": False}, target_opset=OPSET, initial_types=_input(model.features)
    )
    model.path.write_bytes(graph.SerializeToString())
    (model.folder / "profile.json").write_text(json.dumps(_profile(estimator, inputs)))


def _input(features: int) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import FloatTensorType

    return [("input", FloatTensorType([None, features]))]


def _profile(estimator: Any, inputs: NDArray[np.float32]) -> dict[str, Any]:
    """What training writes beside a model, so that this server counts bins as it does in production."""
    from plimsoll_training.profile import bins_of, sample_of, value_counts

    features = [{"name": f"x{index}", "index": index, **bins_of(inputs[:, index])} for index in range(inputs.shape[1])]
    outputs = [
        {"name": "label", **value_counts(estimator.predict(inputs))},
        {"name": "probabilities", **bins_of(estimator.predict_proba(inputs).max(axis=1))},
    ]
    return {"formatVersion": 1, "features": features, "outputs": outputs, "sample": sample_of({"input": inputs})}
