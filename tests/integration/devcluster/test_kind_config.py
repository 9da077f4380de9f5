"""The configuration for kind, read by kind's own loader and validation. Needs no Docker and no cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from devcluster import build
from devcluster.paths import CHECKOUT, Paths


@pytest.fixture(scope="session")
def kindcheck() -> Path:
    return build.binary(Paths.from_environment(), build.KINDCHECK)


def check(kindcheck: Path, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([kindcheck, config], capture_output=True, text=True, check=False)


def test_kind_accepts_the_configuration(kindcheck: Path) -> None:
    checked = check(kindcheck, CHECKOUT / "kind-config.yaml")

    assert (checked.returncode, checked.stdout) == (0, "plimsoll: 1 node(s)\n"), checked.stderr


def test_kind_refuses_a_field_it_does_not_know(kindcheck: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text((CHECKOUT / "kind-config.yaml").read_text() + "podSubnet: 198.18.0.0/16\n")

    assert "field podSubnet not found" in check(kindcheck, config).stderr


def test_kind_refuses_a_cluster_without_a_control_plane(kindcheck: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text((CHECKOUT / "kind-config.yaml").read_text().replace("control-plane", "worker"))

    assert "at least one control-plane node" in check(kindcheck, config).stderr
