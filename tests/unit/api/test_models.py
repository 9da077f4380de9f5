"""The models read what users write and write what the API server stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from plimsoll.api.common import Resources, seconds
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus, ModelRef
from plimsoll.api.kinds import KINDS
from pydantic import ValidationError

from tests.unit.api.strategies import Manifest, manifests

ROOT = Path(__file__).resolve().parents[3]
SPECS = {kind.name: kind.spec for kind in KINDS}


def _ours() -> list[Any]:
    """Every document of our kinds below examples/."""
    return [
        pytest.param(document, id=f"{path.relative_to(ROOT)}: {document['kind']}")
        for path in sorted((ROOT / "examples").rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document and document.get("apiVersion") == "plimsoll.dev/v1alpha1"
    ]


EXAMPLES = _ours()


def test_there_are_examples() -> None:
    assert {document.values[0]["kind"] for document in EXAMPLES} >= {"TrainingJob", "InferenceService"}


@pytest.mark.parametrize("document", EXAMPLES)
def test_an_example_survives_the_round_trip(document: Manifest) -> None:
    spec = SPECS[document["kind"]]
    read = spec.model_validate(document["spec"])
    assert spec.model_validate(read.to_manifest()) == read


@given(manifest=manifests)
def test_a_good_spec_survives_the_round_trip(manifest: Manifest) -> None:
    spec = SPECS[manifest["kind"]]
    read = spec.model_validate(manifest["spec"])
    assert spec.model_validate(read.to_manifest()) == read


def test_an_unknown_field_of_a_spec_is_refused() -> None:
    with pytest.raises(ValidationError, match="replica"):
        InferenceServiceSpec.model_validate({"model": {"name": "digits"}, "runtime": {"replica": 2}})


def test_a_status_of_a_newer_operator_is_read() -> None:
    status = InferenceServiceStatus.model_validate({"phase": "Idle", "invented": {"later": 1}})
    assert status.phase == "Idle"


def test_absent_fields_stay_absent_in_the_manifest() -> None:
    written = InferenceServiceSpec(model=ModelRef(name="digits")).to_manifest()
    assert "retryToken" not in written["release"]
    assert written["release"]["steps"][0] == {
        "weight": 10,
        "minDuration": "30s",
        "minRequests": 50,
        "approval": "Automatic",
    }


def test_bare_numbers_are_read_as_text() -> None:
    assert ModelRef.model_validate({"name": "digits", "version": 7}).version == "7"
    assert Resources.model_validate({"cpu": 2}).cpu == "2"


def test_a_truth_value_is_no_number() -> None:
    with pytest.raises(ValidationError, match="version"):
        ModelRef.model_validate({"name": "digits", "version": True})


@pytest.mark.parametrize(
    ("text", "wanted"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("2h5s", 7205), ("250ms", 0.25), ("1ms", 0.001)]
)
def test_durations_are_read_in_seconds(text: str, wanted: float) -> None:
    assert seconds(text) == wanted
