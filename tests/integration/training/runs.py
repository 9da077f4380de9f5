"""Builders of `run.json`, of small tables and of models for them."""

import hashlib
import json
from typing import Any

import numpy as np

from tests.builders.onnx_models import linear_classifier

RUN_HASH = "0f3a0f3a0f3a0f3a"
PREPROCESSING = {"scaler": "Standard", "impute": "None", "categorical": "OneHot"}
CSV_KEY = "data/table.csv"


def digits_run(**changes: Any) -> dict[str, Any]:
    """A whole run on scikit-learn's digits; keyword arguments replace top-level fields."""
    run: dict[str, Any] = {
        "formatVersion": 1,
        "run": {"hash": RUN_HASH, "namespace": "demo", "trainingJob": "digits", "uid": "1"},
        "model": "digits",
        "task": "Classification",
        "data": {
            "training": {"uri": "sklearn://digits", "sha256": None},
            "evaluation": None,
            "split": {"fraction": 0.25, "by": "Random", "column": None, "seed": 7},
        },
        "target": "target",
        "trainer": sklearn_trainer("LogisticRegression", {"C": 0.1, "max_iter": 500}),
        "seed": 7,
        "gates": [gate("accuracy", min=0.9)],
        "champions": {},
        "limits": {"modelBytes": 2**31},
        "images": {"training": "plimsoll-training:test"},
    }
    return {**run, **changes}


def table_run(uri: str, **changes: Any) -> dict[str, Any]:
    """A run on the table of `sign_table`, for publishers of ready-made models."""
    data = {
        "training": {"uri": uri, "sha256": None},
        "evaluation": None,
        "split": {"fraction": 0.25, "by": "Random", "column": None, "seed": 3},
    }
    return digits_run(**{"model": "signs", "data": data, "trainer": {"container": {"image": "trainer:1"}}, **changes})


def verification(uri: str, model: bytes, **changes: Any) -> dict[str, Any]:
    """What `verify` is asked about a model at `uri`; `artifact` may be changed field by field."""
    digest = hashlib.sha256(model).hexdigest()
    artifact = {"uri": uri, "sha256": digest, "sizeBytes": len(model), **changes.pop("artifact", {})}
    run: dict[str, Any] = {
        "formatVersion": 1,
        "run": {"hash": RUN_HASH, "namespace": "demo", "modelVersion": "signs-v1", "uid": "1"},
        "model": "signs",
        "artifact": artifact,
        "signature": None,
        "resultKey": f"verifications/{digest}/0f3a0f3a/result.json",
        "limits": {"modelBytes": 2**20},
    }
    return {**run, **changes}


def gate(metric: str, **changes: Any) -> dict[str, Any]:
    return {"metric": metric, "min": None, "max": None, "slice": None, "comparedTo": None, "tolerance": None, **changes}


def sklearn_trainer(estimator: str, parameters: dict[str, Any] | None = None, **preprocessing: str) -> dict[str, Any]:
    asked = {**PREPROCESSING, **preprocessing}
    return {"sklearn": {"estimator": estimator, "parameters": parameters or {}, "preprocessing": asked}}


def sign_table(rows: int = 200) -> bytes:
    """Columns x, noise, site (1 or 2) and target, which is 1 when x is positive."""
    random = np.random.RandomState(0)
    lines = ["x,noise,site,target"]
    for row in range(rows):
        x, noise = random.normal(), random.normal()
        lines.append(f"{x:.6f},{noise:.6f},{1 + row % 2},{int(x > 0)}")
    return ("\n".join(lines) + "\n").encode()


def sign_model(skill: float = 1.0) -> bytes:
    """A classifier for `sign_table`: perfect with skill 1, one that follows the noise with skill 0."""
    weights = np.array([[-skill, skill], [skill - 1, 1 - skill], [0.0, 0.0]], dtype=np.float32)
    return linear_classifier(weights, np.zeros(2, dtype=np.float32))


def as_json(content: bytes) -> Any:
    return json.loads(content)
