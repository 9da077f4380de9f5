"""The hash of a run: what decides its outcome, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.core.run import document, run_hash, training_run

from tests.builders.training import comparing, training_job, with_container, with_spec


def hash_of(*modifiers: Any) -> str:
    return run_hash(TrainingJobSpec.model_validate(training_job(*modifiers)["spec"]))


def test_a_run_hash_is_fixed_for_all_time() -> None:
    assert hash_of() == "99322581e6f058b5"
    assert hash_of(with_container()) == "86467894d0ebcfe6"


@pytest.mark.parametrize(
    "field",
    [
        {"model": "letters"},
        {"task": "Regression"},
        {"data": {"training": {"uri": "sklearn://digits"}, "split": {"fraction": 0.3}}},
        {"target": "digit"},
        {"trainer": {"sklearn": {"estimator": "LogisticRegression", "parameters": {"C": 0.2}}}},
        {"gates": []},
        {"seed": 8},
        {"rerunToken": "again"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_what_decides_the_outcome_makes_another_run(field: dict[str, Any]) -> None:
    assert hash_of(with_spec(**field)) != hash_of()


@pytest.mark.parametrize(
    "field",
    [
        {"resources": {"cpu": "2", "memory": "4Gi"}},
        {"backoffLimit": 5},
        {"activeDeadlineSeconds": 60},
        {"suspend": True},
        {"approval": "Manual"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_how_a_run_is_run_does_not_make_another_one(field: dict[str, Any]) -> None:
    assert hash_of(with_spec(**field)) == hash_of()


def test_a_default_written_out_does_not_make_another_run() -> None:
    trainer = {
        "sklearn": {
            "estimator": "LogisticRegression",
            "parameters": {"C": 0.1},
            "preprocessing": {"scaler": "None", "impute": "None", "categorical": "OneHot"},
        }
    }
    spelled_out = with_spec(task="Classification", target="target", trainer=trainer)
    assert hash_of(spelled_out) == hash_of()


def test_another_image_of_the_users_makes_another_run() -> None:
    assert hash_of(with_container("example.org/trainer:1")) != hash_of(with_container("example.org/trainer:2"))


def test_the_train_document_names_no_champion_and_fills_in_the_split_seed() -> None:
    manifest = training_job(comparing())
    manifest["metadata"]["uid"] = "u"
    spec = TrainingJobSpec.model_validate(manifest["spec"])
    made = document(training_run(manifest, spec), spec, "training:1")
    assert made["champions"] == {}
    assert made["data"]["split"] == {"fraction": 0.25, "by": "Random", "column": None, "seed": 7}
    assert made["gates"] == [
        {"metric": "accuracy", "min": None, "max": None, "slice": None, "comparedTo": "digits", "tolerance": 0.01}
    ]
