"""`train`: fit an allow-listed estimator and write it as ONNX. Runs without credentials."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from plimsoll_training.columns import Features, infer_features, numeric, require_target, target_values, text
from plimsoll_training.convert import to_onnx_bytes
from plimsoll_training.data import parse_csv
from plimsoll_training.environment import Places
from plimsoll_training.errors import UserError
from plimsoll_training.estimators import ACCEPT_MISSING, make_estimator
from plimsoll_training.preprocessing import make_pipeline
from plimsoll_training.run import SklearnTrainer, TrainingRun, read_run
from plimsoll_training.steps import step


def train(where: Places) -> None:
    """Write `model.onnx` from `training.csv`. UserError names the field at fault."""
    run = read_run(where.handed_run, TrainingRun)
    if run.trainer.sklearn is None:
        raise UserError("trainer: only sklearn is trained here; a container trainer runs its own image")
    trainer = run.trainer.sklearn
    estimator = make_estimator(trainer.estimator, trainer.parameters, run.task, run.seed)
    frame = parse_csv(where.training_csv.read_bytes(), "training.csv")
    require_target(frame, run.target)
    features = infer_features(frame, run.target)
    table = training_table(frame, features, trainer)
    target = target_values(frame, run.target, run.task)
    if run.task == "Classification" and len(np.unique(target)) < 2:
        raise UserError(
            f"target: {run.target!r} has the single class {target[0]!r} in the training rows; two are needed"
        )
    pipeline = make_pipeline(trainer.preprocessing, features, estimator)
    with step(f"fitted {trainer.estimator} on {len(frame)} rows"):
        fit(pipeline, table, target)
    with step("converted to ONNX") as converting:
        content = to_onnx_bytes(pipeline, features, run.task)
        converting.done = f"converted to ONNX, {len(content)} bytes,"
    where.model.write_bytes(content)


def training_table(frame: pd.DataFrame, features: Features, trainer: SklearnTrainer) -> Any:
    """What the pipeline is fitted on: FP32 (n, k), or a DataFrame of FP32 and text columns when some are text."""
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in features.names:
        columns[name] = text(frame, name) if name in features.text else numeric(frame, name)
        missing = 0 if name in features.text else int(np.isnan(columns[name]).sum())
        if missing and trainer.preprocessing.impute == "None" and trainer.estimator not in ACCEPT_MISSING:
            raise UserError(
                f"column {name!r} has {missing} empty cells and {trainer.estimator} takes none; "
                "set trainer.sklearn.preprocessing.impute to Mean, Median or MostFrequent"
            )
    if features.text:
        return pd.DataFrame(columns).rename(columns=features.aliases)
    return np.column_stack(list(columns.values()))


def fit(pipeline: Pipeline, table: Any, target: npt.NDArray[Any]) -> None:
    """Fit in place. UserError with what the estimator says of its parameters or data."""
    # One thread inside BLAS and OpenMP: the order of their sums, so the model's bytes, depends on their number.
    with threadpool_limits(limits=1):
        try:
            pipeline.fit(table, target)
        except (ValueError, TypeError) as error:
            raise UserError(f"trainer.sklearn: {type(pipeline.steps[-1][1]).__name__} refused: {error}") from error
