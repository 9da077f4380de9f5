"""`run.json`: faults are told by the name of the field."""

import json
from pathlib import Path
from typing import Any

import pytest
from plimsoll_training.errors import UserError
from plimsoll_training.run import TrainingRun, VerificationRun, read_run

RUN: dict[str, Any] = {
    "formatVersion": 1,
    "run": {"hash": "0f3a0f3a0f3a0f3a", "namespace": "demo", "trainingJob": "digits", "uid": "1", "attempt": 2},
    "model": "digits",
    "task": "Classification",
    "data": {"training": {"uri": "sklearn://digits"}, "split": {"fraction": 0.25}},
    "target": "target",
    "trainer": {"sklearn": {"estimator": "GaussianNB"}},
}
SPLIT = {"fraction": 0.25, "by": "Time"}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "run.json"
    path.write_text(json.dumps({**RUN, **changes}))
    return path


def test_what_is_left_out_has_defaults_and_the_identity_is_kept_whole(tmp_path: Path) -> None:
    run = read_run(written(tmp_path), TrainingRun)
    assert run.limits.model_bytes == 2**31
    assert run.run.model_dump()["attempt"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "Guess"}, "task: Input should be 'Classification' or 'Regression'"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"formatVersion": 2}, "formatVersion: Input should be 1"),
        ({"data": {"training": {"uri": "x"}}}, "data: set exactly one of evaluation and split"),
        ({"data": {"training": {"uri": "x"}, "split": SPLIT}}, "data.split: column is required when by is Time"),
        (
            {"data": {"training": {"uri": "x"}, "split": {"fraction": 1}}},
            "data.split.fraction: Input should be less than 1",
        ),
        ({"trainer": {}}, "trainer: set exactly one of sklearn and container"),
        ({"limits": {"modelBytes": 0}}, "limits.modelBytes: Input should be greater than 0"),
        ({"gates": [{"metric": "accuracy"}]}, "gates.0: set at least one of min, max and comparedTo"),
        (
            {"gates": [{"metric": "r2", "min": 0}]},
            "gates.0.metric: r2 is no metric of Classification; choose accuracy, balanced_accuracy",
        ),
        (
            {"trainer": {"sklearn": {"estimator": "SVC", "preprocessing": {"scaler": "Big"}}}},
            "trainer.sklearn.preprocessing.scaler: Input should be 'None', 'Standard', 'MinMax' or 'Robust'",
        ),
    ],
)
def test_a_fault_is_told_by_the_name_of_its_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_run(written(tmp_path, **changes), TrainingRun)
    assert message in str(caught.value)


def test_a_run_that_is_absent_or_no_json_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no run document at"):
        read_run(tmp_path / "run.json", TrainingRun)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        read_run(tmp_path / "run.json", VerificationRun)
