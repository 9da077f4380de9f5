"""A model, and the champions it is compared to, measured on rows that no trainer saw."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from plimsoll_training.columns import (
    drop_split_column,
    infer_features,
    labels,
    require_target,
    target_values,
)
from plimsoll_training.data import Dataset, read_dataset
from plimsoll_training.errors import ModelRejectedError, UserError
from plimsoll_training.gates import Measurement, judge
from plimsoll_training.inference import Feeds, LoadedModel, feeds_for, predictions, require_outputs
from plimsoll_training.metrics import Predictions, measure
from plimsoll_training.run import Gate, Slice, TrainingRun
from plimsoll_training.splits import evaluation_rows

Values = npt.NDArray[Any]


@dataclass(frozen=True)
class EvaluationData:
    """`frame`: the evaluation rows with all columns of their file. `classes`: sorted, of the training rows."""

    frame: pd.DataFrame
    names: tuple[str, ...]
    truth: Values
    classes: Values | None
    training_rows: int
    datasets: tuple[Dataset, ...]


@dataclass(frozen=True)
class Answers:
    feeds: Feeds
    outputs: dict[str, Values]
    predictions: Predictions


def read_evaluation_data(run: TrainingRun) -> EvaluationData:
    """The training data are read too: for the order of their columns, their classes, and the split."""
    source = read_dataset(run.data.training, "data.training")
    require_target(source.frame, run.target)
    datasets, training = [source], source.frame
    if run.data.split is not None:
        mask = evaluation_rows(source.frame, run.data.split)
        training, evaluation = source.frame[~mask], source.frame[mask]
    else:
        assert run.data.evaluation is not None
        datasets.append(read_dataset(run.data.evaluation, "data.evaluation"))
        evaluation = datasets[-1].frame
        require_target(evaluation, run.target)
    names = infer_features(drop_split_column(training, run.data.split, run.target), run.target).names
    if absent := [name for name in names if name not in evaluation.columns]:
        raise UserError(f"data.evaluation: the columns {', '.join(absent[:10])} of the training data are missing")
    classes, truth = None, None
    if run.task == "Classification":
        classes = np.unique(target_values(training, run.target, run.task))
        truth = labels(evaluation, run.target, as_text=classes.dtype.kind == "U")
    else:
        truth = target_values(evaluation, run.target, run.task)
    return EvaluationData(evaluation, names, truth, classes, len(training), tuple(datasets))


def answers_of(model: LoadedModel, data: EvaluationData, run: TrainingRun) -> Answers:
    """ModelRejectedError when the model does not fit the task or the data."""
    require_outputs(model.signature, run.task)
    if data.classes is not None:
        label = next(output for output in model.signature.outputs if output.name == "label")
        wanted = "BYTES" if data.classes.dtype.kind == "U" else "INT64"
        if label.datatype != wanted:
            raise ModelRejectedError(f"output label is {label.datatype}; the classes in the data are {wanted}")
    feeds = feeds_for(model.signature, data.frame, data.names)
    outputs = model.run_in_batches(feeds)
    return Answers(feeds, outputs, predictions(outputs, run.task, data.classes))


def judge_gate(
    gate: Gate, data: EvaluationData, answers: Answers, champions: dict[str, Predictions | str]
) -> dict[str, object]:
    """`champions`: their predictions on the same rows, or why there are none. Without an entry there is no champion."""
    rows = _slice_rows(data.frame, gate.slice)
    if not rows.any():
        assert gate.slice is not None
        why = f"no evaluation row has {gate.slice.column} = {gate.slice.value}"
        return judge(gate, Measurement(None, why))
    measured = measure(gate.metric, data.truth[rows], answers.predictions.of(rows))
    if measured is None:
        return judge(gate, Measurement(None, f"it has no finite value on {int(rows.sum())} rows"))
    champion = champions.get(gate.compared_to) if gate.compared_to is not None else None
    if champion is None:
        return judge(gate, Measurement(measured))
    if isinstance(champion, str):
        return judge(gate, Measurement(measured, champion_absent=champion))
    theirs = measure(gate.metric, data.truth[rows], champion.of(rows))
    absent = "" if theirs is not None else "its metric has no finite value on these rows"
    return judge(gate, Measurement(measured, champion=theirs, champion_absent=absent))


def _slice_rows(frame: pd.DataFrame, wanted: Slice | None) -> Values:
    if wanted is None:
        return np.ones(len(frame), dtype=np.bool_)
    if wanted.column not in frame.columns:
        raise UserError(f"gates: slice.column {wanted.column!r} is no column of the evaluation data")
    column = frame[wanted.column]
    number = pd.to_numeric(pd.Series([wanted.value]), errors="coerce").iloc[0]
    # 1 and 1.0 are the same value of a numeric column.
    same = (column == wanted.value) | (pd.to_numeric(column, errors="coerce") == number)
    return np.asarray(same.to_numpy(dtype=np.bool_))
