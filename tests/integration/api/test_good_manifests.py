"""Good input is accepted, defaults appear, and nothing that a client compares with what it applied is changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from plimsoll.api.kinds import KINDS

from tests.integration.api.apiserver import PLURALS, ApiServer, Manifest, cases
from tests.unit.api.strategies import manifests

SPECS = {kind.name: kind.spec for kind in KINDS}
TABLE = [pytest.param(case, id=f"{kind}: {case['case']}") for kind in PLURALS for case in cases("good_manifests", kind)]


@pytest.mark.parametrize("case", TABLE)
def test_a_good_manifest_is_accepted_and_defaults_appear(server: ApiServer, case: Manifest) -> None:
    stored = server.create(case["manifest"], dry_run=True)
    for path, value in case.get("defaults", {}).items():
        assert _at(stored, path) == value, path


@pytest.mark.parametrize("case", TABLE)
def test_the_operator_reads_the_same_with_and_without_the_defaults_of_the_schema(
    server: ApiServer, case: Manifest
) -> None:
    applied, spec = case["manifest"], SPECS[case["manifest"]["kind"]]
    stored = server.create(applied, dry_run=True)
    assert spec.model_validate(stored["spec"]) == spec.model_validate(_without_nulls(applied["spec"]))


@pytest.mark.parametrize("case", TABLE)
def test_lists_are_stored_as_they_were_applied(server: ApiServer, case: Manifest) -> None:
    """Argo CD and `kubectl apply` compare whole lists: a default inside one would be a difference for ever."""
    stored = server.create(case["manifest"], dry_run=True)
    _same_lists(case["manifest"]["spec"], stored["spec"])


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(manifest=manifests)
def test_every_good_spec_is_accepted_by_the_models_and_by_the_api_server(server: ApiServer, manifest: Manifest) -> None:
    stored = server.create(manifest, dry_run=True)
    spec = SPECS[manifest["kind"]]
    assert spec.model_validate(stored["spec"]) == spec.model_validate(manifest["spec"])


def _at(manifest: Manifest, path: str) -> Any:
    for key in path.split("."):
        manifest = manifest[key]
    return manifest


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(below) for key, below in value.items() if below is not None}
    return value


def _same_lists(applied: Any, stored: Any) -> None:
    if isinstance(applied, dict):
        for key, below in applied.items():
            if below is not None:
                _same_lists(below, stored[key])
    elif isinstance(applied, list):
        assert stored == applied
