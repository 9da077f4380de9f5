"""What helm says after an install: commands that fit the values, and warnings about what was switched off."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.integration.chart.rendering import CHART, helm

EXTERNAL = ("store.install=false", "store.existingSecret=mine", "store.external.endpoint=https://s3.example.org")


def notes(*values: str) -> str:
    """Rendered without a cluster."""
    flags = [part for value in values for part in ("--set", value)]
    command = [helm(), "install", "plimsoll", str(CHART), "-n", "plimsoll-system", "--dry-run=client", *flags]
    environment = os.environ | {"KUBECONFIG": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def test_the_first_steps_are_for_a_namespace_that_the_operator_looks_after() -> None:
    assert "kubectl -n one apply -f examples/quickstart/01-train.yaml" in notes("watchNamespaces={one,two}")
    assert "kubectl -n default apply -f examples/quickstart/01-train.yaml" in notes()


def test_an_ordinary_install_says_where_models_are_and_warns_of_nothing() -> None:
    said = notes()
    assert "Models are kept in the claim plimsoll-store (10Gi), its root key in the Secret plimsoll-store-root" in said
    assert not [word for word in ("replicas is", "are off", "deletes") if word in said]


def test_with_an_external_store_each_namespace_needs_a_secret() -> None:
    said = notes(*EXTERNAL)
    assert "https://s3.example.org" in said
    assert "a Secret plimsoll-store in each namespace" in said


@pytest.mark.parametrize(
    ("value", "warning"),
    [
        ("replicas=0", "replicas is 0: what serves goes on serving"),
        ("admissionPolicies.enabled=false", "Admission policies are off"),
        ("crds.keep=false", "an uninstall deletes the CRDs"),
        ("store.keep=false", "An uninstall deletes the claim, and every model with it"),
    ],
)
def test_a_value_that_takes_safety_away_is_warned_of(value: str, warning: str) -> None:
    assert warning in notes(value)
